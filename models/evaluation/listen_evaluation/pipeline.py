"""The real pipeline: gst-launch-1.0 on a file, one or more clapmatch behind one encoder, and the JSON lines that they write."""

import contextlib
import hashlib
import json
import os
import resource
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import sounds

TIMEOUT = 1800


@dataclass(frozen=True)
class Branch:
    """A clapmatch of its own behind the encoder: its labels, and `audio-scores` or `audio-events` of it."""

    labels: tuple
    form: str
    after: tuple = ()  # elements behind clapmatch instead of the form's caps

    def elements(self):
        text = ";".join(label.replace("\\", "\\\\").replace(";", "\\;").replace('"', '\\"') for label in self.labels)
        # gst-launch takes one level of backslashes away inside quotes.
        quoted = text.replace("\\", "\\\\").replace('\\\\"', '\\"')
        match = ["clapmatch", f'labels="{quoted}"']
        return [*match, "!", *(self.after or (f"application/x-json,format={self.form}",))]


@dataclass(frozen=True)
class Listener:
    """The package that listens, by which plugin, and with which properties of the encoder (none: its defaults)."""

    package: Path | None = None
    plugin_path: str | None = None
    properties: tuple = ()
    prefix: tuple = ()  # a command before gst-launch-1.0, such as taskset
    cache: Path | None = field(default=None, compare=False)
    registry: str | None = None

    def with_properties(self, *properties):
        return Listener(self.package, self.plugin_path, properties, self.prefix, self.cache, self.registry)

    def command(self, path, branches, places):
        """The command line for `path`; each branch writes into its file of `places`."""
        encoder = ["m2dencode", *self.properties]
        if self.package:
            encoder += [f"model={self.package}", "accept-license=true"]
        line = [*self.prefix, "gst-launch-1.0", "-q", "filesrc", f"location={path}", "!", "decodebin", "!"]
        line += ["audioconvert", "!", "audioresample", "!", "melspec", "!", *encoder, "!"]
        if len(branches) == 1:
            return [*line, *branches[0].elements(), "!", "filesink", f"location={places[0]}"]
        line += ["tee", "name=t"]
        for branch, place in zip(branches, places, strict=True):
            # Behind a tee without queues a sink must not wait for the others' first buffer.
            line += ["t.", "!", *branch.elements(), "!", "filesink", "async=false", f"location={place}"]
        return line

    def environment(self):
        env = dict(os.environ)
        if self.plugin_path:
            env["GST_PLUGIN_PATH"] = str(self.plugin_path)
        if self.registry:
            env["GST_REGISTRY"] = str(self.registry)
        return env

    def run(self, path, branches):
        """What each branch wrote as text, and the processor seconds that the process used."""
        with tempfile.TemporaryDirectory(prefix="listen-evaluation-") as folder:
            places = [Path(folder) / f"{i}.out" for i in range(len(branches))]
            line = self.command(path, branches, places)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT, env=self.environment())
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode:
                raise RuntimeError(
                    f"{path}: gst-launch-1.0 ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
                )
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            return [p.read_text() if p.exists() else "" for p in places], used

    def place(self, branches, identity):
        """The cache's file for a sound, or None without a cache."""
        if not self.cache or identity is None:
            return None
        key = "\n".join([identity, repr(self.properties), repr(branches)])
        return self.cache / (hashlib.sha256(key.encode()).hexdigest()[:32] + ".json")

    def hear(self, sound, branches, identity=None):
        """The lines of each branch (scores and events are parsed); from the cache where `identity` was heard before.

        `sound` is a file, or a function that gives samples: it is called only where the cache has nothing. `identity`
        names the sound, whatever its file is called.
        """
        place = self.place(branches, identity)
        if place and place.exists():
            return json.loads(place.read_text())
        with tempfile.TemporaryDirectory(prefix="listen-sound-") as folder:
            path = sound
            if callable(sound):
                path = Path(folder) / "sound.wav"
                sounds.write(path, sound())
            texts, _ = self.run(path, branches)
        lines = [parsed(text) if not b.after else text.splitlines() for text, b in zip(texts, branches, strict=True)]
        # Scores take most room and are kept as numbers.
        lines = [
            compact(found, b) if b.form == "audio-scores" else found for found, b in zip(lines, branches, strict=True)
        ]
        if place:
            keep(place, lines)
        return lines


def keep(place, value):
    """Writes `value` as JSON, whole or not at all: several pipelines run at once."""
    unfinished = place.with_suffix(f".{os.getpid()}-{id(value)}")
    unfinished.write_text(json.dumps(value))
    unfinished.rename(place)


def parsed(text):
    """The objects of JSON lines."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def compact(lines, branch):
    """Score lines as {start, end: seconds, score, cosine: a row a line in the branch's order of labels}."""
    place = {label: i for i, label in enumerate(branch.labels)}
    out = {"start": [], "end": [], "score": [], "cosine": []}
    for line in lines:
        score, cosine = [0.0] * len(place), [-1.0] * len(place)
        for entry in line["scores"]:
            i = place[entry["label"]]
            score[i], cosine[i] = entry["score"], entry.get("cosine", -1.0)
        out["start"].append(line["start_timestamp"] / 1e9)
        out["end"].append(line["end_timestamp"] / 1e9)
        out["score"].append(score)
        out["cosine"].append(cosine)
    return out


def curve(scores, seconds):
    """Times [n + 1] and scores [n, labels] without gaps from 0 to `seconds`: a line says what is new since the one before."""
    ends = np.minimum(np.asarray(scores["end"], float), seconds)
    values = np.asarray(scores["score"], float)
    keep = np.diff(np.concatenate([[0.0], ends])) > 1e-6
    ends, values = ends[keep], values[keep]
    if not len(ends):
        raise RuntimeError("no window of scores came out")
    ends[-1] = seconds
    return np.concatenate([[0.0], ends]), values


def events(lines):
    """Events that ended, of event lines: (onset, offset, label, peak score), times in seconds."""
    found = []
    for line in lines:
        for event in line["events"]:
            if event["type"] == "end":
                found.append((event["onset"] / 1e9, event["offset"] / 1e9, event["label"], event["peak_score"]))
    return found


def identity(listener):
    """What is listened with: plugin version and the package's `id` and space, from a tenth of a second of silence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "silence.wav"
        sounds.write(path, np.zeros(sounds.RATE))
        (text,), _ = listener.run(path, [Branch(("silence",), "audio-scores")])
    line = parsed(text)[0]
    version = "unknown"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        shown = subprocess.run(
            ["gst-inspect-1.0", "listen"], capture_output=True, text=True, timeout=60, env=listener.environment()
        ).stdout
        found = {k.strip(): v for k, _, v in (line.strip().partition("  ") for line in shown.splitlines()) if v}
        version, file = found.get("Version", "unknown").strip(), found.get("Filename", "").strip()
        if file and Path(file).exists():
            version += " " + hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]
    return {"id": line.get("model", "?"), "space": line.get("space", "?"), "plugin": version}
