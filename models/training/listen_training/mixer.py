"""Draws what is mixed: which sounds, over what, how loud, in which room; and says when each of them sounds."""

import numpy as np

from . import audio, synth

FRAMES = 576
COLUMN = 8
COLUMNS = FRAMES // COLUMN
SAMPLES = (FRAMES - 1) * audio.HOP
SOURCES = 4
# Instead of a label: no source; sounds that bear no main label, of several kinds or of none; a main sound bent so far that
# only the teacher may say what it is.
NONE, STRANGE, BENT = -1, -2, -3
STEP = 800  # samples: the 50 ms of the rule of when a clip sounds
GAP = 0.5  # seconds: shorter pauses belong to the sound
FADE = 160


def sounding(x):
    """[samples] booleans: where a clip sounds by the rule of scenes.spans."""
    from .scenes import spans

    on = np.zeros(len(x), bool)
    for a, b in spans(x):
        on[int(a * audio.RATE) : int(b * audio.RATE)] = True
    return on


def ramped(x):
    """With a short ramp at both ends, so that a cut is no click."""
    n = min(FADE, len(x) // 2)
    if n:
        ramp = np.linspace(0, 1, n, dtype=np.float32)
        x = x.copy()
        x[:n] *= ramp
        x[-n:] *= ramp[::-1]
    return x


def place(rng, clip, on):
    """A clip of `on` [samples] somewhere in a window of `SAMPLES`, perhaps cut, faster or slower: (samples, on)."""
    if rng.random() < 0.5:
        speed = rng.uniform(0.88, 1.12)
        clip = synth.faster(clip, speed)
        on = on[np.minimum((np.arange(len(clip)) * speed).astype(int), len(on) - 1)]
    if len(clip) > 8000 and rng.random() < 0.35:
        # A part of it only.
        n = int(rng.integers(8000, len(clip) + 1))
        start = int(rng.integers(len(clip) - n + 1))
        clip, on = clip[start : start + n], on[start : start + n]
    clip = ramped(clip)
    out, active = np.zeros(SAMPLES, np.float32), np.zeros(SAMPLES, bool)
    slack = min(len(clip) // 2, SAMPLES // 3)
    at = int(rng.integers(-slack, max(1, SAMPLES - len(clip) + slack)))
    lo, hi = max(at, 0), min(at + len(clip), SAMPLES)
    out[lo:hi], active[lo:hi] = clip[lo - at : hi - at], on[lo - at : hi - at]
    if len(clip) < SAMPLES // 4 and rng.random() < 0.3:
        at = int(rng.integers(SAMPLES - len(clip)))
        out[at : at + len(clip)] += clip
        active[at : at + len(clip)] |= on
    return out, active


def columns_of(active):
    """[SAMPLES] booleans to [COLUMNS]: most of the column, pauses shorter than GAP filled."""
    share = np.append(active, np.zeros(audio.HOP, bool)).reshape(COLUMNS, -1).mean(1) >= 0.5
    edges = np.flatnonzero(np.diff(share.astype(np.int8)))
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        if share[a] and not share[a + 1] and (b - a) * COLUMN * audio.HOP < GAP * audio.RATE:
            share[a + 1 : b + 1] = True
    return share


def rms(x, on=None):
    """Root mean square, of what is `on`."""
    x = x if on is None or not on.any() else x[on]
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)) + 1e-12))


