"""Choosing how cosines become scores: background embeddings, a, b, thresholds. Backgrounds are train rows, choices val."""

from dataclasses import dataclass, field, replace

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
    b: float = -3.0
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
# A detector that hears fewer sounds than this is none, however quiet it is: so much for each share that is missing.
RECALL, MISSING = 0.55, 2.0
MOST, FEWEST = 0.36, 12  # settings that cost more are not looked at further, but so many are


def penalty(rate):
    """What false events at this rate cost a setting."""
    return COST * max(0.0, np.log2(max(rate, 1e-9) / ALLOWED))


def worth(f, rate):
    """What a setting is worth: the mean of event-F1 and onset-F1 and a third of the recall, less COST for each doubling of the
    false events above ALLOWED, and less MISSING for each sound that is missing to a recall of RECALL."""
    return (
        (f["event_f1"] + f["onset_f1"]) / 2 + f["recall"] / 3 - penalty(rate) - MISSING * max(0.0, RECALL - f["recall"])
    )


def alarms(streams, on, off):
    """Events an hour and list of ten labels in smoothed scores [n, labels] of unrelated streams."""
    count = sum(len(scenes.groups(s[:, k], on, off)) for s in streams for k in range(s.shape[1]))
    hours = sum(len(score) for score in streams) * scenes.COLUMN / 3600
    return count / hours / (streams[0].shape[1] / 10)


def smoothed(score, seconds):
    """Scores [n, ..] as clapmatch smooths them: an exponential mean of this time constant (0: none)."""
    if not seconds:
        return score
    weight = -np.expm1(-scenes.COLUMN / seconds)
    return lfilter([weight], [1, weight - 1], score, axis=0, zi=(1 - weight) * score[:1])[0]


SLOPE, CUTS = 1.5, (1.0, 2.0, 3.0)
SMOOTHINGS = (0.3, 0.5, 0.7, 1.0)
ONSETS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
OFFSETS = (0.05, 0.1, 0.2)


def settle(result, runner, played, strange, vectors, placing):
    """Sets a, b, smoothing and thresholds: the best events in the scenes `played` at which `strange`, streams of unrelated
    sound, seldom fire.

    Onsets and offsets are those that `placing` takes. Returns what was tried as dictionaries, the best (by `worth`) first.
    """
    mels = [audio.log_mel(scene.samples, np.float32) for scene in played]
    heard, edges = [scenes.frames(runner, mel) for mel in mels], [scenes.strengths(mel) for mel in mels]
    streams = [scenes.frames(runner, audio.log_mel(x, np.float32)) for x in strange]
    # As scenes are judged: every label is listened for, in whatever list it stands.
    played = [replace(scene, listed=list(range(len(vectors)))) for scene in played]
    asked = []
    for cut in CUTS:
        result.a, result.b = SLOPE, -SLOPE * cut
        unmeant = [scores(frames @ vectors.T, vectors, result) for frames in streams]
        for seconds in SMOOTHINGS:
            quiet = [smoothed(score, seconds) for score in unmeant]
            both = [(on, off) for on in ONSETS for off in OFFSETS if off < on]
            asked += [(alarms(quiet, on, off), cut, seconds, on, off) for on, off in both]
    # Those that are not hopeless, or else the quietest.
    asked.sort()
    asked = [one for k, one in enumerate(asked) if k < FEWEST or penalty(one[0]) <= MOST]
    tried = []
    for cut, seconds in sorted({one[1:3] for one in asked}):
        result.a, result.b = SLOPE, -SLOPE * cut
        plain = [scores(frames @ vectors.T, vectors, result) for frames in heard]
        runs = [smoothed(score, seconds) for score in plain]
        for rate, _, _, on, off in (one for one in asked if one[1:3] == (cut, seconds)):
            f = scenes.figures(runs, plain, edges, played, on, off, placing)
            chosen = {"a": SLOPE, "b": result.b, "smoothing": seconds, "threshold": on, "offset_threshold": off}
            tried.append({"worth": worth(f, rate), **chosen, "unrelated_per_hour_and_ten": rate, **f})
    tried.sort(key=lambda setting: -setting["worth"])
    take(result, tried[0])
    result.figures = {"settings": tried[0]}
    return tried


def take(result, settings):
    """Takes a, b, smoothing and thresholds from a dictionary."""
    for key in ("a", "b", "smoothing", "threshold", "offset_threshold"):
        setattr(result, key, float(settings[key]))
