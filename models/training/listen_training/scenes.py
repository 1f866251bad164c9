"""Simple scenes of known times, and how well events found in them agree: what chooses output and thresholds."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from . import audio, pool, synth
from .mixer import ramped

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


def make(clips, labels, count, rng, mixer, seconds=12.0, snr=6.0):
    """`count` scenes of one to three clips (trimmed, at most 5 s), `snr` dB above the background over their active part.

    Two fifths of the backgrounds are unrelated sound of `mixer`, the others noise.
    """
    kinds, out, n = sorted(set(labels)), [], int(seconds * audio.RATE)
    for _ in range(count):
        back = mixer.stranger_for(n) if rng.random() < 0.4 else synth.noise(rng, n)
        while not np.any(back):
            back = synth.noise(rng, n)
        back = back / np.sqrt(np.mean(np.square(back, dtype=np.float64))) * 10 ** (rng.uniform(-45, -25) / 20)
        mix, truth = back.astype(np.float32), []
        for _ in range(rng.integers(1, 4)):
            pick = rng.integers(len(clips))
            # A clip that begins or ends abruptly would be an edge that no sound has.
            x = ramped(clips[pick][: 5 * audio.RATE])
            parts = spans(x)
            if not parts or labels[pick] in {t[0] for t in truth}:
                continue
            start = int(rng.uniform(0, max(0.1, seconds - len(x) / audio.RATE)) * audio.RATE)
            x = x[: n - start]
            on = np.zeros(len(x), bool)
            for a, b in parts:
                on[int(a * audio.RATE) : int(b * audio.RATE)] = True
            level = lambda y, on=on: np.sqrt(np.mean(np.square(y[on], dtype=np.float64)) + 1e-12) if on.any() else 1.0
            x = x * np.float32(level(back[start : start + len(x)]) * 10 ** (snr / 20) / level(x))
            mix[start : start + len(x)] += x
            at = start / audio.RATE
            truth += [(labels[pick], at + a, min(at + b, seconds)) for a, b in parts if at + a < seconds]
        peak = np.abs(mix).max()
        mix = mix * (0.9 / peak) if peak > 0.9 else mix
        there = sorted({t[0] for t in truth})
        rest = [k for k in kinds if k not in there]
        rng.shuffle(rest)
        out.append(Scene(mix.astype(np.float32), truth, there + rest[: 10 - len(there)]))
    return out


def unrelated(mixer, rng, seconds):
    """A stream of unrelated sound with pauses over a noise floor."""
    n = int(seconds * audio.RATE)
    out, at = np.zeros(n, np.float32), 0
    while at < n:
        x = mixer.stranger_for(int(rng.uniform(2, 15) * audio.RATE))
        x = x * np.float32(10 ** (-rng.uniform(0, 30) / 20) * 0.9 / max(float(np.abs(x).max()), 1e-6))
        x = x[: n - at]
        out[at : at + len(x)] += x
        at += len(x) + int(rng.uniform(0.2, 2.0) * audio.RATE)
    floor = rng.standard_normal(n) * 10 ** (-rng.uniform(50, 85) / 20)
    return out + floor.astype(np.float32)


def run(runner, mel, window, hop):
    """A stream's clip vectors [k, dim] as the elements give them, of its log-mel [T, 80].

    The encoder's reach is bounded, so that a recording at once gives what its chunks give one by one.
    """
    tokens = runner.tokens(np.asarray(mel, np.float32)[None])[0]
    columns, step = window // COLUMN_FRAMES, hop // COLUMN_FRAMES
    if len(tokens) < columns:
        parts = tokens[None]
    else:
        parts = np.stack([tokens[k : k + columns] for k in range(0, len(tokens) - columns + 1, step)])
    return runner.clip(parts)


def frames(runner, mel, block=2400, around=384):
    """Unit vectors [T / 8, dim] of a stream's log-mel [T, 80], a part at a time."""
    mel, out = np.asarray(mel, np.float32), []
    for start in range(0, len(mel) - COLUMN_FRAMES + 1, block):
        first = max(0, start - around)
        tokens = runner.tokens(mel[None, first : start + block + around])[0]
        tokens = tokens[(start - first) // COLUMN_FRAMES :][: (min(len(mel), start + block) - start) // COLUMN_FRAMES]
        out.append(tokens / np.linalg.norm(tokens, axis=-1, keepdims=True))
    return np.concatenate(out)


STRENGTH_REACH = 12  # frames: 120 ms on either side of a frame, as models/features/src/strength.rs has it
MOST, BEYOND = 4.0, 0.15  # nats that one band tells whole, and the share of what is more


def strengths(mel):
    """How strongly sound begins and ends before each frame of log-mel [T, 80]: two arrays [T], in nats of power.

    The mean over the bands of how much more (less) the mean of the `STRENGTH_REACH` frames from there on has than that of
    as many before: spectral flux over longer spans. Where fewer are there on one side it counts by as much less.
    """
    limited = lambda x: np.minimum(x, MOST) + BEYOND * np.maximum(x - MOST, 0)
    mel = np.asarray(mel, np.float64)
    total = np.concatenate([np.zeros((1, mel.shape[1])), np.cumsum(mel, axis=0)])
    at = np.arange(len(mel))
    last, first = np.minimum(at + STRENGTH_REACH, len(mel)), np.maximum(at - STRENGTH_REACH, 0)
    after = (total[last] - total[at]) / (last - at)[:, None]
    before = (total[at] - total[first]) / np.maximum(at - first, 1)[:, None]
    share, step = np.minimum(last - at, at - first) / STRENGTH_REACH, after - before
    return share * limited(np.maximum(step, 0)).mean(1), share * limited(np.maximum(-step, 0)).mean(1)


HOLD = 0.5  # seconds: clapmatch's default hold-time
REACH = 3  # columns: 240 ms on either side of a step, as models/zeroshot/src/steps.rs has it
CLEARLY = 1.1  # so much steeper is a later step up that an event begins at
# Where strengths are known, an edge is looked for so many seconds before and after the score's step, and one further away
# by NEAR must be e times as strong; where what weighs most is weaker than FAINT, the step stays (models/zeroshot/src/edges.rs).
WITHIN, NEAR, FAINT = 0.5, 0.4, 0.3
FRAME = audio.HOP / audio.RATE


def sharpened(strength, place, first, last):
    """The time from `first` to before `last` (seconds) of the edge that the step at `place` belongs to; None: there is none."""
    frames = lambda seconds: max(0, int(np.ceil(seconds / FRAME - 1e-6)))
    at = np.arange(frames(first), min(len(strength), frames(last)))
    if not len(at):
        return None
    best = at[np.argmax(strength[at] * np.exp(-np.abs(at * FRAME - place) / NEAR))]
    return float(best * FRAME) if strength[best] >= FAINT else None


def steps(score, known):
    """How much higher the mean of the `REACH` scores from each of [n] on is than that of as many before; silence is before the first.

    `known` [n]: how many scores are known by then.
    """
    total = np.concatenate([[0.0], np.cumsum(score)])
    at = np.arange(len(score))
    last, first = np.maximum(np.minimum(at + REACH, known), at + 1), np.maximum(at - REACH, 0)
    return (total[last] - total[at]) / (last - at) - (total[at] - total[first]) / np.maximum(at - first, 1)


@dataclass
class Group:
    """Columns in which a label is heard: a score that reaches the onset threshold, and what lies around it above the other."""

    start: int  # the first at the offset threshold
    end: int  # behind the last
    half: int  # the first at half the onset threshold
    first: int  # the first at the onset threshold
    sure: int  # the last, or the first after a pause

    def known(self, columns):
        """Columns that are known when it has ended."""
        return min(self.end + int(np.ceil(HOLD / COLUMN)), columns)


def groups(score, on, off):
    """The `Group`s in one label's smoothed scores [n]: below `off` for `HOLD` ends one."""
    if not len(score) or score.max() < on:
        return []
    hold, found = int(np.ceil(HOLD / COLUMN)), []
    crossings = np.flatnonzero(np.diff(np.concatenate([[0], (score >= off).astype(np.int8), [0]])))
    for start, end in crossings.reshape(-1, 2).tolist():
        hot = np.flatnonzero(score[start:end] >= on) + start
        if found and start - found[-1].end < hold:
            found[-1].end = end
            found[-1].sure = int(hot[-1]) if len(hot) else start
        elif len(hot):
            half = start + int(np.argmax(score[start:end] >= on / 2))
            found.append(Group(start, end, half, int(hot[0]), int(hot[-1])))
    return found


def track(score, raw, on, off, edges=None, placing=None):
    """Events (onset, offset) in seconds of one label's frames [n], smoothed and as they were, as clapmatch makes them.

    `edges`: `strengths` of the sound, where they are known: onsets and offsets are moved to the edge that is strongest nearby,
    or to the one that `placing` takes.

    An event holds a score that reaches `on` and lasts until it was below `off` for `HOLD`. It begins at the steepest step
    up since the score rose above `off`, and ends at the steepest step down after it last reached `on`, or went on
    after a pause.
    """
    n, events = len(score), []
    frame = lambda seconds: int(np.ceil(seconds / FRAME - 1e-6))
    for group in groups(score, on, off):
        first, sure, end = group.first, group.sure, group.end
        free = events[-1][1] if events else 0.0
        rise = steps(raw[: first + 1], first + 1)[group.start :]
        begun, least = 0, 0.0
        for place, height in enumerate(rise.tolist()):
            if height > least:
                begun, least = place, height * CLEARLY
        onset = max(free, (group.start + begun) * COLUMN)
        least = onset + COLUMN
        if edges is not None:
            if placing is not None:
                # Before the first frame there is nothing that it could change from.
                known = group.start + begun > 0
                found = (
                    placing.place(0, edges, raw, group.half * COLUMN_FRAMES, frame(free), first + 1) if known else None
                )
                found = None if found is None else found * FRAME
            else:
                last = min(onset + WITHIN + FRAME, (first + 1) * COLUMN)
                found = sharpened(edges[0], onset, max(free, onset - WITHIN), last)
            onset = onset if found is None else found
            least = max(least, onset + COLUMN)
        known, offset = group.known(n), end * COLUMN
        if end < n:
            fall = steps(raw, known)[: end + 1]
            place = sure + 1 + int(np.argmin(fall[sure + 1 :]))
            offset = (place if fall[place] < 0 else end) * COLUMN
            if edges is not None:
                if placing is not None:
                    found = placing.place(1, edges, raw, (sure + 1) * COLUMN_FRAMES, frame(least), known)
                    found = None if found is None else found * FRAME
                else:
                    last = min(offset + WITHIN + FRAME, known * COLUMN)
                    found = sharpened(edges[1], offset, max(least, offset - WITHIN, sure * COLUMN), last)
                offset = offset if found is None else found
        events.append((onset, max(offset, least)))
    return events


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


def f1(hits, found, truth):
    """F1, macro over the labels that are true: arguments are {label: count}."""
    return float(np.mean([2 * hits.get(k, 0) / (found.get(k, 0) + n) for k, n in truth.items()])) if truth else 0.0


def figures(runs, raws, edges, scenes, on, off, placing=None):
    """Event-F1 (collar 0.2 s, 20%) and onset F1 macro over labels, the share of sounds that are heard, events.

    `runs`, `raws`: each scene's scores [n, labels of its list], smoothed and as they were; `edges` its `strengths`; `placing` as `track` has it.
    """
    event, onset, found, truth, heard, false = Counter(), Counter(), Counter(), Counter(), [], 0
    for score, raw, edge, scene in zip(runs, raws, edges, scenes, strict=True):
        for k, label in enumerate(scene.listed):
            events = [(label, a, b) for a, b in track(score[:, k], raw[:, k], on, off, edge, placing)]
            true = [t for t in scene.truth if t[0] == label]
            found[label] += len(events)
            if true:
                truth[label] += len(true)
                event[label] += agree(events, true)
                onset[label] += agree(events, true, offsets=False)
                heard += [any(a < d and b > c for _, a, b in events) for _, c, d in true]
            false += sum(not any(a < d and b > c for _, c, d in true) for _, a, b in events)
    return {
        "event_f1": f1(event, found, truth),
        "onset_f1": f1(onset, found, truth),
        "recall": float(np.mean(heard)) if heard else 0.0,
        "false_per_hour": false / (sum(len(s.samples) for s in scenes) / audio.RATE / 3600),
        "events": sum(found.values()),
        "true_events": sum(truth.values()),
    }
