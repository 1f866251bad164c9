"""Simple scenes of known times, and how well events found in them agree: what chooses output and thresholds."""

from dataclasses import dataclass

import numpy as np

from . import audio, calibrate, pool

COLUMN_FRAMES = pool.COLUMN
COLUMN = COLUMN_FRAMES * audio.HOP / audio.RATE


@dataclass
class Scene:
    """Samples, what sounds in them as (label, onset, offset) in seconds, and the ten labels listened for."""

    samples: np.ndarray
    truth: list
    listed: list


def spans(x, gap=0.5, least=0.1, step=0.05):
    """Where a clip sounds: 50 ms RMS within 30 dB of its loudest, gaps under `gap` s joined, parts under `least` s dropped."""
    on = audio.active(x, int(step * audio.RATE))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    found = [[a * step, b * step] for a, b in edges.reshape(-1, 2)]
    joined = []
    for part in found:
        if joined and part[0] - joined[-1][1] < gap:
            joined[-1][1] = part[1]
        else:
            joined.append(part)
    return [(a, b) for a, b in joined if b - a >= least]


def make(clips, labels, count, rng, seconds=12.0, snr=6.0):
    """`count` scenes of one to three clips (trimmed, at most 4 s) over noise, `snr` dB above it over their active part."""
    kinds, out = sorted(set(labels)), []
    for _ in range(count):
        n = int(seconds * audio.RATE)
        back = pool.noise(rng, n)
        while not np.any(back):
            back = pool.noise(rng, n)
        back = back / np.sqrt(np.mean(back**2)) * 0.02
        mix, truth = back.copy(), []
        for _ in range(rng.integers(1, 4)):
            pick = rng.integers(len(clips))
            x = clips[pick][: 4 * audio.RATE]
            parts = spans(x)
            if not parts:
                continue
            at = rng.uniform(0, max(0.1, seconds - len(x) / audio.RATE))
            loud = np.concatenate([x[int(a * audio.RATE) : int(b * audio.RATE)] for a, b in parts])
            gain = 0.02 * 10 ** (snr / 20) / np.sqrt(np.mean(loud.astype(np.float64) ** 2) + 1e-12)
            start = int(at * audio.RATE)
            x = x[: n - start]
            mix[start : start + len(x)] += (x * gain).astype(np.float32)
            truth += [(labels[pick], at + a, min(at + b, seconds)) for a, b in parts]
        peak = np.abs(mix).max()
        mix = mix * (0.9 / peak) if peak > 0.9 else mix
        there = sorted({t[0] for t in truth})
        rest = [k for k in kinds if k not in there]
        rng.shuffle(rest)
        out.append(Scene(mix.astype(np.float32), truth, there + rest[: 10 - len(there)]))
    return out


def run(runner, mel, window, hop):
    """A stream as the elements give it, of its log-mel [T, 80]: (clip vectors [k, dim], frame vectors [steps, dim]).

    The encoder's reach is bounded, so that a recording at once gives what its chunks give one by one.
    """
    tokens = runner.tokens(np.asarray(mel, np.float32)[None])[0]
    columns, step = window // COLUMN_FRAMES, hop // COLUMN_FRAMES
    if len(tokens) < columns:
        parts = tokens[None]
    else:
        parts = np.stack([tokens[k : k + columns] for k in range(0, len(tokens) - columns + 1, step)])
    return runner.clip(parts), tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)


HOLD = 0.5  # seconds: clapmatch's default hold-time


def track(score, on, off, onset, offset, floor):
    """Events of one label as clapmatch makes them: `score` [n], and each sample's onset, offset and floor in seconds.

    An event begins where the score that reaches `on` rose above `off`, and ends where it fell below `off` for `HOLD`.
    """
    events, near, begun, last = [], None, None, 0
    for i, s in enumerate(score):
        if begun is None:
            near = (i if near is None else near) if s >= off else None
            if s >= on:
                begun, last = near, i
        elif s >= off:
            last = i
        elif offset[i] - offset[min(last + 1, i)] >= HOLD:
            events.append((onset[begun], max(offset[last + 1], floor[last])))
            begun = near = None
    if begun is not None:
        events.append((onset[begun], floor[last]))
    return events


def found(score, labels, kind, on, off, window, hop):
    """Events (label, onset, offset) of scores [n, L] of clip windows or frames."""
    n = len(score)
    if kind == "frames":
        onset = offset = np.arange(n) * COLUMN
        floor = onset + COLUMN
    else:
        w, h = window * audio.HOP / audio.RATE, hop * audio.HOP / audio.RATE
        offset = np.arange(n) * h
        onset, floor = offset + w - h, offset + w
        onset[0] = 0.0
    return [
        (label, a, b) for k, label in enumerate(labels) for a, b in track(score[:, k], on, off, onset, offset, floor)
    ]


def agree(found_events, truth, collar=0.2, part=0.2, offsets=True):
    """Greedy matching in time order per label: the number of true positives."""
    used, hits = set(), 0
    for label, a, b in sorted(found_events, key=lambda e: e[1]):
        for i, (other, c, d) in enumerate(truth):
            if i in used or other != label or abs(a - c) > collar:
                continue
            if offsets and abs(b - d) > max(collar, part * (d - c)):
                continue
            used.add(i)
            hits += 1
            break
    return hits


def figures(runs, scenes, label_vectors, result, kind, window, hop, on=None, off=None):
    """Event-F1 (collar 0.2 s, 20%), onset F1, recall of labels per scene, false events per hour: micro averages."""
    on, off = on or result.threshold, off or result.offset_threshold
    total = {"found": 0, "truth": 0, "event": 0, "onset": 0, "there": 0, "heard": 0, "false": 0, "seconds": 0.0}
    for (clip, frame), scene in zip(runs, scenes, strict=True):
        vectors = label_vectors[scene.listed]
        score = calibrate.scores((frame if kind == "frames" else clip) @ vectors.T, vectors, result)
        events = found(score, scene.listed, kind, on, off, window, hop)
        there = {t[0] for t in scene.truth}
        total["found"] += len(events)
        total["truth"] += len(scene.truth)
        total["event"] += agree(events, scene.truth)
        total["onset"] += agree(events, scene.truth, offsets=False)
        total["there"] += len(there)
        total["heard"] += len(there & {e[0] for e in events})
        total["false"] += sum(e[0] not in there for e in events)
        total["seconds"] += len(scene.samples) / audio.RATE
    both = max(1, total["found"] + total["truth"])
    return {
        "event_f1": 2 * total["event"] / both,
        "onset_f1": 2 * total["onset"] / both,
        "recall": total["heard"] / max(1, total["there"]),
        "false_per_hour": total["false"] / total["seconds"] * 3600,
        "events": total["found"],
        "true_events": total["truth"],
    }
