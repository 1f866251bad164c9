"""The chain and listenbin under GStreamer's leaks tracer: at exit no object may be alive."""
import os
import pathlib
import subprocess
import sys
import unittest

RECORDING = pathlib.Path(__file__).resolve().parents[1] / "street.flac"
SOURCE = ["filesrc", f"location={RECORDING}", "!", "decodebin", "!", "audioconvert"]
PROGRAM = pathlib.Path(__file__).resolve().parent / "exercise.py"
LABELS = "labels=dog barking;rain"


def still_alive(command, said=""):
    """The objects that are alive when `command` ends under the leaks tracer; `said` must stand in what it prints."""
    env = os.environ | {"GST_TRACERS": "leaks", "GST_DEBUG": "GST_TRACER:7", "GST_DEBUG_NO_COLOR": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    if done.returncode != 0 or said not in done.stdout:
        raise AssertionError(done.stdout + done.stderr)
    if "object-alive.class" not in done.stderr:
        raise AssertionError("the leaks tracer did not run:\n" + done.stderr)
    return [line for line in done.stderr.splitlines() if "object-alive, " in line and "new format" not in line]


def alive(pipeline):
    """The objects that are alive after a pipeline has run in a process of its own."""
    return still_alive(["gst-launch-1.0", "-q", *pipeline])


class Leaks(unittest.TestCase):
    def test_the_chain_leaves_nothing(self):
        chain = ["audioresample", "!", "melspec", "!", "m2dencode", "!", "clapmatch", LABELS, "!", "fakesink"]
        self.assertEqual(alive([*SOURCE, "!", *chain]), [])

    def test_listenbin_leaves_nothing(self):
        listenbin = ["listenbin", "name=l", LABELS, "!", "fakesink", "l.events", "!", "fakesink"]
        self.assertEqual(alive([*SOURCE, "!", *listenbin]), [])

    def test_states_seeks_errors_and_new_labels_leave_nothing(self):
        source = f"filesrc location={RECORDING} ! flacparse ! flacdec ! audioconvert ! audioresample"
        for rest in ("melspec ! m2dencode ! clapmatch name=match ! fakesink", "listenbin name=match ! fakesink"):
            with self.subTest(rest):
                command = [sys.executable, str(PROGRAM), "24", f"{source} ! {rest}"]
                self.assertEqual(still_alive(command, "cycles 24"), [])

    def test_captions_leave_nothing(self):
        source = f"filesrc location={RECORDING} ! flacparse ! flacdec ! audioconvert ! audioresample"
        chain = "melspec ! m2dencode ! clapmatch name=match ! llmcaption"
        # Port 9 refuses: each request fails, waits and is written by the template.
        for properties in ("", " backend=http url=http://127.0.0.1:9/v1 timeout=1000000000"):
            with self.subTest(properties):
                command = [sys.executable, str(PROGRAM), "12", f"{source} ! {chain}{properties} ! fakesink"]
                self.assertEqual(still_alive(command, "cycles 12"), [])

    def test_a_leak_would_be_seen(self):
        env = os.environ | {"GST_TRACERS": "leaks", "GST_DEBUG": "GST_TRACER:7", "GST_DEBUG_NO_COLOR": "1"}
        program = (
            "import ctypes; gst = ctypes.CDLL('libgstreamer-1.0.so.0'); gst.gst_init(None, None);"
            " gst.gst_element_factory_make(b'pipeline', None); gst.gst_deinit()"
        )
        done = subprocess.run(["/usr/bin/python3", "-c", program], env=env, capture_output=True, text=True, timeout=60)
        self.assertRegex(done.stderr, r"object-alive, .*GstPipeline")


if __name__ == "__main__":
    unittest.main()
