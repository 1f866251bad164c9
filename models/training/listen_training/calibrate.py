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


def settle(result, runs, played, vectors, unrelated_clip, unrelated_frame, window, hop):
    """Sets output, a, b and the thresholds: the best events in scenes at which unrelated sound hardly ever fires.

    A setting's worth is the mean of event-F1 and onset-F1 plus a third of the recall, less what unrelated sound costs:
    a point for each two windows of a thousand and label. Leaves the figures of both outputs in `result.figures`.
    """
    from . import scenes

    unrelated = {"clip": unrelated_clip, "frames": unrelated_frame.reshape(-1, unrelated_frame.shape[-1])}
    best = {}
    for kind in ("clip", "frames"):
        for a in (1.0, 2.0):
            for cut in (2.0, 3.0, 3.5, 4.0):
                result.a, result.b = a, float(-a * cut)
                quiet = scores(unrelated[kind] @ vectors.T, vectors, result)
                for on in (0.5, 0.7, 0.85, 0.9):
                    rate = float((quiet >= on).mean())
                    for off in (0.2, 0.35):
                        f = scenes.figures(runs, played, vectors, result, kind, window, hop, on, off)
                        worth = 0.5 * (f["event_f1"] + f["onset_f1"]) + f["recall"] / 3 - 500 * max(0.0, rate - 0.0002)
                        if kind not in best or worth > best[kind][0]:
                            best[kind] = (
                                worth,
                                {
                                    "a": a,
                                    "b": float(-a * cut),
                                    "threshold": on,
                                    "offset_threshold": round(off, 3),
                                    "unrelated_rate": rate,
                                    **f,
                                },
                            )
    result.output = max(best, key=lambda k: best[k][0])
    chosen = best[result.output][1]
    result.a, result.b = chosen["a"], chosen["b"]
    result.threshold, result.offset_threshold = chosen["threshold"], chosen["offset_threshold"]
    result.figures = {"output": result.output, "scenes_clip": best["clip"][1], "scenes_frames": best["frames"][1]}
    return result
