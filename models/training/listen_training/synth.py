"""Sound that is made up: noise, notes, drums, babble; and what rooms, filters and tape do to sound."""

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import fftconvolve, istft, lfilter, stft

from . import audio


def noise(rng, n):
    """Noise of a random colour, hum, or nothing at all: what a microphone gives where nothing happens."""
    kind = rng.integers(6)
    if kind == 0:
        return np.zeros(n, np.float32)
    white = rng.standard_normal(n).astype(np.float32)
    if kind == 1:
        x = white
    elif kind == 2:
        x = lfilter([1], [1, -0.995], white)
    elif kind == 3:
        x = lfilter([1], [1, -rng.uniform(0.3, 0.95)], white)
    elif kind == 4:
        x = np.diff(white, append=0) * rng.uniform(0.2, 1) + white * rng.uniform(0, 0.5)
    else:
        t = np.arange(n) / audio.RATE
        f = rng.choice([50, 60]) * rng.uniform(0.99, 1.01)
        x = sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * f * k * t + rng.uniform(0, 6.28)) for k in range(1, 8))
        x = x + 0.05 * rng.uniform() * white
    return (x / (np.abs(x).max() + 1e-9)).astype(np.float32)


def tune(rng, n):
    """A synthesiser playing notes of random harmonics, glides and envelopes: no recording, no label's sound."""
    x, at, t = np.zeros(n), 0, np.arange(n) / audio.RATE
    base, partials = rng.uniform(80, 700), rng.integers(1, 9)
    weights = rng.uniform(0, 1, partials) / np.arange(1, partials + 1) ** rng.uniform(0, 1.5)
    depth, ratio = rng.choice([0.0, rng.uniform(0.2, 4)]), rng.choice([0.5, 1.0, 1.41, 2.0, 3.0, 3.5])
    while at < n:
        length = min(int(rng.uniform(0.08, 0.9) * audio.RATE), n - at)
        s = t[:length]
        f = base * 2 ** (rng.integers(-12, 13) / 12)
        glide = 2 ** (rng.normal(0, 0.03) * s / 0.3 + 0.02 * rng.uniform() * np.sin(2 * np.pi * rng.uniform(3, 7) * s))
        phase = 2 * np.pi * np.cumsum(f * glide) / audio.RATE
        note = sum(
            w * np.sin((k + 1) * phase + depth * np.sin(ratio * phase))
            for k, w in enumerate(weights)
            if (k + 1) * f < 7000
        )
        envelope = np.minimum(1, s / rng.uniform(0.003, 0.08)) * np.exp(-s / rng.uniform(0.05, 1.5))
        envelope *= np.minimum(1, (length - np.arange(length)) / 200)
        x[at : at + length] += note * envelope * rng.uniform(0.3, 1)
        at += int(length * rng.uniform(0.6, 1.6)) + 1
    return (x / (np.abs(x).max() + 1e-9)).astype(np.float32)


