"""Captions of two-sound scenes: which sounds a text names, by the committed synonyms."""

import json
import re
import subprocess

import numpy as np

from . import index, pipeline


class Names:
    """Finds labels in a text: the longest synonyms first; what was found is not searched again."""

    def __init__(self, synonyms):
        entries = [(text.lower(), label) for label, texts in synonyms.items() for text in {*texts, label}]
        self.patterns = [
            (re.compile(r"(?<![\w])" + re.escape(text).replace(r"\*", r"\w*") + r"(?![\w])"), label)
            for text, label in sorted(entries, key=lambda e: (-len(e[0]), e[0]))
        ]

    def __call__(self, text):
        """The labels that `text` names."""
        text, found = text.lower(), set()
        for pattern, label in self.patterns:
            text, times = pattern.subn("\x00", text)
            if times:
                found.add(label)
        return found


def judge(named, there):
    """(all of `there` named and nothing else, at least one of `there` named)."""
    return named == set(there), bool(named & set(there))


def listed(labels, there, seed, number, size=10):
    """`size` labels to listen for, those of `there` among them, seeded, in a random order."""
    rng = np.random.default_rng([seed, 6, number])
    rest = [label for label in labels if label not in there]
    ten = [*there, *rng.permutation(rest)[: size - len(there)].tolist()]
    return [ten[i] for i in rng.permutation(len(ten))]


def available(listener):
    """Whether the plugin has llmcaption."""
    return (
        subprocess.run(["gst-inspect-1.0", "llmcaption"], capture_output=True, env=listener.environment()).returncode
        == 0
    )


def check(listener, backend):
    """Raises `ValueError` for `local` where the package has no decoder: llmcaption would let `template` write."""
    package = listener.package or index.HERE.parent / "packages" / "default"
    if backend == "local" and "captioner" not in json.loads((package / "manifest.json").read_text()):
        raise ValueError(f"{package}: backend=local needs `captioner` in the manifest, found none")


def hear(listener, scene, ten, backend, identity):
    """What llmcaption said in a scene, as one text, and the labels whose events clapmatch told."""
    after = ("llmcaption", f"backend={backend}")
    branches = [pipeline.Branch(tuple(ten), "text", after), pipeline.Branch(tuple(ten), "audio-events")]
    said, events = listener.hear(lambda: scene.samples, branches, identity)
    return " ".join(said).strip(), {e[2] for e in pipeline.events(events)}
