"""Choosing how cosines become scores: background embeddings, a, b, thresholds. Backgrounds are train rows, choices val."""

from dataclasses import dataclass, field

import numpy as np

from . import audio, pool


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
    templates: tuple = ("{}",)
    prompts: tuple = ()
    output: str = "clip"
    figures: dict = field(default_factory=dict)


def quiet_mels(rng, count, frames=pool.FRAMES):
    """[count, frames, 80]: digital silence, noise of all colours and levels, hum."""
    n = (frames - 1) * audio.HOP
    out = [audio.log_mel(np.zeros(n), np.float32)]
    for _ in range(count - 1):
        gain = 10 ** (-rng.uniform(3, 80) / 20)
        x = np.round(pool.noise(rng, n) * gain * 32767) / 32767
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


def choose(result, positive, wanted, unrelated, labels):
    """Sets a and b by val: `positive` cosines [n, L] with label numbers `wanted`, `unrelated` cosines [m, L].

    The best F1 of the labels of val windows among those settings at which unrelated sound fires in under one window of
    a thousand, per label.
    """
    truth = np.zeros_like(positive, bool)
    truth[np.arange(len(wanted)), wanted] = True
    best = None
    for a in (0.75, 1.0, 1.5, 2.0, 3.0):
        for cut in np.arange(1.0, 5.01, 0.25):
            result.a, result.b = a, -a * cut
            on = scores(positive, labels, result) >= result.threshold
            false = scores(unrelated, labels, result) >= result.threshold
            hits = (on & truth).sum()
            f1 = 2 * hits / max(1, on.sum() + truth.sum())
            row = (f1 - 20 * max(0.0, false.mean() - 0.001), f1, a, result.b, hits / truth.sum(), (on & ~truth).mean(), false.mean())
            if best is None or row[0] > best[0]:
                best = row
    result.a, result.b = best[2], best[3]
    result.figures.update(val_f1=float(best[1]), val_recall=float(best[4]), val_false_rate=float(best[5]), unrelated_rate=float(best[6]))
    return result