def babble(rng, n):
    """Like a voice without words: pulses and breath through moving formants, in syllables."""
    t = np.arange(n) / audio.RATE
    knots = max(3, int(n / audio.RATE * rng.uniform(3, 7)))
    along = lambda low, high: np.interp(t, np.linspace(0, t[-1], knots), rng.uniform(low, high, knots))
    f0 = rng.uniform(80, 280) * 2 ** along(-0.35, 0.35)
    phase = np.cumsum(f0) / audio.RATE
    pulses = np.diff(np.floor(phase), prepend=0) + 0.02 * rng.standard_normal(n)
    voiced = along(-0.4, 1) > 0
    source = np.where(voiced, pulses, 0.15 * rng.standard_normal(n))
    out, size = np.zeros(n), audio.RATE // 25
    tracks = [along(a, b) for a, b in ((250, 900), (800, 2400), (2000, 3400))]
    state = [np.zeros(2) for _ in tracks]
    for start in range(0, n, size):
        piece = source[start : start + size]
        for k, track in enumerate(tracks):
            r = np.exp(-np.pi * (60 + 50 * k) / audio.RATE)
            a = [1, -2 * r * np.cos(2 * np.pi * track[start] / audio.RATE), r * r]
            y, state[k] = lfilter([1 - r], a, piece, zi=state[k])
            out[start : start + size] += y / (k + 1)
    out *= np.maximum(0, along(-0.3, 1)) ** 0.5
    return (out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def room(rng, x):
    """`x` in a synthetic room: a direct path and exponentially decaying noise."""
    decay = rng.uniform(0.1, 0.9)
    n = int(decay * audio.RATE)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    tail *= rng.uniform(0.1, 0.8) / np.sqrt((tail**2).sum())
    tail[0] = 1
    return fftconvolve(x, tail)[: len(x)].astype(np.float32)


def drums(rng, n):
    """A rhythm of two to four made-up drums: falling sines, bursts of noise, rings of odd partials."""
    kits = []
    for _ in range(rng.integers(2, 5)):
        length = int(rng.uniform(0.05, 0.6) * audio.RATE)
        t, kind = np.arange(length) / audio.RATE, rng.integers(4)
        fall = np.exp(-t / rng.uniform(0.01, 0.18))
        if kind == 0:
            f = rng.uniform(40, 220) * (1 + rng.uniform(0.5, 4) * np.exp(-t / rng.uniform(0.01, 0.05)))
            x = np.sin(2 * np.pi * np.cumsum(f) / audio.RATE) * fall
        elif kind == 1:
            x = np.diff(rng.standard_normal(length), append=0) * fall
        elif kind == 2:
            b = rng.uniform(0.2, 0.9)
            x = lfilter([1 - b], [1, -b], rng.standard_normal(length)) * fall
            x = x / (np.abs(x).max() + 1e-9) + 0.6 * np.sin(2 * np.pi * rng.uniform(120, 400) * t) * fall
        else:
            x = sum(
                rng.uniform(0.2, 1)
                * np.sin(2 * np.pi * rng.uniform(150, 5000) * t)
                * np.exp(-t / rng.uniform(0.02, 0.3))
                for _ in range(rng.integers(2, 7))
            )
        kits.append(x / (np.abs(x).max() + 1e-9))
    beat, out = rng.uniform(0.09, 0.35), np.zeros(n)
    steps = int(rng.integers(4, 17))
    pattern = rng.random((len(kits), steps)) < rng.uniform(0.15, 0.6, (len(kits), 1))
    for k in range(int(n / audio.RATE / beat) + 1):
        at = int((k * beat + rng.normal(0, 0.004)) * audio.RATE)
        for drum, hits in zip(kits, pattern, strict=True):
            if hits[k % steps] and 0 <= at < n:
                part = drum[: n - at]
                out[at : at + len(part)] += part * rng.uniform(0.4, 1)
    return (out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def coloured(rng, x):
    """Through a random smooth curve of -8 to 8 dB, and at times through a telephone's band; as loud as before."""
    spectrum, f = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / audio.RATE)
    octaves = np.linspace(np.log2(60), np.log2(8000), 6)
    gain = 10 ** (np.interp(np.log2(np.maximum(f, 1)), octaves, rng.uniform(-8, 8, 6)) / 20)
    if rng.random() < 0.12:
        gain = gain * np.where((f < rng.uniform(200, 400)) | (f > rng.uniform(2800, 4000)), 0.03, 1.0)
    y = np.fft.irfft(spectrum * gain, len(x))
    return (y * np.sqrt((np.mean(np.square(x, dtype=np.float64)) + 1e-12) / (np.mean(y**2) + 1e-12))).astype(np.float32)


def faster(x, speed):
    """`x` played at `speed` times its speed (and pitch)."""
    at = np.arange(int(len(x) / speed)) * speed
    return np.interp(at, np.arange(len(x)), x).astype(np.float32)


def cymbals(rng, n):
    """Dense clouds of partials and hiss that ring for a while, hit now and then."""
    out, at = np.zeros(n), int(rng.uniform(0, 0.5) * audio.RATE)
    while at < n:
        length = min(int(rng.uniform(0.3, 3) * audio.RATE), n - at)
        t, decay = np.arange(length) / audio.RATE, rng.uniform(0.1, 1.2)
        partials = 10 ** rng.uniform(2.5, 3.88, rng.integers(15, 50))
        x = sum(
            np.sin(2 * np.pi * f * t + rng.uniform(0, 6.28)) * np.exp(-t / decay / rng.uniform(0.4, 1))
            for f in partials
        )
        hiss = np.diff(rng.standard_normal(length), append=0)
        x = x / np.sqrt(len(partials)) + rng.uniform(0.2, 1.5) * hiss * np.exp(-t / decay / rng.uniform(0.2, 1))
        if rng.random() < 0.25:
            x = x[::-1]
        out[at : at + length] += x * rng.uniform(0.3, 1)
        at += int(rng.uniform(0.2, 2.5) * audio.RATE)
    return (out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def chimes(rng, n):
    """A tune of small bells, plucked bars and glass: partials as no string has them, that die away one by one."""
    out, at, base = np.zeros(n), 0, rng.uniform(200, 1200)
    ratios = np.cumsum(rng.uniform(0.7, 2.2, rng.integers(2, 6)))
    ratios, beat = ratios / ratios[0], rng.uniform(0.1, 0.5)
    while at < n:
        length = min(int(rng.uniform(0.3, 2.5) * audio.RATE), n - at)
        t = np.arange(length) / audio.RATE
        note = base * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
        for k, ratio in enumerate(ratios):
            if note * ratio < 7500:
                ring = np.exp(-t / (rng.uniform(0.05, 0.8) / (1 + k)))
                out[at : at + length] += rng.uniform(0.2, 1) / (1 + k) * np.sin(2 * np.pi * note * ratio * t) * ring
        at += int(beat * rng.integers(1, 4) * audio.RATE)
    return (out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def sweeps(rng, n):
    """Bands of noise and tones that glide up and down, as synthesisers and games make them."""
    out, at = np.zeros(n), int(rng.uniform(0, 0.6) * audio.RATE)
    while at < n:
        length = min(int(rng.uniform(0.15, 2) * audio.RATE), n - at)
        t = np.linspace(0, 1, length)
        track = np.interp(t, np.linspace(0, 1, 4), rng.uniform(2.0, 3.8, 4))
        phase = 2 * np.pi * np.cumsum(10**track) / audio.RATE
        tone = np.sin(phase + rng.uniform(0, 6) * np.sin(phase * rng.choice([0.5, 1.0, 1.5, 2.0])))
        # Noise around the gliding tone: slow noise turned up to it.
        slow = lfilter([0.05], [1, -0.95], rng.standard_normal(length))
        share = rng.choice([0.0, 1.0, rng.random()])
        x = share * slow / (np.abs(slow).max() + 1e-9) * np.sin(phase) * 2 + (1 - share) * tone
        x *= np.sin(np.pi * t ** rng.uniform(0.3, 3)) ** rng.uniform(0.3, 2)
        out[at : at + length] += x
        at += length + int(rng.uniform(0, 1) * audio.RATE)
    return (out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def bent(rng, x):
    """`x` as no microphone hears it: scratched like a record, backwards, ring modulated, crushed to few bits, or combed."""
    kind, n = rng.integers(5), len(x)
    t = np.arange(n) / audio.RATE
    if kind == 0:
        knots = max(4, int(n / audio.RATE * rng.uniform(2, 10)))
        speed = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, knots), rng.uniform(-3, 4, knots))
        y = x[np.clip(np.cumsum(speed), 0, n - 1).astype(int)]
    elif kind == 1:
        y = x[::-1]
    elif kind == 2:
        y = x * np.sin(2 * np.pi * rng.uniform(20, 1500) * t)
    elif kind == 3:
        hold, steps = int(rng.integers(1, 9)), 2 ** rng.integers(2, 6)
        y = np.round(np.repeat(x[::hold], hold)[:n] * steps) / steps
    else:
        a = np.zeros(int(rng.integers(30, 300)) + 1)
        a[0], a[-1] = 1, -rng.uniform(0.6, 0.93)
        y = lfilter([1], a, x)
    return (y / (np.abs(y).max() + 1e-9)).astype(np.float32)


def worn(rng, x):
    """`x` as bad recordings and devices give it: a narrow band, an overdriven amplifier, a compressor, some of each."""
    if rng.random() < 0.6:
        low, high = rng.choice([0.0, rng.uniform(50, 600)]), rng.choice([8000.0, rng.uniform(1500, 7000)])
        spectrum, f = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / audio.RATE)
        x = np.fft.irfft(spectrum * np.where((f < low) | (f > high), 0.02, 1.0), len(x))
    if rng.random() < 0.4:
        x = np.tanh(x / (np.abs(x).max() + 1e-9) * 10 ** rng.uniform(0, 1.3))
    if rng.random() < 0.4:
        level = np.sqrt(lfilter([0.002], [1, -0.998], np.square(x)) + 1e-6)
        x = x / level ** rng.uniform(0.2, 0.8)
    return (x / (np.abs(x).max() + 1e-9) * 0.9).astype(np.float32)


def glided(rng, n):
    """Where in `n` samples a tape is read that runs at another or changing speed, an octave up or down at most, or backwards."""
    steady = rng.random() < 0.5
    knots = 2 if steady else max(3, int(n / audio.RATE * rng.uniform(0.5, 3)))
    speeds = rng.uniform(-1, 1, knots)
    curve = np.full(n, speeds[0]) if steady else np.interp(np.linspace(0, 1, n), np.linspace(0, 1, knots), speeds)
    # `curve` is over the recording; each of its samples lasts 1 / speed.
    until = np.cumsum(2.0**-curve)
    at = np.interp(np.arange(max(1, int(until[-1]))), until, np.arange(n))
    return at[::-1] if rng.random() < 0.2 else at


def crossed(rng, x, other):
    """`x` under the slow spectrum of `other`, by a random share: as loud in each moment and band as that, where it sounds."""
    size, hop, width = 1024, 256, int(rng.integers(5, 60))
    if len(x) < 2 * size or len(other) < 2 * size:
        return x
    other = np.resize(other, len(x))
    a, b = (stft(s, boundary="even", nperseg=size, noverlap=size - hop)[2] for s in (x, other))
    slow = lambda s: uniform_filter1d(np.abs(s), width, axis=0, mode="nearest") + 1e-5
    ratio = slow(b) / (np.abs(b).max() + 1e-9) / (slow(a) / (np.abs(a).max() + 1e-9) + 3e-3)
    y = istft(a * np.minimum(ratio, 30.0) ** rng.uniform(0.3, 1), nperseg=size, noverlap=size - hop, boundary=True)[1]
    y = np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]
    return (y / (np.abs(y).max() + 1e-9)).astype(np.float32)
