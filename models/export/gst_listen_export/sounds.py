"""Sounds for self-tests and for measuring reduced precisions: by formula, or a user's own."""

import wave
from pathlib import Path

import numpy as np

from gst_listen_export.errors import ExportError


def test_sound(rate, n, seed=1):
    """`n` samples: a tone, a sweep, noise and a quiet part; other seeds give other tones and orders. float32 in [-1, 1]."""
    rng, t = np.random.default_rng(seed), np.arange(n) / rate
    f0, f1 = rng.uniform(100, 800), rng.uniform(0.1, 0.4) * rate
    parts = [
        0.3 * np.sin(2 * np.pi * f0 * t) + 0.1 * np.sin(2 * np.pi * 3.1 * f0 * t),
        0.3 * np.sin(2 * np.pi * (f0 + (f1 - f0) * t / (2 * max(t[-1], 1e-9))) * t),
        0.2 * rng.uniform(-1, 1, n) * (0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(2, 9) * t)),
        0.002 * rng.uniform(-1, 1, n),
    ]
    order, x = rng.permutation(len(parts)), np.zeros(n)
    for place, which in enumerate(order):
        at = slice(place * n // len(parts), (place + 1) * n // len(parts))
        x[at] = parts[which][at]
    return (x + 0.001 * rng.uniform(-1, 1, n)).astype(np.float32)


def windows(folder, rate, n, count=16):
    """`count` pieces of `n` samples: of the WAV files in `folder`, or by formula where that is None.

    # Errors
    No WAV files, another rate, another sample format, too little sound.
    """
    if folder is None:
        return [test_sound(rate, n, seed) for seed in range(2, 2 + count)]
    return thinned([piece for pieces in recordings(folder, rate, n, 4 * count) for piece in pieces], count)


def two_sets(folder, rate, n, count=16):
    """Two lists of `count` pieces as `windows` has them, from other formulas or other recordings: of the second nothing is in the first.

    # Errors
    As `windows`; a single piece, of which nothing could be held back.
    """
    if folder is None:
        both = windows(None, rate, n, 2 * count)
        return both[:count], both[count:]
    found = recordings(folder, rate, n, 8 * count)
    if len(found) == 1:
        # Of a single recording the end is held back.
        middle = len(found[0]) // 2
        found = [found[0][:middle], found[0][middle:]]
    sets = [[piece for pieces in found[place::2] for piece in pieces] for place in (0, 1)]
    if not all(sets):
        raise ExportError(f"{folder}: expected at least two windows of {n / rate:.2f} s, one to be held back and measured on; found one")
    return tuple(thinned(pieces, count) for pieces in sets)


def recordings(folder, rate, n, most):
    """The pieces of each WAV file in `folder` that has any, until there are `most`.

    # Errors
    As `windows`.
    """
    files = sorted(Path(folder).rglob("*.wav"))
    if not files:
        raise ExportError(f"{folder}: expected WAV files; found none")
    found, count = [], 0
    for file in files:
        x = read_wav(file, rate)
        pieces = [x[a : a + n] for a in range(0, len(x) - n + 1, n)]
        if pieces:
            found.append(pieces)
            count += len(pieces)
        # Two at least, so that one can be held back.
        if count >= most and len(found) > 1:
            break
    if not found:
        raise ExportError(f"{folder}: expected files of at least {n / rate:.2f} s; all are shorter")
    return found


def thinned(pieces, count):
    return pieces[:: max(1, len(pieces) // count)][:count]


def read_wav(file, rate):
    """A 16-bit WAV file as float32, its channels mixed."""
    try:
        with wave.open(str(file)) as w:
            if w.getframerate() != rate or w.getsampwidth() != 2:
                raise ExportError(f"{file}: expected 16-bit samples at {rate} Hz; found {8 * w.getsampwidth()}-bit at {w.getframerate()} Hz")
            x = np.frombuffer(w.readframes(w.getnframes()), "<i2").reshape(-1, w.getnchannels())
    except (wave.Error, EOFError) as error:
        raise ExportError(f"{file}: expected a WAV file: {error}") from None
    return (x.mean(axis=1) / 32768.0).astype(np.float32)
