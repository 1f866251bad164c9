"""Runs the captions' pipelines of README.md as printed; only hardware, host and file names are replaced."""
import contextlib
import fcntl
import http.server
import json
import os
import pty
import re
import select
import struct
import termios
import threading
import time
import unittest

from readme import BLOCKS, REPO, Pipelines, events, run

# What is where in the recording, by ear, of what any default package has heard: examples/ATTRIBUTION.md.
HEARD = {"applause": (11.0, 14.2), "rain": (24.0, 29.0)}
WIDTH, HEIGHT, RATE = 320, 180, 5
# A film: the recording beside a black picture, so that what is written on it can be seen.
FILM = (
    "gst-launch-1.0 -q matroskamux name=mux ! filesink location=film.mkv"
    f" videotestsrc pattern=black num-buffers={31 * RATE} ! video/x-raw,width={WIDTH},height={HEIGHT},framerate={RATE}/1"
    " ! vp8enc deadline=1 cpu-used=8 ! queue ! mux."
    " filesrc location=street.flac ! decodebin ! audioconvert ! audioresample ! opusenc ! queue ! mux."
)
# The recording as a microphone would give it: live, and at its own pace.
MICROPHONE = "filesrc location=street.flac ! decodebin ! identity sync=true"
# Where the queues are too short the pipelines stand still: they are given up after that.
PATIENCE = 120


def cues(text):
    """Start, end and text of each cue of a WebVTT file, in seconds."""
    found = re.findall(r"(?m)^(\S+) --> (\S+)\n((?:.+\n?)+)", text)
    return [(clock(start), clock(end), words.strip()) for start, end, words in found]


def clock(text):
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


class Captions(Pipelines):
    def hear(self, source):
        """The events that clapmatch alone finds, as (label, onset, offset) in seconds, in order of onset."""
        labels = re.search(r'labels="[^"]*"', BLOCKS["webvtt"]).group(0)
        lines = events(run(f"gst-launch-1.0 -q {source} ! clapmatch {labels} ! fdsink", self.folder))
        ends = [e for line in lines for e in line["events"] if e["type"] == "end"]
        return sorted((e["onset"] / 1e9, e["offset"] / 1e9, e["label"]) for e in ends)

    def assert_tells_of(self, cues, heard):
        """Every event is told of where it began, and for as long as it is known to last."""
        self.assertGreaterEqual(len(heard), 2, "the recording has applause and rain at least")
        onsets = [onset for onset, _, _ in heard]
        for start, end, text in cues:
            self.assertTrue(any(abs(start - onset) < 0.002 for onset in onsets), f"{start}: none of {onsets}")
            self.assertGreaterEqual(round(end - start, 3), 2, f"too short to be read: {text}")
            self.assertLess(end, 33)
        for onset, offset, label in heard:
            at = [cue for cue in cues if cue[0] <= onset + 0.002 and label.split()[0] in cue[2].lower()]
            self.assertTrue(at, f"{label} at {onset}: {cues}")
            if offset - onset < 4:
                self.assertTrue(any(end > offset - 0.002 for _, end, _ in at), f"{label} to {offset}: {cues}")
        starts = [start for start, _, _ in cues]
        self.assertEqual(starts, sorted(starts))
        for word, (begins, _) in HEARD.items():
            near = [start for start, _, text in cues if word in text.lower() and abs(start - begins) < 0.8]
            self.assertTrue(near, f"nothing tells of {word} near {begins} s: {cues}")

    def assert_in_order(self, texts):
        """The sounds are told of one after the other; other captions may come between."""
        rest = iter(texts)
        for word in HEARD:
            self.assertTrue(any(word in text for text in rest), f"{word}: {texts}")

    def film(self):
        run(FILM, self.folder)
        sound = "filesrc location=film.mkv ! matroskademux name=f f.audio_0 ! queue ! decodebin"
        return self.hear(f"{sound} ! audioconvert ! audioresample ! melspec ! m2dencode")

    def recording(self):
        return self.hear(
            "filesrc location=street.flac ! decodebin ! audioconvert ! audioresample ! melspec ! m2dencode"
        )

    def test_captions(self):
        lines = run(self.command("captions"), self.folder).splitlines()
        self.assertGreaterEqual(len(lines), 2)
        self.assert_in_order(lines)

    def test_server(self):
        with chat_server() as (url, bodies):
            command = self.command("server", host=("http://127.0.0.1:8080/v1", url))
            lines = run(command, self.folder).splitlines()
        self.assertGreaterEqual(len(lines), 2)
        self.assertEqual(lines, [f"Sentence number {number + 1}." for number in range(len(lines))])
        self.assertEqual({body["model"] for body in bodies}, {"qwen2.5"})
        told = [json.dumps(body["messages"]) for body in bodies]
        self.assert_in_order(told)

    def test_webvtt(self):
        run(self.command("webvtt"), self.folder)
        self.assert_tells_of(cues((self.folder / "street.vtt").read_text()), self.recording())

    def test_subtitles(self):
        heard = self.film()
        run(self.command("subtitles"), self.folder, timeout=PATIENCE)
        track = run(
            "gst-launch-1.0 -q filesrc location=captioned.mkv ! matroskademux name=f f.subtitle_0 ! webvttenc ! fdsink",
            self.folder,
        )
        self.assert_tells_of(cues(track), heard)
        # Neither picture nor sound was touched.
        for pad in ("video_0", "audio_0"):
            with self.subTest(pad):
                before, after = self.stream("film.mkv", pad), self.stream("captioned.mkv", pad)
                self.assertGreater(len(before), 1000)
                self.assertEqual(before, after)

    def stream(self, file, pad):
        run(
            f"gst-launch-1.0 -q filesrc location={file} ! matroskademux name=f f.{pad} ! filesink location=stream",
            self.folder,
        )
        return (self.folder / "stream").read_bytes()

    def test_overlay(self):
        heard = self.film()
        screen = "video/x-raw,format=GRAY8 ! filesink location=frames"
        command = self.command(
            "overlay", screen=("autovideosink", screen), speaker=("autoaudiosink", "fakesink sync=false")
        )
        run(command, self.folder, timeout=PATIENCE)
        written = self.written(31 * RATE)
        for onset, offset, label in heard:
            with self.subTest(label):
                first, last = round(onset * RATE) + 1, int(min(offset, onset + 2) * RATE) - 1
                self.assertTrue(all(written[first : last + 1]), f"{label}: {written[first:last + 1]}")
        # Nothing is written where nothing is heard.
        begins, ends = heard[0][0], HEARD["applause"][1]
        self.assertFalse(any(written[: int(begins * RATE)]))
        self.assertFalse(any(written[int((ends + 2.5) * RATE) : int(23.0 * RATE)]))

    def written(self, pictures):
        """Whether there is text on each of the pictures in `frames`."""
        frames, size = (self.folder / "frames").read_bytes(), WIDTH * HEIGHT
        self.assertEqual(len(frames), pictures * size, "every picture came out")
        return [max(frames[i * size : (i + 1) * size]) > 128 for i in range(pictures)]

    def test_camera(self):
        seconds = 30
        camera = (
            f"videotestsrc pattern=black is-live=true num-buffers={seconds * RATE}"
            f" ! video/x-raw,width={WIDTH},height={HEIGHT},framerate={RATE}/1"
        )
        command = self.command(
            "camera",
            camera=("v4l2src", camera),
            microphone=("autoaudiosrc", MICROPHONE),
            screen=("autovideosink", "video/x-raw,format=GRAY8 ! filesink sync=true location=frames"),
        )
        run(command, self.folder, timeout=PATIENCE)
        written = self.written(seconds * RATE)
        begins = [i / RATE for i in range(1, len(written)) if written[i] and not written[i - 1]]
        # The applause after it was heard, and nothing before.
        self.assertGreaterEqual(len(begins), 1, begins)
        self.assertGreater(begins[0], HEARD["applause"][0])
        self.assertFalse(written[0])

    def test_appsink(self):
        out = run(self.command("appsink", python=("python3 ", "/usr/bin/python3 ")), self.folder)
        told = re.findall(r"(?m)^ +(\d+\.\d\d) s to +(\d+\.\d\d) s  (.+)$", out)
        onsets = [onset for onset, _, _ in self.recording()]
        self.assertGreaterEqual(len(told), 2)
        for start, end, _ in told:
            self.assertTrue(any(abs(float(start) - onset) < 0.006 for onset in onsets), f"{start}: {onsets}")
            self.assertGreaterEqual(float(end) - float(start), 1.99)
        self.assertRegex(out, r"(?m)^How many times was there applause\? .*(once|twice|times)")


    def test_terminal(self):
        terminal = Terminal(self.command("terminal"), 100, 30)
        self.addCleanup(terminal.close)
        # Building it may take a while.
        terminal.wait_for("listening", 900)
        terminal.wait_for("pplause.", 60)
        terminal.type("was there applause?\r")
        terminal.wait_for("Yes,", 60)
        terminal.type("\x1b")
        self.assertEqual(terminal.end(), 0, terminal.seen())


