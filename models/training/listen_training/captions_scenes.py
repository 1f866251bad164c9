"""What a caption is learnt from: mixes of the pool as a package hears them, the events that it would report of them as
`clapmatch` and `llmcaption` tell them, and the caption of what truly sounds."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from . import captions, pool, scenes
from .captions_compact import Event, compact, name_of

COLUMN = scenes.COLUMN
HOLD, GOING = 0.5, 5.0  # seconds: clapmatch's hold-time; llmcaption tells of what goes on for so long before it ends
MOST = 8  # sounds that a caption names: the longest
LEAST = 3  # columns that a sound must have to be told, or half of what there is of it


def encode(folder, runner, items, path):
    """The first `items` mixes of the pool in `folder` as unit tokens: [items, columns, dim] float16 in `path` (.npy), with
    labels and activity beside; made once, and gone on with where it was stopped."""
    shards = sorted(Path(folder).glob("shard-[0-9][0-9][0-9][0-9].npz"))[: -(-items // pool.SHARD)]
    parts = Path(path)
    parts.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        place = parts / f"{shard.stem}.npz"
        if place.exists():
            continue
        with np.load(shard) as f:
            mel, said = f["mel"], {k: f[k] for k in ("labels", "activity")}
        tokens = np.concatenate([runner.tokens(mel[i : i + 16]) for i in range(0, len(mel), 16)])
        tokens = (tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)).astype(np.float16)
        level = np.log(np.exp(mel.astype(np.float32)).sum(-1) + 1e-7).reshape(len(mel), pool.COLUMNS, -1).mean(-1)
        unfinished = place.with_suffix(".part.npz")
        np.savez(unfinished, tokens=tokens, level=level.astype(np.float16), **said)
        unfinished.rename(place)
        yield place.stem, len(shards)


@dataclass
class Heard:
    """Encoded mixes: tokens [n, columns, dim], level [n, columns], labels [n, sources], activity [n, sources, columns]."""

    tokens: np.ndarray
    level: np.ndarray
    labels: np.ndarray
    activity: np.ndarray

    @staticmethod
    def load(path, items):
        """The first `items` of what `encode` wrote."""
        paths = [p for p in sorted(Path(path).glob("shard-*.npz")) if ".part" not in p.name]
        keys, whole, at = ("tokens", "level", "labels", "activity"), {}, 0
        for file in paths[: -(-items // pool.SHARD)]:
            with np.load(file) as f:
                for k in keys:
                    if k not in whole:
                        whole[k] = np.zeros((len(paths) * len(f[k]), *f[k].shape[1:]), f[k].dtype)
                    whole[k][at : at + len(f[k])] = f[k]
                at += len(f[k])
        return Heard(*(whole[k][: min(at, items)] for k in keys))

    def part(self, rows):
        return Heard(self.tokens[rows], self.level[rows], self.labels[rows], self.activity[rows])

    def __len__(self):
        return len(self.labels)


class Detector:
    """Scores of labels as the package's manifest has them."""

    def __init__(self, folder, manifest, vectors):
        clap = manifest["clap"]
        ground = load_file(str(Path(folder) / clap["calibration"]["file"]))["background"]
        against = ground @ vectors.T
        self.vectors, self.clap = vectors, clap
        self.mean, self.std = against.mean(0), np.maximum(against.std(0), clap["calibration"]["min_std"])
        self.threshold, self.offset = clap["default_threshold"], clap["default_offset_threshold"]

    def scores(self, tokens, labels):
        """[columns, dim] and numbers of labels to [columns, labels]."""
        cos = tokens @ self.vectors[labels].T
        a, b = self.clap["calibration"]["a"], self.clap["calibration"]["b"]
        logit = np.minimum(
            a * (cos - self.mean[labels]) / self.std[labels] + b,
            self.clap["logit_scale"] * cos + self.clap["logit_bias"],
        )
        return 1 / (1 + np.exp(-logit))


