"""Choosing how cosines become scores: background embeddings, a, b, thresholds. Backgrounds are train rows, choices val."""

from dataclasses import dataclass, field

import numpy as np
from scipy.signal import lfilter

from . import audio, pool, scenes, synth


@dataclass
class Result:
    """What the manifest's `clap` says."""

    background: np.ndarray
    scale: float
    bias: float
    a: float = 1.5
    b: float = -4.0
    min_std: float = 0.05
    threshold: float = 0.5
    offset_threshold: float = 0.3
    smoothing: float = 0.0
    templates: tuple = ("{}",)
    prompts: tuple = ()
    figures: dict = field(default_factory=dict)


def quiet_mels(rng, count, frames=pool.FRAMES):
    """[count, frames, 80]: digital silence, noise of all colours and levels, hum."""
    n = (frames - 1) * audio.HOP
    out = [audio.log_mel(np.zeros(n), np.float32)]
    for _ in range(count - 1):
        gain = 10 ** (-rng.uniform(3, 80) / 20)
        x = np.round(synth.noise(rng, n) * gain * 32767) / 32767
        out.append(audio.log_mel(x, np.float32))
    return np.stack(out)


def other_mels(clips, rng, count, frames=pool.FRAMES):
    """[count, frames, 80]: pieces of `clips` (waveforms) in a row, each window a piece or several one after the other."""
    n = (frames - 1) * audio.HOP
    out = []
    for _ in range(count):
        x = np.zeros(0, np.float32)
        while len(x) < n:
            clip = clips[rng.integers(len(clips))]
            start = rng.integers(max(1, len(clip) - n))
            x = np.concatenate([x, clip[start : start + n], np.zeros(rng.integers(8000), np.float32)])
        x = x[:n] * 10 ** (-rng.uniform(0, 30) / 20) + 10 ** (-rng.uniform(40, 80) / 20) * rng.standard_normal(n)
        out.append(audio.log_mel(x.astype(np.float32), np.float32))
    return np.stack(out)


def embed(runner, mels, batch=16):
    """Clip vectors [n, dim] and frame vectors [n, columns, dim], unit length."""
    clips, frames = [], []
    for i in range(0, len(mels), batch):
        tokens = runner.tokens(np.asarray(mels[i : i + batch], np.float32))
        clips.append(runner.clip(tokens))
        frames.append(tokens / np.linalg.norm(tokens, axis=-1, keepdims=True))
    return np.concatenate(clips), np.concatenate(frames)


def scores(cos, labels, result):
    """The manifest's formula: cosines [..., L] of label vectors [L, dim] to scores."""
    against = result.background @ labels.T
    mean, std = against.mean(0), np.maximum(against.std(0), result.min_std)
    logit = np.minimum(result.a * (cos - mean) / std + result.b, result.scale * cos + result.bias)
    return 1 / (1 + np.exp(-logit))


def background(runner, quiet, other, related, rng, count=512):
    """[count, dim]: clip and frame vectors of quiet, other and (a share of) the main set's own train sound."""
    parts = []
    for mels, share in ((quiet, 0.2), (other, 0.4), (related, 0.4)):
        if len(mels) == 0:
            continue
        clip, frame = embed(runner, mels)
        frame = frame.reshape(-1, frame.shape[-1])
        n = max(2, int(count * share / 2))
        parts += [clip[rng.choice(len(clip), n)], frame[rng.choice(len(frame), n)]]
    return np.concatenate(parts).astype(np.float32)


# What unrelated sound may cost: so much of a setting's worth for each doubling of the false events above ALLOWED an hour
# and list of ten labels. Unrelated sound that was trained with fires about half as often as other.
COST, ALLOWED = 0.06, 1.0


def alarms(streams, raws, on, off):
    """Events an hour and list of ten labels in scores [n, labels] of unrelated streams, smoothed and as they were."""
    both = zip(streams, raws, strict=True)
    count = sum(len(scenes.track(s[:, k], r[:, k], on, off)) for s, r in both for k in range(s.shape[1]))
    hours = sum(len(score) for score in streams) * scenes.COLUMN / 3600
    return count / hours / (streams[0].shape[1] / 10)


def smoothed(score, seconds):
    """Scores [n, ..] as clapmatch smooths them: an exponential mean of this time constant (0: none)."""
    if not seconds:
        return score
    weight = -np.expm1(-scenes.COLUMN / seconds)
    return lfilter([weight], [1, weight - 1], score, axis=0, zi=(1 - weight) * score[:1])[0]


SMOOTHINGS = (0.0, 0.1, 0.2, 0.3)
ONSETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
OFFSETS = (0.02, 0.05, 0.1, 0.2)


def settle(result, played, heard, edges, vectors, streams):
    """Sets a, b, smoothing and thresholds: the best events in scenes at which unrelated sound seldom fires.

    `heard`: the frames [n, dim] of each scene of `played`, `edges` its `scenes.strengths`, `streams` frames of unrelated
    sound. A setting's worth is the
    mean of event-F1 and onset-F1 and a third of the recall, less COST for each doubling of the false events above ALLOWED.
    Returns what was tried as dictionaries, the best first.
    """
    tried = []
    for a in (1.5, 2.5):
        for cut in (1.0, 2.0, 3.0):
            result.a, result.b = a, float(-a * cut)
            of = lambda frames, labels: scores(frames @ vectors[labels].T, vectors[labels], result)  # noqa: B023
            plain = [of(frames, scene.listed) for frames, scene in zip(heard, played, strict=True)]
            strange = [of(frames, slice(None)) for frames in streams]
            for seconds in SMOOTHINGS:
                runs = [smoothed(score, seconds) for score in plain]
                quiet = [smoothed(score, seconds) for score in strange]
                for on in ONSETS:
                    for off in OFFSETS:
                        if off >= on:
                            continue
                        rate = alarms(quiet, strange, on, off)
                        f = scenes.figures(runs, plain, edges, played, on, off)
                        worth = (f["event_f1"] + f["onset_f1"]) / 2 + f["recall"] / 3
                        worth -= COST * max(0.0, np.log2(max(rate, 1e-9) / ALLOWED))
                        chosen = {"a": a, "b": result.b, "smoothing": seconds, "threshold": on, "offset_threshold": off}
                        tried.append({"worth": worth, **chosen, "unrelated_per_hour_and_ten": rate, **f})
    tried.sort(key=lambda setting: -setting["worth"])
    take(result, tried[0])
    result.figures = {"settings": tried[0]}
    return tried


def take(result, settings):
    """Takes a, b, smoothing and thresholds from a dictionary."""
    for key in ("a", "b", "smoothing", "threshold", "offset_threshold"):
        setattr(result, key, float(settings[key]))
