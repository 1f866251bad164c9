"""The pipeline in a process of its own: a decoder that crashes or hangs on one recording costs that recording."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from gst_listen_search.errors import RecordingError, SearchError

WORKER = Path(__file__).with_name("worker.py")
NEEDED = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst"
# Nothing heard for so long: a decoder hangs. Loading a large model takes some ten seconds.
STALLED = 180.0


def python():
    """A Python with PyGObject: this one, or Debian's (a virtual environment does not see python3-gi).

    # Errors
    None has it.
    """
    tried = []
    for candidate in (sys.executable, "/usr/bin/python3", shutil.which("python3")):
        if candidate and candidate not in tried and os.path.exists(candidate):
            if subprocess.run([candidate, "-c", NEEDED], capture_output=True, env=clean_environment()).returncode == 0:
                return candidate
            tried.append(candidate)
    raise SearchError(f"expected a Python with PyGObject, to run GStreamer; none of {', '.join(tried)} has it: "
                      "apt-get install python3-gi gir1.2-gstreamer-1.0")


def clean_environment():
    """A virtual environment's own settings would lead another Python to its packages."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")}


class Listener:
    """Hears recordings one after the other with one package.

        with Listener(model, melspec=True, properties="output=frames") as listener:
            spans, vectors, told = listener.hear(path)
    """

    def __init__(self, model, melspec, properties, progress=lambda seconds: None, stalled=STALLED):
        self.job = {"model": str(Path(model).resolve()), "melspec": melspec, "encoder": properties}
        self.python, self.progress, self.stalled = python(), progress, stalled
        self.process, self.rest = None, b""

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="gst-listen-search-")
        return self

    def __exit__(self, *_):
        self.stop()
        self.scratch.cleanup()

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process, self.rest = None, b""

    def hear(self, path):
        """`(times [N, 2] in ns, vectors [N, D], what the stream's caps say)` of a recording.

        # Errors
        `RecordingError`: this one cannot be heard. `SearchError`: none can.
        """
        values, times = (Path(self.scratch.name) / name for name in ("values", "times"))
        if self.process is None:
            self.process = subprocess.Popen([self.python, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment())
        job = self.job | {"path": str(Path(path).resolve()), "values": str(values), "times": str(times)}
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is told below
        while True:
            answer = self.answer()
            if "heard" in answer:
                self.progress(answer["heard"])
            elif "error" in answer:
                raise (SearchError if answer["fatal"] else RecordingError)(answer["error"])
            else:
                break
        told = answer["done"]
        if not told["rows"]:
            return np.zeros((0, 2), np.int64), np.zeros((0, 0), np.float32), told
        vectors = np.fromfile(values, "<f4").reshape(told["rows"], told["dim"]).astype(np.float32)
        return np.fromfile(times, "<i8").reshape(told["rows"], 2).astype(np.int64), vectors, told

    def answer(self):
        """The worker's next line; its end and its silence are errors of the recording that it was given."""
        pipe = self.process.stdout.fileno()
        while b"\n" not in self.rest:
            ready, _, _ = select.select([pipe], [], [], self.stalled)
            data = os.read(pipe, 65536) if ready else b""
            if not data:
                if ready:
                    status = self.process.wait()
                    words = f"GStreamer ended on it (signal {-status})" if status < 0 else f"GStreamer ended on it (status {status})"
                else:
                    words = f"nothing came out of it for {self.stalled:g} s"
                self.stop()
                raise RecordingError(words)
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)