def asked(events, edges):
    """When `llmcaption` writes: [(events told of, from, now)], times in seconds. `edges` are where windows end."""
    told, out = set(), []
    for now in edges:
        known = [e for e in events if e.onset < now]
        ended = lambda e: e.offset + HOLD <= now  # noqa: B023
        due = [e for e in known if e not in told and (ended(e) or now - e.onset >= GOING)]
        if not due:
            continue
        fresh = [e for e in known if e not in told]
        told |= set(fresh)
        # One that has not ended goes on.
        said = [Event(e.label, e.onset, e.offset if ended(e) else None, e.score) for e in fresh]
        out.append((said, min(e.onset for e in said), now))
    return out


@dataclass
class Example:
    """Windows' tokens [T, dim] in order, the evidence, and the caption."""

    windows: list
    evidence: str
    caption: str


class Scenes:
    """Draws examples. `labels` are names by number, of which `main` are told also where nobody listened for them.

    With `trusts` a caption names just the sounds whose events are told (how often and in which order, truth says), and what
    truly sounds where there are none; without, it names what truly sounds, whatever the events are.
    """

    def __init__(self, heard, detector, labels, main, wordings, typed, grammar, overlap, most=10, trusts=True):
        self.heard, self.detector, self.labels, self.main = heard, detector, labels, set(main)
        self.wordings, self.typed, self.grammar, self.overlap, self.most = wordings, typed, grammar, overlap, most
        self.trusts = trusts
        self.chance = np.array([1.0 if k in self.main else 0.1 for k in range(len(labels))])
        sounding = np.isin(heard.labels, list(self.main)).any(1)
        self.sounding, self.silent = np.flatnonzero(sounding), np.flatnonzero(~sounding)
        if not len(self.sounding) or not len(self.silent):
            raise ValueError("captions: the pool must hold mixes with and without main sounds; more shards are needed")

    def item(self, rng):
        """(tokens [columns, dim], {label: activity}, {label: level in dB to the others}) of one or two mixes in a row."""
        tokens, active, level, at = [], {}, {}, 0
        count = 1 + int(rng.random() < 0.6)
        for _ in range(count):
            n = int(rng.choice(self.sounding) if rng.random() < 0.85 else rng.integers(len(self.heard)))
            tokens.append(self.heard.tokens[n].astype(np.float32))
            own = {}
            for label, on in zip(self.heard.labels[n], self.heard.activity[n], strict=True):
                if label >= 0 and on.any():
                    own[int(label)] = own.get(int(label), False) | on
            loud = self.heard.level[n].astype(np.float32) * np.float32(10 / np.log(10))
            for label, on in own.items():
                level[label] = levels(loud, on, [o for k, o in own.items() if k != label])
                whole = active.setdefault(label, np.zeros(count * pool.COLUMNS, bool))
                whole[at : at + pool.COLUMNS] |= on
            at += pool.COLUMNS
        return self.unsure(np.concatenate(tokens), rng), active, level

    def unsure(self, tokens, rng):
        """Tokens as of sound that the encoder never heard: on the way towards other sounds', and noisy."""
        if rng.random() < 0.7:
            n = int(rng.choice(self.sounding))
            other = self.heard.tokens[n, int(rng.integers(pool.COLUMNS))].astype(np.float32)
            tokens = tokens + np.float32(rng.uniform(0.0, 0.9)) * other
        normal = lambda shape: rng.standard_normal(shape, dtype=np.float32)
        size = np.float32(1 / np.sqrt(tokens.shape[-1]))
        tokens = tokens + normal(tokens.shape[1:]) * (np.float32(rng.uniform(0, 0.6)) * size)
        if rng.random() < 0.5:
            tokens = tokens + normal(tokens.shape) * (np.float32(rng.uniform(0, 0.4)) * size)
        return tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)

    def listed(self, active, rng):
        """Numbers of about ten labels, mostly those that sound among them."""
        there = [k for k in active if rng.random() < 0.9]
        # Other sets' labels are seldom listened for, those that may be meant by what sounds never.
        chance = self.chance.copy()
        for label in active:
            chance[self.overlap[label]] = 0.0
            chance[label] = 0.0
        count = min(10 - len(there), int((chance > 0).sum()))
        if count <= 0:
            return there
        # Without replacement: the highest of random keys.
        keys = np.log(rng.random(len(chance)) + 1e-12) / np.maximum(chance, 1e-9)
        return there + [int(k) for k in np.argpartition(-keys, count - 1)[:count]]

    def events(self, tokens, active, rng):
        """What the package's detector would report of labels, as numbers, by onset (between steps of the score: the pool's edges
        are not kept); seldom what a better one would."""
        labels = self.listed(active, rng)
        on = self.detector.threshold if rng.random() < 0.7 else rng.uniform(0.5, 0.99)
        off = min(on * 0.9, self.detector.offset if rng.random() < 0.7 else rng.uniform(0.1, 0.5))
        scores, found = self.detector.scores(tokens, labels), []
        truth = rng.random() < 0.25
        for i, label in enumerate(labels):
            score = scores[:, i]
            if truth:
                # Truth as a detector degrades it: parts missed, times astray.
                there = active.get(label, np.zeros(len(tokens), bool))
                parts = [(a, b) for a, b in runs(there) if rng.random() < 0.75]
                jitter = lambda t: t + rng.normal(0, 0.08)
                times = [(max(0.0, jitter(a)), jitter(b)) for a, b in parts]
                if label not in active and rng.random() < 0.04:
                    a = rng.uniform(0, len(tokens) * COLUMN - 0.4)
                    times = [(a, a + rng.exponential(0.8) + 0.16)]
                times = [(a, min(max(b, a + 0.08), len(tokens) * COLUMN)) for a, b in times]
            else:
                times = scenes.track(score, score, on, off)
            found += [Event(label, a, b, float(score.max())) for a, b in times]
        return sorted(found, key=lambda e: (e.onset, e.label))

    def draw(self, rng):
        """One example."""
        tokens, active, level = self.item(rng)
        first = 28 if rng.random() < 0.5 else 12
        edges = [c * COLUMN for c in [*range(first, len(tokens), 12), len(tokens)]]
        if rng.random() < 0.12:
            return self.copied(tokens, edges, rng)
        times = asked(self.events(tokens, active, rng), edges)
        if not times and rng.random() < 0.75:
            # llmcaption mostly writes of events.
            return self.draw(rng)
        if times and rng.random() < 0.93:
            told, start, now = times[int(rng.integers(len(times)))]
            if rng.random() < 0.5:
                # Several sounds in one caption are what is harder.
                told, start, now = max(times, key=lambda t: len({e.label for e in t[0]}))
        else:
            # By the clock: whatever stands out.
            last = int(rng.integers(len(edges)))
            told, now = [], edges[last]
            start = max(0.0, now - rng.choice([2.0, 5.0]))
        a, b = round(start / COLUMN), round(now / COLUMN)
        true = {}
        for label, on in active.items():
            here = on[a:b]
            if here.sum() >= min(LEAST, on.sum() / 2) and (label in self.main or label in {e.label for e in told}):
                true[label] = [(x + start, y + start) for x, y in runs(here)]
        if told and self.trusts:
            ends = lambda e: now if e.offset is None else e.offset
            heard = {k: [(e.onset, ends(e)) for e in told if e.label == k] for k in (e.label for e in told)}
            true = {label: true.get(label, spans) for label, spans in heard.items()}
        # As it was typed: by its name, another wording of it, or as anything at all.
        said, sounds = {}, []
        for label in {*true, *(e.label for e in told)}:
            kind = rng.random()
            said[label] = self.labels[label]
            if label in {e.label for e in told} and kind < 0.35:
                if kind < 0.2 and self.wordings[label]:
                    said[label] = captions.pick(rng, self.wordings[label])
                elif kind >= 0.2 and label in true:
                    said[label] = captions.pick(rng, self.typed)(rng)
            if label in true:
                known = said[label] in self.wordings[label] or said[label] == self.labels[label]
                name = self.labels[label] if known else name_of(said[label])
                sounds.append(captions.Heard(name, tuple(true[label]), level.get(label, 0.0)))
        sounds = sorted(sounds, key=lambda s: (-sum(b - a for a, b in s.spans), s.label))[:MOST]
        text = captions.sentence(sounds, self.grammar, rng)
        told = [Event(said[e.label], e.onset, e.offset, e.score) for e in told]
        return Example(windows(tokens, edges, start, now, self.most), compact(told, start, now), text)

    def copied(self, tokens, edges, rng):
        """Events of labels that were never heard of: they are told as they stand there."""
        now = edges[-1]
        found, names = [], [captions.pick(rng, self.typed)(rng) for _ in range(rng.integers(1, 5))]
        for name in names:
            at = rng.uniform(0, now - 0.5)
            for _ in range(int(rng.choice([1, 1, 2, 3]))):
                end = min(now, at + rng.exponential(1.5) + 0.16)
                found.append(Event(name, at, end, 0.9))
                at = end + HOLD + rng.exponential(0.5)
                if at > now - 0.3:
                    break
        found = sorted(found, key=lambda e: e.onset)
        start = found[0].onset
        spans = {}
        for e in found:
            spans.setdefault(name_of(e.label), []).append((e.onset, e.offset))
        sounds = [captions.Heard(k, tuple(v)) for k, v in spans.items()]
        text = captions.sentence(sounds, self.grammar, rng)
        silent = int(rng.choice(self.silent))
        quiet = np.resize(self.heard.tokens[silent].astype(np.float32), tokens.shape)
        return Example(windows(quiet, edges, start, now, self.most), compact(found, start, now), text)


