"""What the tests of README.md share: its pipelines by name, and a folder to run them in."""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import jsonschema

REPO = pathlib.Path(__file__).resolve().parents[2]
README = (REPO / "README.md").read_text()
BLOCKS = dict(re.findall(r"<!-- pipeline: (\w+) -->\n```sh\n(.*?)```", README, re.S))
SCHEMA = json.loads((REPO / "models/zeroshot/schema/audio-events.schema.json").read_text())
RECORDING = REPO / "examples/street.flac"


def run(command, folder, timeout=180, check=True):
    """Runs a shell command in `folder` and returns what it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, timeout=timeout
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{command}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def run_until(command, folder, enough, timeout=180):
    """Runs a command that does not end until `enough` says so of a line it printed, then interrupts it: what it printed."""
    words = ["bash", "-euo", "pipefail", "-c", f"exec stdbuf --output=L {command}"]
    running = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    watch = threading.Timer(timeout, running.kill)
    watch.start()
    printed = []
    try:
        for line in running.stdout:
            printed.append(line)
            if enough(line):
                break
        running.send_signal(signal.SIGINT)
        printed += running.stdout
    finally:
        watch.cancel()
        running.kill()
        running.wait()
        running.stdout.close()
    return "".join(printed)


def events(output):
    """The JSON lines of a pipeline's output, each as the schema has it."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    return lines


class Pipelines(unittest.TestCase):
    """Each test has a folder of its own with the recording in it."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        shutil.copy(RECORDING, self.folder / "street.flac")
        (self.folder / "examples").symlink_to(REPO / "examples")

    def command(self, name, **replace):
        """A pipeline of the README with each name in `replace` put in place of what it stands for."""
        command = BLOCKS[name].strip()
        for old, new in replace.values():
            self.assertIn(old, command, "the README no longer says what this test replaces")
            command = command.replace(old, new)
        return command
