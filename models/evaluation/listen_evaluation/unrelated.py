"""Streams of sound that no label matches: pieces of recordings in rooms, through filters, at all levels; and noise and tones."""

import numpy as np

from . import index, sounds

MINUTES = 10


def kinds(folder, part="eval", file=None):
    """The waveforms of the split's `part` by kind: spoken words by speaker, long pieces, short ones. Empty ones are left out."""
    speech, long, short = {}, [], []
    for row in index.unrelated(folder, part, file):
        x = sounds.trim(sounds.read(row.path))
        if not len(x):
            continue
        x = x / np.abs(x).max()
        stem = row.path.stem
        if "__" in stem and row.label == "speech":
            speech.setdefault(stem.split("__")[1].split("_")[0], []).append(x)
        else:
            (long if len(x) > 4 * sounds.RATE else short).append(x)
    return [k for k in (list(speech.values()), [[x] for x in long], [[x] for x in short]) if k]


def flat(found):
    """The same as lists of waveforms, one a kind: what backgrounds of scenes are made of."""
    return [[x for group in kind for x in group] for kind in found]


def piece(found, rng):
    """A piece of a few to thirty seconds: words of one speaker, a stretch of something long, or some short sounds."""
    kind = found[rng.integers(len(found))]
    group = kind[rng.integers(len(kind))]
    first = group[rng.integers(len(group))]
    if len(first) > 4 * sounds.RATE:
        length = int(rng.uniform(5, 30) * sounds.RATE)
        start = int(rng.integers(max(1, len(first) - length)))
        return sounds.faded(first[start : start + length])
    parts, again = [], rng.random() < 0.3
    for _ in range(rng.integers(4, 13)):
        group = group if again or len(group) > 1 else kind[rng.integers(len(kind))]
        parts.append(sounds.faded(group[rng.integers(len(group))]))
        parts.append(np.zeros(int(rng.uniform(0.05, 0.8) * sounds.RATE), np.float32))
    return np.concatenate(parts)


def stream(found, seed, number, minutes=MINUTES):
    """A stream of recordings: pieces with pauses over a noise floor, gain -30..0 dB, most of them filtered, half in a room."""
    rng = np.random.default_rng([seed, 4, number])
    n = int(minutes * 60 * sounds.RATE)
    out, at = np.zeros(n, np.float32), 0
    while at < n:
        x = piece(found, rng)
        if rng.random() < 0.7:
            x = sounds.equalised(rng, x)
        if rng.random() < 0.5:
            x = sounds.in_room(rng, x)
        x = x * np.float32(10 ** (-rng.uniform(0, 30) / 20) * 0.9 / max(float(np.abs(x).max()), 1e-6))
        x = x[: n - at]
        out[at : at + len(x)] += x
        at += len(x) + int(rng.uniform(0.2, 2.0) * sounds.RATE)
    floor = sounds.noise(rng, n) * 10 ** (-rng.uniform(45, 80) / 20)
    return out + floor.astype(np.float32)


def made_up(seed, number, minutes=MINUTES):
    """A stream of noise, hum, tones and silence, each for 5 to 30 s and at -60..-6 dB."""
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
    return out
