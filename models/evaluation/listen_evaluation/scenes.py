"""Scenes of known times: one to three clips over a background, seeded, so that anyone mixes the same.

A plan says which clip sounds when over what; it is the same at every level, so that the levels differ in nothing else.
"""

from dataclasses import dataclass

import numpy as np

from . import sounds

SECONDS = 12.0
FULL = 0.95  # the highest peak of a scene
# Of scenes in a stream: background before and after the scene, and how long one fades into the next, in seconds.
LEAD, FADE = 1.5, 1.0


@dataclass(frozen=True)
class Clip:
    """A clip without its digital silence."""

    label: str
    name: str
    samples: np.ndarray
    parts: list  # where it sounds, in seconds

    @property
    def seconds(self):
        return len(self.samples) / sounds.RATE


@dataclass(frozen=True)
class Placed:
    """A clip in a scene: where it begins, and how much louder it is than the scene says."""

    clip: Clip
    at: float
    above: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a scene is made of."""

    number: int
    placed: tuple
    background: str  # noise, hum or recording
    level: float  # RMS of the background, dB re full scale
    seed: tuple
    kind: str = ""  # of two-sound scenes: sequence or overlap


@dataclass(frozen=True)
class Scene:
    """Samples, and what sounds in them as (onset, offset, label) in seconds."""

    samples: np.ndarray
    truth: list

    @property
    def seconds(self):
        return len(self.samples) / sounds.RATE


def load(rows, longest=5.0):
    """The clips of index rows in which something sounds by the truth's rule; those without are left out."""
    clips = []
    for row in rows:
        x = sounds.faded(sounds.trim(sounds.read(row.path))[: int(longest * sounds.RATE)])
        parts = sounds.active(x)
        if parts:
            clips.append(Clip(row.label, row.name, x, parts))
    return clips


class Deck:
    """Deals clips in a random order, all of them before any comes again, and never two of one label into a scene."""

    def __init__(self, clips, rng):
        self.clips, self.rng, self.left = clips, rng, []

    def deal(self, taken):
        for attempt in range(2):
            for i in range(len(self.left) - 1, -1, -1):
                if self.clips[self.left[i]].label not in taken:
                    return self.clips[self.left.pop(i)]
            self.left = list(self.rng.permutation(len(self.clips))) if attempt == 0 else []
        raise ValueError("scenes need clips of more labels than are in them")


def plans(clips, count, seed, recordings=True):
    """`count` plans of one to three clips; two fifths of the backgrounds are recordings where there are some."""
    rng = np.random.default_rng([seed, 1])
    deck, kinds, out = Deck(clips, rng), len({c.label for c in clips}), []
    for number in range(count):
        placed = []
        for _ in range(min(kinds, int(rng.integers(1, 4)))):
            clip = deck.deal({p.clip.label for p in placed})
            placed.append(Placed(clip, float(rng.uniform(0.1, max(0.2, SECONDS - 0.1 - clip.seconds)))))
        out.append(_plan(number, placed, rng, seed, recordings))
    return out


def two_sound_plans(clips, count, seed, recordings=True):
    """`count` plans of two clips within 6 dB of each other; they follow each other in one half and overlap in the other."""
    rng = np.random.default_rng([seed, 2])
    deck, out = Deck(clips, rng), []
    for number in range(count):
        first = deck.deal(set())
        second = deck.deal({first.label})
        # The quieter one has the scene's level.
        apart = float(rng.uniform(-6, 6))
        begin = float(rng.uniform(0.3, 1.0))
        if number % 2 == 0:
            begin_second, kind = begin + first.seconds + float(rng.uniform(0.3, 1.0)), "sequence"
        else:
            shared = min(first.seconds, second.seconds)
            begin_second, kind = begin + max(0.0, first.seconds - shared * float(rng.uniform(0.5, 1.0))), "overlap"
        placed = [Placed(first, begin, max(0.0, -apart)), Placed(second, begin_second, max(0.0, apart))]
        out.append(_plan(number, placed, rng, seed, recordings, kind))
    return out


