"""How fast the pipeline is on one core, and how large the package is."""

import dataclasses
import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from . import scenes, sounds
from .pipeline import Branch

SHORT, LONG = 10, 610


def real_time(listener, labels, seed, times=3):
    """(x real time by processor time, by the clock): the best of `times`, start of the process and loading taken off.

    Bound to one core where taskset is there. The processor's time does not count what else the machine does.
    """
    core = ("taskset", "-c", "0") if shutil.which("taskset") else ()
    bound = dataclasses.replace(listener, prefix=core, cache=None)
    rng = np.random.default_rng([seed, 7])
    used, clock = [], []
    with tempfile.TemporaryDirectory(prefix="listen-speed-") as folder:
        paths = []
        for seconds in (SHORT, LONG):
            paths.append(Path(folder) / f"{seconds}.wav")
            sounds.write(paths[-1], 0.05 * scenes.background("noise", rng, seconds * sounds.RATE, ()))
        branch = [Branch(tuple(labels), "audio-events")]
        for _ in range(times):
            measured = []
            for path in paths:
                began = time.monotonic()
                _, processor = bound.run(path, branch)
                measured.append((processor, time.monotonic() - began))
            used.append(measured[1][0] - measured[0][0])
            clock.append(measured[1][1] - measured[0][1])
    return (LONG - SHORT) / min(used), (LONG - SHORT) / min(clock)


def sizes(package):
    """Megabytes (10^6 bytes) of a package: all that its manifest names, and the audio side at its default precision."""
    package = Path(package)
    manifest = json.loads((package / "manifest.json").read_text())
    size = lambda name: (package / name).stat().st_size
    graphs = manifest["encoder"]["graphs"]
    precision = manifest["encoder"].get("default_precision") or ("fp32" if "fp32" in graphs else sorted(graphs)[0])
    audio = size(graphs[precision]["file"])
    for part in ("head", "projection", "frame_head"):
        file = manifest.get(part, {})
        if isinstance(file, dict) and "file" in file:
            audio += size(file["file"])
    whole = sum(size(name) for name in manifest["sha256"]) + size("manifest.json")
    return {"package": whole / 1e6, "audio": audio / 1e6, "precision": precision, "family": manifest.get("family", "")}


def space(package):
    """The `space` of a package: its id and 12 hex digits of the manifest's sha256."""
    text = (Path(package) / "manifest.json").read_bytes()
    return json.loads(text)["id"] + "-" + hashlib.sha256(text).hexdigest()[:12]
