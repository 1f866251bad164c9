"""Samples: reading, where a clip sounds, and what rooms, filters and backgrounds do to it. 16 kHz mono, float32."""

import math
import wave

import numpy as np

RATE = 16000
# The truth's rule: 50 ms RMS within 30 dB of the clip's loudest 50 ms, gaps under 0.5 s joined, parts under 0.1 s dropped.
STEP, RANGE_DB, GAP, LEAST = 0.05, 30.0, 0.5, 0.1


def read(path):
    """A file as mono float32 at 16 kHz."""
    import soundfile

    x, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    x = x.mean(axis=1)
    if rate != RATE:
        import soxr

        x = soxr.resample(x, rate, RATE).astype(np.float32)
    return x


def write(path, x):
    """16-bit WAV; what is beyond full scale is cut."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(x, -1, 1) * 32767).round().astype("<i2").tobytes())


def trim(x):
    """Without the digital silence at both ends."""
    loud = np.flatnonzero(np.abs(x) > 1.5 / 32768)
    return x[loud[0] : loud[-1] + 1] if len(loud) else x[:0]


def rms(x):
    """Root mean square."""
    return math.sqrt(float(np.mean(np.square(x, dtype=np.float64)))) if len(x) else 0.0


def active(x):
    """Where a clip sounds, by the rule above: [(start, end)] in seconds."""
    block = int(STEP * RATE)
    if len(x) < block:
        return []
    count = len(x) // block
    level = np.sqrt(np.mean(np.square(x[: count * block].reshape(count, block), dtype=np.float64), axis=1))
    if level.max() <= 0:
        return []
    on = (level >= level.max() * 10 ** (-RANGE_DB / 20)).astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on, [0]]))).reshape(-1, 2) * STEP
    parts = []
    for start, end in edges.tolist():
        if parts and start - parts[-1][1] < GAP - 1e-9:
            parts[-1][1] = end
        else:
            parts.append([start, end])
    return [(start, end) for start, end in parts if end - start >= LEAST - 1e-9]


def cut(x, parts):
    """The samples of `parts` (seconds), one after the other."""
    return np.concatenate([x[int(a * RATE) : int(b * RATE)] for a, b in parts]) if parts else x[:0]


def faded(x, seconds=0.01):
    """With short fades at both ends, so that a cut is no click."""
    n = min(int(seconds * RATE), len(x) // 2)
    if n == 0:
        return x
    x = x.copy()
    ramp = np.linspace(0, 1, n, dtype=np.float32)
    x[:n] *= ramp
    x[-n:] *= ramp[::-1]
    return x


def shaped(x, gain):
    """`x` filtered by `gain(frequency in Hz)` without phase."""
    spectrum = np.fft.rfft(x)
    return np.fft.irfft(spectrum * gain(np.fft.rfftfreq(len(x), 1 / RATE)), len(x)).astype(np.float32)


def noise(rng, n):
    """Noise of a random colour (white to brown) that slowly swells by up to 3 dB; RMS 1."""
    slope = rng.uniform(0, 1)
    x = shaped(rng.standard_normal(n).astype(np.float32), lambda f: np.maximum(f, 20.0) ** -slope)
    points = max(2, int(n / RATE * rng.uniform(0.2, 1.0)) + 2)
    swell = np.interp(np.arange(n), np.linspace(0, n, points), rng.uniform(-3, 3, points))
    x = x * (10 ** (swell / 20)).astype(np.float32)
    return x / max(rms(x), 1e-9)


def hum(rng, n):
    """Mains hum of 50 or 60 Hz with falling harmonics; RMS 1."""
    base, t, x = rng.choice([50.0, 60.0]), np.arange(n) / RATE, np.zeros(n)
    for k in range(1, 12):
        x += np.sin(2 * np.pi * k * base * t + rng.uniform(0, 2 * np.pi)) * rng.uniform(0.2, 1) / k
    return (x / rms(x)).astype(np.float32)


def tones(rng, n):
    """One to four steady sine tones; RMS 1."""
    t, x = np.arange(n) / RATE, np.zeros(n)
    for _ in range(rng.integers(1, 5)):
        x += np.sin(2 * np.pi * 10 ** rng.uniform(2, 3.7) * t + rng.uniform(0, 2 * np.pi)) * rng.uniform(0.3, 1)
    return (x / rms(x)).astype(np.float32)


def equalised(rng, x):
    """Through a random smooth curve of -8 to 8 dB, and at times through a telephone's band."""
    octaves = np.linspace(math.log2(60), math.log2(8000), 6)
    decibels = rng.uniform(-8, 8, 6)
    low, high = (300, 3400) if rng.random() < 0.15 else (0, RATE)

    def gain(f):
        curve = 10 ** (np.interp(np.log2(np.maximum(f, 1)), octaves, decibels) / 20)
        return curve * np.where((f < low) | (f > high), 0.03, 1.0)

    return shaped(x, gain)


def in_room(rng, x):
    """In a synthetic room: a few early reflections and a tail of 0.15 to 0.9 s; as loud as before, as long as before."""
    from scipy.signal import fftconvolve

    decay = rng.uniform(0.15, 0.9)
    n = int(decay * RATE)
    t = np.arange(n) / RATE
    response = rng.standard_normal(n) * 10 ** (-3 * t / decay)
    corner = rng.uniform(2000, 6000)
    response = shaped(response.astype(np.float32), lambda f: 1 / (1 + f / corner))
    response *= 10 ** (rng.uniform(-14, -2) / 20) / max(math.sqrt(float(np.sum(np.square(response)))), 1e-9)
    response[0] += 1
    for _ in range(rng.integers(2, 7)):
        response[int(rng.uniform(0.001, 0.03) * RATE)] += rng.uniform(-0.5, 0.5)
    wet = fftconvolve(x, response)[: len(x)]
    return (wet * (rms(x) / max(rms(wet), 1e-9))).astype(np.float32)
