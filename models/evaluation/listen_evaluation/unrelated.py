"""Streams of sound that no label matches: pieces of recordings in rooms, through filters, at all levels; and noise and tones."""

from typing import NamedTuple

import numpy as np

from . import index, sounds

MINUTES = 10


class Recording(NamedTuple):
    """A waveform and the stem of its file's name."""

    name: str
    samples: np.ndarray


class Piece(NamedTuple):
    """What a stretch of a stream is: seconds, its kind, and the recording where it is one alone ("" otherwise)."""

    start: float
    end: float
    kind: str
    name: str


def kinds(folder, part="eval", file=None):
    """{kind: groups of recordings} of the split's `part`: spoken words by speaker, long pieces, short ones. Empty kinds are left out."""
    speech, long, short = {}, [], []
    for row in index.unrelated(folder, part, file):
        x = sounds.trim(sounds.read(row.path))
        if not len(x):
            continue
        recording, stem = Recording(row.path.stem, x / np.abs(x).max()), row.path.stem
        if "__" in stem and row.label == "speech":
            speech.setdefault(stem.split("__")[1].split("_")[0], []).append(recording)
        else:
            (long if len(x) > 4 * sounds.RATE else short).append(recording)
    found = {
        "spoken words": list(speech.values()),
        "long recordings": [[r] for r in long],
        "short sounds": [[r] for r in short],
    }
    return {kind: groups for kind, groups in found.items() if groups}


def flat(found):
    """The same as lists of waveforms, one a kind: what backgrounds of scenes are made of."""
    return [[r.samples for group in groups for r in group] for groups in found.values()]


def piece(found, rng):
    """A piece of a few to thirty seconds: words of one speaker, a stretch of something long, or some short sounds. Samples, kind, name."""
    kind = list(found)[rng.integers(len(found))]
    groups = found[kind]
    group = groups[rng.integers(len(groups))]
    name, first = group[rng.integers(len(group))]
    if len(first) > 4 * sounds.RATE:
        length = int(rng.uniform(5, 30) * sounds.RATE)
        start = int(rng.integers(max(1, len(first) - length)))
        return sounds.faded(first[start : start + length]), kind, name
    parts, again = [], rng.random() < 0.3
    for _ in range(rng.integers(4, 13)):
        group = group if again or len(group) > 1 else groups[rng.integers(len(groups))]
        parts.append(sounds.faded(group[rng.integers(len(group))].samples))
        parts.append(np.zeros(int(rng.uniform(0.05, 0.8) * sounds.RATE), np.float32))
    return np.concatenate(parts), kind, ""


def stream(found, seed, number, minutes=MINUTES):
    """A stream of recordings and its pieces: with pauses over a noise floor, gain -30..0 dB, most filtered, half in a room."""
    rng = np.random.default_rng([seed, 4, number])
    n = int(minutes * 60 * sounds.RATE)
    out, at, pieces = np.zeros(n, np.float32), 0, []
    while at < n:
        x, kind, name = piece(found, rng)
        if rng.random() < 0.7:
            x = sounds.equalised(rng, x)
        if rng.random() < 0.5:
            x = sounds.in_room(rng, x)
        x = x * np.float32(10 ** (-rng.uniform(0, 30) / 20) * 0.9 / max(float(np.abs(x).max()), 1e-6))
        x = x[: n - at]
        out[at : at + len(x)] += x
        after = at + len(x) + int(rng.uniform(0.2, 2.0) * sounds.RATE)
        # The pause behind a piece is the piece's: what is heard there is of its end.
        pieces.append(Piece(at / sounds.RATE, min(after, n) / sounds.RATE, kind, name))
        at = after
    floor = sounds.noise(rng, n) * 10 ** (-rng.uniform(45, 80) / 20)
    return out + floor.astype(np.float32), pieces


def made_up(seed, number, minutes=MINUTES):
    """A stream of noise, hum, tones and silence, each for 5 to 30 s and at -60..-6 dB; it has no pieces."""
    rng = np.random.default_rng([seed, 5, number])
    n = int(minutes * 60 * sounds.RATE)
    out, at = np.zeros(n, np.float32), 0
    while at < n:
        length = min(int(rng.uniform(5, 30) * sounds.RATE), n - at)
        makers = (sounds.noise, sounds.noise, sounds.hum, sounds.tones, lambda _, n: np.zeros(n, np.float32))
        x = makers[rng.integers(len(makers))](rng, max(length, sounds.RATE))[:length]
        peak = max(float(np.abs(x).max()), 1e-6)
        out[at : at + length] = sounds.faded(x * np.float32(10 ** (-rng.uniform(6, 60) / 20) / peak), 0.5)
        at += length
    return out, []