class Mixer:
    """Draws mixes from labelled clips."""

    def __init__(self, clips, labels, folds, main, rng, speech=-1, rendered=(), bent=0.0, unlabelled=()):
        """`clips` waveforms, `labels` their label's number, `folds` (for the probes), `main` numbers of main labels.

        `bent`: the share of main sounds that are BENT. `speech` is the label (or -1) of spoken words, several of which are
        said in a row; `rendered` further unrelated
        sound, which half of the strangers are drawn from; `unlabelled` waveforms that half of the BENT sounds come from.
        """
        self.speech, self.rendered, self.bent, self.unlabelled = speech, rendered, bent, unlabelled
        self.rng, self.clips, self.labels, self.folds = rng, clips, np.asarray(labels), np.asarray(folds)
        self.by_label = {k: np.flatnonzero(self.labels == k) for k in sorted(set(labels))}
        self.main = [k for k in main if k in self.by_label]
        self.other = [k for k in self.by_label if k not in set(main)]
        self.long = [i for k in self.other for i in self.by_label[k] if len(clips[i]) > 4 * audio.RATE]
        self.short = [i for k in self.other if k != speech for i in self.by_label[k] if len(clips[i]) <= 4 * audio.RATE]
        self.on = {}

    def main_sound(self):
        """(samples, on, label, fold) of a clip with a main label, labels evenly."""
        rng = self.rng
        bent = self.bent and rng.random() < self.bent
        if bent and len(self.unlabelled) and rng.random() < 0.5:
            return *place(rng, *self.unknown()), BENT, -1
        pick = int(rng.choice(self.by_label[rng.choice(self.main)]))
        if pick not in self.on:
            self.on[pick] = sounding(self.clips[pick])
        clip, on, label = self.clips[pick], self.on[pick], int(self.labels[pick])
        if bent:
            clip, on, label = *self.disguised(clip, on, self.folds[pick]), BENT
        return *place(rng, clip, on), label, int(self.folds[pick])

    def unknown(self):
        """(samples, on) of an unlabelled clip, a short one perhaps several times."""
        rng = self.rng
        clip = self.unlabelled[rng.integers(len(self.unlabelled))]
        clip = clip[int(rng.integers(max(1, len(clip) - SAMPLES + 1))) :][:SAMPLES]
        if len(clip) < SAMPLES // 3 and rng.random() < 0.4:
            pause = np.zeros(int(rng.uniform(0.05, 0.8) * audio.RATE), np.float32)
            clip = np.concatenate([ramped(clip), pause] * int(rng.integers(2, 9)))[:SAMPLES]
        return clip, sounding(clip)

    def disguised(self, clip, on, fold):
        """(samples, on) of a clip at another speed, perhaps under the spectrum of another clip of its fold, as a bad device gives it."""
        rng = self.rng
        at = synth.glided(rng, len(clip))
        clip, on = np.interp(at, np.arange(len(clip)), clip).astype(np.float32), on[at.astype(int)]
        if rng.random() < 0.25:
            other = int(rng.choice(np.flatnonzero(self.folds == fold)))
            clip = synth.crossed(rng, clip, self.clips[other])
        return synth.worn(rng, clip), on

    def row(self, picks, same):
        """Some of the clips `picks` one after the other, one of them again and again where `same`: (samples, label)."""
        rng, parts, n, found = self.rng, [], 0, set()
        speed, pick = rng.uniform(0.7, 1.4), int(rng.choice(picks))
        pause = rng.uniform(0.1, 0.9)
        while n < SAMPLES:
            x = self.clips[pick]
            start = int(rng.integers(max(1, len(x) - SAMPLES)))
            x = ramped(synth.faster(x[start : start + 2 * SAMPLES], speed * rng.uniform(0.96, 1.04)))
            silent = int(rng.uniform(0, pause) * audio.RATE)
            parts += [x * np.float32(10 ** (rng.uniform(-6, 0) / 20)), np.zeros(silent, np.float32)]
            found.add(int(self.labels[pick]))
            n += len(x) + silent
            if not same:
                pick = int(rng.choice(picks))
        return np.concatenate(parts)[:SAMPLES], found.pop() if len(found) == 1 else STRANGE

    def alike(self, picks):
        """(clips, same) for `row`: one of the clips `picks` again and again, several of one label (a tune), or any."""
        rng = self.rng
        how, pick = rng.random(), int(rng.choice(picks))
        if how < 0.3:
            return [pick], True
        if how < 0.75:
            return self.by_label[int(self.labels[pick])], False
        return picks, False

    def stranger(self):
        """(samples, label): sound that bears no main label and fills the window: talk, music, drums, single noises."""
        rng = self.rng
        if len(self.rendered) and rng.random() < 0.5:
            return self.from_rendered(), STRANGE
        kind, x = rng.random(), None
        if kind < 0.26 and self.speech in self.by_label:
            x, label = self.row(self.by_label[self.speech], False)
        elif kind < 0.48 and self.long:
            x, label = self.row(*self.alike(self.long))
        elif kind < 0.74 and self.short:
            x, label = self.row(*self.alike(self.short))
        if x is not None:
            if rng.random() < 0.25:
                x, label = synth.bent(rng, x), STRANGE
            return x, label
        makers = (synth.tune, synth.babble, synth.drums, synth.cymbals, synth.chimes, synth.sweeps)
        return makers[rng.integers(len(makers))](rng, SAMPLES), STRANGE

    def from_rendered(self):
        """[samples] of one or two of the rendered recordings."""
        rng, out = self.rng, np.zeros(SAMPLES, np.float32)
        for level in [1.0] if rng.random() < 0.7 else [1.0, 10 ** rng.uniform(-0.8, 0)]:
            x = synth.faster(self.rendered[rng.integers(len(self.rendered))], rng.uniform(0.8, 1.3))
            start = int(rng.integers(max(1, len(x) - SAMPLES + 1)))
            x = ramped(x[start : start + SAMPLES])
            at = int(rng.integers(SAMPLES - len(x) + 1))
            out[at : at + len(x)] += x * np.float32(level)
        return synth.bent(rng, out) if rng.random() < 0.1 else out

    def stranger_for(self, n):
        """`n` samples of unrelated sound, through some filter and in some room."""
        parts = []
        while sum(map(len, parts)) < n:
            parts.append(self.heard(self.stranger()[0]))
        return np.concatenate(parts)[:n]

    def heard(self, x):
        """`x` through some filter and in some room."""
        rng = self.rng
        if rng.random() < 0.5:
            x = synth.coloured(rng, x)
        return synth.room(rng, x) if rng.random() < 0.35 else x

    def background(self, kind):
        """(samples of RMS 1 or silence, label)."""
        rng = self.rng
        if kind == "strange":
            x, label = self.stranger()
            x = self.heard(x)
            x = x / rms(x) + rng.uniform(0, 0.3) * synth.noise(rng, SAMPLES) if rms(x) > 1e-5 else x
        else:
            x, label = synth.noise(rng, SAMPLES), NONE
            if rng.random() < 0.15:
                x = x * np.linspace(*rng.uniform(0, 1, 2), SAMPLES)
        level = rms(x)
        return (x / level if level > 1e-5 else np.zeros(SAMPLES)).astype(np.float32), label

    def item(self):
        """(mix at its gain, loud mix, labels, activity, unsure, folds): labels and folds [SOURCES], the others [SOURCES,
        COLUMNS]. `unsure`: it sounds, but the others drown it."""
        rng = self.rng
        labels, folds = np.full(SOURCES, NONE, np.int16), np.full(SOURCES, -1, np.int8)
        activity, unsure = np.zeros((SOURCES, COLUMNS), bool), np.zeros((SOURCES, COLUMNS), bool)
        kind = rng.choice(
            ["strange", "over noise", "over strange", "clear", "nothing"], p=[0.32, 0.29, 0.22, 0.11, 0.06]
        )
        back, label = self.background("strange" if "strange" in kind else "noise")
        sources, base = [], back if kind != "clear" else back * np.float32(10 ** (-rng.uniform(25, 50) / 20))
        if kind not in ("strange", "nothing"):
            first = rng.uniform(-2, 20) if kind != "clear" else 0.0
            for i in range(int(rng.choice([1, 2, 3], p=[0.55, 0.33, 0.12]))):
                x, on, own, fold = self.main_sound()
                if not on.any():
                    continue
                x = self.heard(x)
                # As loud over the background as a scene says, over its active part; further ones near the first.
                under = rms(back, on) if kind != "clear" else 1.0
                above = first if i == 0 else first + rng.uniform(-10, 6)
                sources.append((x * np.float32(max(under, 0.05) * 10 ** (above / 20) / rms(x, on)), on, own, fold))
        mix = base + sum((s[0] for s in sources), np.zeros(SAMPLES, np.float32))
        split = lambda x: np.append(x, np.zeros(audio.HOP, np.float32)).reshape(COLUMNS, -1)
        level = lambda x: np.sqrt(np.mean(np.square(split(x), dtype=np.float64), axis=1))
        whole = level(mix)
        if label != NONE:
            sources.append((base, level(base).repeat(COLUMN * audio.HOP)[:SAMPLES] > 0.03 * rms(base), label, -1))
        for i, (x, on, own, fold) in enumerate(sources):
            there = columns_of(on)
            clear = level(x) > 0.06 * whole
            if own >= 0 and own in self.main:
                # Short pauses within it are its own.
                clear = columns_of((clear & there).repeat(COLUMN * audio.HOP)[:SAMPLES])
            labels[i], folds[i], activity[i], unsure[i] = own, fold, there & clear, there & ~clear
        if kind in ("strange", "over strange") and rng.random() < 0.6:
            mix = mix + rms(mix) * 10 ** (-rng.uniform(10, 45) / 20) * synth.noise(rng, SAMPLES)
        peak = np.abs(mix).max()
        loud = mix * (0.9 / peak) if peak > 1e-6 else mix
        quietest = 60 if kind == "nothing" else 30
        gain = 10 ** (-rng.uniform(0, quietest) / 20)
        return (loud * gain).astype(np.float32), loud.astype(np.float32), labels, activity, unsure, folds
