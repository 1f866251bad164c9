"""A pool of mixed sound on disk: what the audio side trains on.

Each item is `FRAMES` frames of a mix of up to three sources over a background, with the sources' activity per
column, and what the teacher says of the very same mix (made loud first, as the teacher expects). Items are written in
shards by several processes; training may begin as soon as the first are there and takes in the others as they come.
"""

import os
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, lfilter

from . import audio
from .teacher import Yamnet

FRAMES = 288
COLUMN = 8
COLUMNS = FRAMES // COLUMN
SAMPLES = (FRAMES - 1) * audio.HOP
SOURCES = 3
SHARD = 256


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
    decay = rng.uniform(0.1, 0.7)
    n = int(decay * audio.RATE)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    tail *= rng.uniform(0.1, 0.8) / np.sqrt((tail**2).sum())
    tail[0] = 1
    return fftconvolve(x, tail)[: len(x)].astype(np.float32)


def place(rng, clip):
    """A piece of `clip` somewhere in a window of `SAMPLES`, perhaps faster or slower."""
    speed = rng.uniform(0.9, 1.1) if rng.random() < 0.5 else 1.0
    want = int(SAMPLES * speed) + 1
    if len(clip) > want and rng.random() < 0.85:
        start = rng.integers(len(clip) - want)
        clip = clip[start : start + want]
    if speed != 1.0:
        at = np.arange(int(len(clip) / speed)) * speed
        clip = np.interp(at, np.arange(len(clip)), clip).astype(np.float32)
    out = np.zeros(SAMPLES, np.float32)
    if len(clip) >= SAMPLES:
        # A third of the long sounds begin within the window, a sixth end in it.
        kind = rng.random()
        if kind < 0.3:
            at = rng.integers(SAMPLES * 3 // 4)
            out[at:] = clip[: SAMPLES - at]
        elif kind < 0.45:
            at = rng.integers(SAMPLES // 4, SAMPLES)
            out[:at] = clip[-at:]
        else:
            out[:] = clip[:SAMPLES]
    else:
        at = rng.integers(-len(clip) // 5, SAMPLES - len(clip) * 3 // 4)
        lo, hi = max(at, 0), min(at + len(clip), SAMPLES)
        out[lo:hi] = clip[lo - at : hi - at]
        if len(clip) < SAMPLES // 3 and rng.random() < 0.25:
            at = rng.integers(SAMPLES - len(clip))
            out[at : at + len(clip)] += clip
    # A short ramp, so that a cut is no click.
    edge = np.flatnonzero(out)
    if len(edge):
        a, b = edge[0], edge[-1] + 1
        n = min(160, (b - a) // 2)
        if n:
            ramp = np.linspace(0, 1, n, dtype=np.float32)
            out[a : a + n] *= ramp
            out[b - n : b] *= ramp[::-1]
    return out


class Mixer:
    """Draws mixes from labelled clips."""

    def __init__(self, clips, labels, folds, main, rng, speech=-1, synthetic=-1):
        """`clips` waveforms, `labels` their label's number, `folds` (for the probes), `main` numbers of main labels.

        `speech` and `synthetic` are the labels (or -1) of spoken words, several of which are said in a row, and of what
        `tune` plays.
        """
        self.speech, self.synthetic = speech, synthetic
        self.rng, self.clips, self.labels, self.folds = rng, clips, np.asarray(labels), np.asarray(folds)
        self.by_label = {k: np.flatnonzero(self.labels == k) for k in sorted(set(labels))}
        self.main = [k for k in main if k in self.by_label]
        self.other = [k for k in self.by_label if k not in set(main)]

    def draw(self):
        """One clip's number: classes evenly, a sixth from what is no main label."""
        rng = self.rng
        if self.other and rng.random() < 0.17:
            if rng.random() < 0.5:
                return (
                    int(rng.integers(len(self.clips)))
                    if rng.random() < 0.2
                    else int(rng.choice(self.by_label[rng.choice(self.other)]))
                )
            return int(rng.choice(np.concatenate([self.by_label[k] for k in self.other])))
        return int(rng.choice(self.by_label[rng.choice(self.main)]))

    def sound(self):
        """(waveform, label, fold) of one source: now and then one that is made up and bears no main label."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.04:
            return tune(rng, SAMPLES), self.synthetic, -1
        if kind < 0.08:
            return babble(rng, SAMPLES), -1, -1
        if kind < 0.16 and self.speech in self.by_label:
            # Words in a row, at one speed: more like talk than a word alone.
            speed, parts = rng.uniform(0.75, 1.3), []
            for _ in range(rng.integers(2, 6)):
                x = self.clips[rng.choice(self.by_label[self.speech])]
                at = np.arange(int(len(x) / speed)) * speed
                x = np.interp(at, np.arange(len(x)), x) * 10 ** (rng.uniform(-6, 0) / 20)
                parts += [x.astype(np.float32), np.zeros(rng.integers(3000), np.float32)]
            return np.concatenate(parts), self.speech, -1
        pick = self.draw()
        return self.clips[pick], int(self.labels[pick]), int(self.folds[pick])

    def item(self):
        """(mix at its gain, loud mix, labels [3], activity [3, COLUMNS], folds [3]); -1 where there is no source."""
        rng = self.rng
        count = int(rng.choice([0, 1, 2, 3], p=[0.08, 0.52, 0.28, 0.12]))
        labels, folds = np.full(SOURCES, -1, np.int16), np.full(SOURCES, -1, np.int8)
        activity = np.zeros((SOURCES, COLUMNS), bool)
        parts, owner = [], []
        for i in range(count):
            wave, label, fold = self.sound()
            x = place(rng, wave)
            if rng.random() < 0.2:
                x = room(rng, x)
            on = audio.active(np.append(x, np.zeros(audio.HOP, np.float32)))
            if not on.any():
                continue
            power = (
                np.mean(x.reshape(-1, audio.HOP)[np.repeat(on, COLUMN)[: FRAMES - 1]].astype(np.float64) ** 2) + 1e-12
            )
            level = 0.0 if i == 0 else -rng.uniform(-5, 15)
            parts.append((x * (10 ** (level / 20) / np.sqrt(power))).astype(np.float32))
            owner.append(i)
            labels[i], folds[i], activity[i] = label, fold, on
        mix = np.sum(parts, axis=0) if parts else np.zeros(SAMPLES, np.float32)
        if not parts or rng.random() < 0.5:
            back = noise(rng, SAMPLES)
            if rng.random() < 0.15:
                back = back * np.linspace(*rng.uniform(0, 1, 2), SAMPLES)
            rms = np.sqrt(np.mean(back**2)) + 1e-9
            mix = mix + back / rms * (10 ** (-rng.uniform(5, 35) / 20) if parts else 0.2)
        # A source that the others drown is no target.
        whole = np.append(mix, np.zeros(audio.HOP)).reshape(COLUMNS, -1)
        for i, x in zip(owner, parts, strict=True):
            own = np.sqrt((np.append(x, np.zeros(audio.HOP)).reshape(COLUMNS, -1) ** 2).mean(axis=1))
            activity[i] &= own > 0.06 * np.sqrt((whole**2).mean(axis=1))
        peak = np.abs(mix).max()
        loud = mix * (0.9 / peak) if peak > 1e-6 else mix
        gain = 10 ** (-rng.uniform(0, 30) / 20) if parts else 10 ** (-rng.uniform(0, 60) / 20)
        return (loud * gain).astype(np.float32), loud.astype(np.float32), labels, activity, folds


def write(folder, teacher_folder, clips, labels, folds, main, named, shards, worker, workers, seed):
    """Writes this worker's share of `shards` shards; those that are there already are kept."""
    os.environ["OMP_NUM_THREADS"] = "1"
    teacher = Yamnet(teacher_folder) if teacher_folder else None
    for shard in range(worker, shards, workers):
        path = Path(folder) / f"shard-{shard:04d}.npz"
        if path.exists():
            continue
        mixer = Mixer(clips, labels, folds, main, np.random.default_rng([seed, shard]), *named)
        mel = np.zeros((SHARD, FRAMES, audio.N_MELS), np.float16)
        taught = []
        kept = {"labels": [], "activity": [], "folds": []}
        for i in range(SHARD):
            x, loud, a, b, c = mixer.item()
            # 16 bits, as a recording has.
            x = np.round(x * 32767) / 32767
            mel[i] = audio.log_mel(x, np.float32)
            if teacher:
                taught.append([part.astype(np.float16) for part in teacher.patches(loud)])
            for key, value in zip(("labels", "activity", "folds"), (a, b, c), strict=True):
                kept[key].append(value)
        # A name of its own until it is whole, so that a reader never sees half a file.
        part = path.with_suffix(f".{os.getpid()}.npz")
        if taught:
            kept["scores"], kept["vectors"] = zip(*taught, strict=True)
        np.savez(part, mel=mel, **{k: np.stack(v) for k, v in kept.items()})
        part.rename(path)


def progress(folder):
    """How many whole shards there are."""
    return len(list(Path(folder).glob("shard-[0-9][0-9][0-9][0-9].npz")))
