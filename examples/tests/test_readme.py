"""Runs the pipelines of README.md as printed; only hardware, host and file names are replaced.

`./run test` starts it with GST_PLUGIN_PATH at the plugin under test. It needs the Debian packages that `./run setup`
installs and fails where they are missing: nothing is skipped.
"""
import contextlib
import functools
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading
import unittest

from readme import README, REPO, Pipelines, events, run, run_until

# The recording again and again, as a microphone would give it: live, and at its own pace.
MICROPHONE = "filesrc location=street.flac ! decodebin ! identity sync=true"
LOUDSPEAKER = "fakesink sync=true"
CUT_INTO_HLS = (
    "gst-launch-1.0 -q filesrc location=street.flac ! decodebin ! audioconvert ! audioresample"
    " ! audio/x-raw,rate=44100,channels=2 ! lamemp3enc ! mpegaudioparse ! mpegtsmux ! hlssink"
    " max-files=0 playlist-length=0 target-duration=5 location=part%05d.ts playlist-location=live.m3u8"
)


class Readme(Pipelines):
    def assert_hears_the_applause(self, lines):
        ends = [e for line in lines for e in line["events"] if e["type"] == "end"]
        self.assertIn("applause", {e["detection"]["label"] for e in ends}, lines)

    def test_there_are_ten(self):
        ten = README[README.index("## Ten pipelines") : README.index("## Captions")]
        self.assertEqual(ten.count("<!-- pipeline: "), 10)

    def test_the_event_line_it_shows_is_one(self):
        shown = re.search(r"```json\n(.*?)```", README, re.S).group(1)
        self.assertEqual(len(events(shown.replace("\n", " "))), 1)

    def test_file(self):
        self.assert_hears_the_applause(events(run(self.command("file"), self.folder)))

    def test_microphone(self):
        out = run(self.command("microphone", source=("autoaudiosrc", MICROPHONE)), self.folder)
        self.assertIn("applause", out)

    def test_speakers(self):
        out = run(self.command("speakers", sink=("autoaudiosink", LOUDSPEAKER)), self.folder)
        self.assertIn("applause", out)

    def test_json(self):
        run(self.command("json"), self.folder)
        lines = (self.folder / "events.ndjson").read_text()
        self.assert_hears_the_applause(events(lines))

    def test_python(self):
        out = run(self.command("python", python=("python3 ", "/usr/bin/python3 ")), self.folder)
        self.assertRegex(out, r"(?m)^ +\d+\.\d\d s  applause +0\.\d\d$")
        self.assertRegex(out, r"event: applause from \d+\.\d\d s to \d+\.\d\d s")

    def test_mix(self):
        command = self.command("mix", source=("autoaudiosrc", MICROPHONE), sink=("autoaudiosink", LOUDSPEAKER))
        told = []

        def applause_is_over(line):
            if "audio-event" in line and "listenbin" in line and "applause" in line:
                told.append(line)
            return told and "type=(string)end" in told[-1]

        # A mix never ends: it is stopped as a user would, with Ctrl-C.
        out = run_until(command, self.folder, applause_is_over)
        self.assertTrue(any("type=(string)start" in line for line in told), out)
        self.assertTrue(any("type=(string)end" in line for line in told), out)

    def test_the_defaults_it_names_are_the_packages(self):
        clap = json.loads((REPO / "models/packages/default/manifest.json").read_text())["clap"]
        onset, offset = clap["default_threshold"], clap["default_offset_threshold"]
        for said in (
            f"({onset}, {offset} in the default one)",
            f"the package's ({clap['default_smoothing']} s)",
            f"(the default package's is {onset})",
        ):
            self.assertIn(said, README)

    def test_numpy(self):
        out = run(self.command("numpy", python=("python3 ", "/usr/bin/python3 ")), self.folder)
        frames = int(re.search(r"\((\d+), 80\)", out).group(1))
        self.assertGreater(frames, 1000)

    def test_channels(self):
        # The recording on the left, silence on the right.
        run(
            "gst-launch-1.0 -q filesrc location=street.flac ! decodebin"
            " ! audioconvert 'mix-matrix=<<(float)1.0>,<(float)0.0>>' ! 'audio/x-raw,channels=2,channel-mask=(bitmask)0x3'"
            " ! audioconvert ! flacenc ! filesink location=stereo.flac",
            self.folder,
        )
        lines = events(run(self.command("channels"), self.folder))
        self.assert_hears_the_applause(lines)
        self.assertEqual({e["channel"] for line in lines for e in line["events"]}, {0})

    def test_rtsp(self):
        with rtsp_server(self.folder / "street.flac") as url:
            command = self.command("rtsp", host=("rtsp://camera.local/stream", url))
            # A camera never ends.
            out = run_until(command, self.folder, lambda line: '"type":"end"' in line and '"applause"' in line)
        self.assert_hears_the_applause(events(out))

    def test_hls(self):
        run(CUT_INTO_HLS, self.folder)
        with http_server(self.folder) as url:
            command = self.command("hls", host=("https://example.org/live.m3u8", f"{url}/live.m3u8"))
            out = run(command, self.folder)
        self.assert_hears_the_applause(events(out))


@contextlib.contextmanager
def http_server(folder):
    """Serves `folder` on loopback."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def rtsp_server(recording):
    """A real RTSP server on loopback that plays the recording to whoever asks."""
    program = pathlib.Path(__file__).with_name("rtsp_server.py")
    server = subprocess.Popen(
        ["/usr/bin/python3", str(program), str(recording)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


if __name__ == "__main__":
    unittest.main()
