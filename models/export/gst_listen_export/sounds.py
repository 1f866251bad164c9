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
    files = sorted(Path(folder).rglob("*.wav"))
    if not files:
        raise ExportError(f"{folder}: expected WAV files; found none")
    pieces = []
    for file in files:
        x = read_wav(file, rate)
        pieces += [x[a : a + n] for a in range(0, len(x) - n + 1, n)]
        if len(pieces) >= 4 * count:
            break
    if not pieces:
        raise ExportError(f"{folder}: expected files of at least {n / rate:.2f} s; all are shorter")
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