class Terminal:
    """A command with a terminal of its own. It draws only what changes, so single words are looked for."""

    def __init__(self, command, columns, rows):
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(REPO)
            os.execvpe("bash", ["bash", "-c", command], os.environ | {"TERM": "xterm-256color"})
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.output, self.status = b"", None

    def seen(self):
        return self.output.decode(errors="replace")

    def read(self, patience):
        if select.select([self.terminal], [], [], patience)[0]:
            with contextlib.suppress(OSError):  # The command has ended.
                self.output += os.read(self.terminal, 65536)

    def wait_for(self, word, seconds):
        last = time.monotonic() + seconds
        while word not in self.seen():
            if time.monotonic() > last or self.ended():
                raise AssertionError(f"no {word!r} came: {self.seen()[-3000:]!r}")
            self.read(0.2)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def ended(self):
        if self.status is None:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def end(self):
        last = time.monotonic() + 60
        while not self.ended() and time.monotonic() < last:
            self.read(0.2)
        return self.status

    def close(self):
        if not self.ended():
            os.kill(self.process, 9)
            os.waitpid(self.process, 0)
        os.close(self.terminal)


@contextlib.contextmanager
def chat_server():
    """A server of the OpenAI chat-completions protocol on loopback that counts; and the bodies it was sent."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                self.send_error(404)
                return
            bodies.append(body)
            parts = [{"content": word} for word in re.findall(r"\S+\s*", f"Sentence number {len(bodies)}.")]
            choices = [{"index": 0, "delta": delta} for delta in parts]
            choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
            stream = "".join("data: %s\n\n" % json.dumps({"choices": [choice]}) for choice in choices)
            stream += "data: [DONE]\n\n"
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(stream)))
            self.end_headers()
            self.wfile.write(stream.encode())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    unittest.main()