def _plan(number, placed, rng, seed, recordings, kind=""):
    """The plan of clips that were placed: background and level."""
    chance = rng.random()
    background = "recording" if recordings and chance < 0.4 else "hum" if chance > 0.9 else "noise"
    return Plan(number, tuple(placed), background, float(rng.uniform(-45, -25)), (seed, 3, number), kind)


def render(plan, snr, recordings=(), lead=0.0):
    """The scene of `plan`: each clip `snr` dB (and what it is placed above it) over what the background is under its active
    parts. `lead`: seconds of background before and after."""
    rng = np.random.default_rng(plan.seed)
    last = max(p.at + p.clip.seconds for p in plan.placed)
    n = int((max(SECONDS, last + 0.5) + 2 * lead) * sounds.RATE)
    back = background(plan.background, rng, n, recordings) * np.float32(10 ** (plan.level / 20))
    mix, truth = back.copy(), []
    for p in plan.placed:
        at = p.at + lead
        here = slice(int(at * sounds.RATE), int(at * sounds.RATE) + len(p.clip.samples))
        under = sounds.rms(sounds.cut(back[here], p.clip.parts))
        gain = under * 10 ** ((snr + p.above) / 20) / max(sounds.rms(sounds.cut(p.clip.samples, p.clip.parts)), 1e-9)
        mix[here] += (p.clip.samples * gain).astype(np.float32)
        truth += [(at + a, at + b, p.clip.label) for a, b in p.clip.parts]
    peak = float(np.abs(mix).max())
    return Scene(mix * np.float32(FULL / peak) if peak > FULL else mix, sorted(truth))


def stream(plans, snr, recordings=()):
    """Scenes one after the other, each fading into the next, and where each of them is: [(start, end)] in seconds."""
    made = [render(plan, snr, recordings, LEAD) for plan in plans]
    fade, at, starts = int(FADE * sounds.RATE), 0, []
    for scene in made:
        starts.append(at)
        at += len(scene.samples) - fade
    out, truth = np.zeros(at + fade, np.float32), []
    for scene, start in zip(made, starts, strict=True):
        out[start : start + len(scene.samples)] += sounds.faded(scene.samples, FADE)
        truth += [(a + start / sounds.RATE, b + start / sounds.RATE, label) for a, b, label in scene.truth]
    edges = [(start + fade / 2) / sounds.RATE if start else 0.0 for start in starts] + [len(out) / sounds.RATE]
    return Scene(out, sorted(truth)), list(zip(edges, edges[1:], strict=False))


def background(kind, rng, n, recordings):
    """`n` samples of background, RMS 1."""
    if kind == "hum":
        x = 0.7 * sounds.hum(rng, n) + 0.7 * sounds.noise(rng, n)
    elif kind == "recording" and len(recordings):
        x = recorded(rng, n, recordings)
        x = x / max(sounds.rms(x), 1e-9) + 0.2 * sounds.noise(rng, n)
    else:
        x = sounds.noise(rng, n)
    return (x / max(sounds.rms(x), 1e-9)).astype(np.float32)


def recorded(rng, n, recordings):
    """Pieces of one kind of unrelated recordings (waveforms in lists, one a kind) one after the other, in one room."""
    kind = recordings[rng.integers(len(recordings))]
    x = np.zeros(0, np.float32)
    while len(x) < n:
        piece = kind[rng.integers(len(kind))]
        start = int(rng.integers(max(1, len(piece) - n)))
        piece = sounds.faded(piece[start : start + n])
        level = sounds.rms(piece)
        pause = np.zeros(int(rng.uniform(0.0, 0.3) * sounds.RATE), np.float32)
        x = np.concatenate([x, piece / level if level > 0 else piece, pause])
    return sounds.in_room(rng, x[:n])