def runs(on):
    """[(from, to)] in seconds of columns that are on."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    return [(a * COLUMN, b * COLUMN) for a, b in edges.reshape(-1, 2).tolist()]


def levels(loud, on, others):
    """dB of a sound over the loudest other, both where they sound alone; 0 where that cannot be told."""
    alone = lambda x, rest: x & ~np.any(rest, axis=0) if rest else x
    own = alone(on, others)
    if own.sum() < LEAST or not others:
        return 0.0
    rest = [alone(o, [on, *(p for p in others if p is not o)]) for o in others]
    heard = [loud[o].mean() for o in rest if o.sum() >= LEAST]
    return float(loud[own].mean() - max(heard)) if heard else 0.0


def windows(tokens, edges, start, now, most):
    """The windows with any part between `start` and `now`, the latest `most`."""
    bounds = list(zip([0.0, *edges], edges, strict=False))
    kept = [(a, b) for a, b in bounds if b > start and a < now][-most:]
    return [tokens[round(a / COLUMN) : round(b / COLUMN)] for a, b in kept]


def typed_labels(table, without):
    """Makers of labels that the grammar does not know: phrases of the project's words, and words of no language."""
    g = table["grammar"]
    plain = [p for p in table["nonsense"]["phrases"] if p.lower() not in without]
    syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"] + ["st", "nd", "r", "x", "y", "q", "sh", "ck"]

    def doing(rng):
        return f"{captions.pick(rng, g['makers'])} {captions.pick(rng, g['doings'])}"

    def maker(rng):
        return captions.pick(rng, g["makers"])

    def word(rng):
        made = lambda: "".join(captions.pick(rng, syllables) for _ in range(rng.integers(1, 5)))
        return " ".join(made() for _ in range(rng.integers(1, 4)))

    def nonsense(rng):
        return captions.pick(rng, plain) if plain else word(rng)

    return [doing, maker, word, word, nonsense]


def bank_labels(path):
    """The names of the pool's label numbers, of a training's `bank.pkl`."""
    with open(path, "rb") as file:
        return list(pickle.load(file).labels)
