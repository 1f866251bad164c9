"""Batches of the audio side's training: drawn from the pool's shards, augmented, with words and targets, ahead of their step."""

import queue
import threading
from pathlib import Path

import numpy as np
import torch

from . import pool
from .probe import probabilities
from .targets import targets

MEAN, STD = -9.0, 4.3


class Items:
    """The shards that are there, in memory; `refresh` takes in new ones."""

    def __init__(self, folder):
        self.folder, self.seen, self.shards = Path(folder), set(), []
        self.refresh()

    def refresh(self):
        for path in sorted(self.folder.glob("shard-[0-9][0-9][0-9][0-9].npz")):
            if path not in self.seen:
                self.seen.add(path)
                with np.load(path) as f:
                    self.shards.append({k: f[k] for k in f.files})

    def __len__(self):
        return len(self.shards) * pool.SHARD

    def draw(self, rng, count):
        """A batch as a dictionary of arrays."""
        which, row = rng.integers(len(self.shards), size=count), rng.integers(pool.SHARD, size=count)
        return {k: np.stack([self.shards[a][k][b] for a, b in zip(which, row, strict=True)]) for k in self.shards[0]}


class Ahead:
    """Makes the batches of the next steps in a thread while this one is learnt from."""

    def __init__(self, make, first, depth=3):
        self.queue, self.stopped = queue.Queue(depth), threading.Event()

        def work():
            step = first
            while not self.stopped.is_set():
                try:
                    made = make(step)
                except Exception as problem:  # told to the thread that waits for it
                    made = problem
                while not self.stopped.is_set():
                    try:
                        self.queue.put(made, timeout=0.2)
                        break
                    except queue.Full:
                        continue
                if isinstance(made, Exception):
                    return
                step += 1

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def next(self):
        made = self.queue.get()
        if isinstance(made, Exception):
            raise made
        return made

    def stop(self):
        self.stopped.set()
        self.thread.join()


def augment(mel, rng):
    """Equalisation by a smooth curve and a few erased stripes, on [B, T, 80] log-mel."""
    batch, frames, bands = mel.shape
    knots = rng.normal(0, 1.2, size=(batch, 6)) * (rng.random((batch, 1)) < 0.6)
    at = np.linspace(0, 5, bands)
    low = np.minimum(at.astype(int), 4)
    curve = knots[:, low] * (1 - (at - low)) + knots[:, low + 1] * (at - low)
    mel = np.maximum(mel + curve[:, None, :].astype(np.float32), np.float32(-15.942385))
    for i in range(batch):
        if rng.random() < 0.5:
            # As if pitch and size of the source were a little other: up to three bands.
            by = int(rng.integers(-3, 4))
            if by > 0:
                mel[i, :, by:] = mel[i, :, :-by].copy()
            elif by < 0:
                mel[i, :, :by] = mel[i, :, -by:].copy()
        if rng.random() < 0.5:
            n = rng.integers(1, 10)
            f = rng.integers(bands - n)
            mel[i, :, f : f + n] = mel[i].mean()
        if rng.random() < 0.3:
            n = rng.integers(1, 16)
            t = rng.integers(frames - n)
            mel[i, t : t + n] = mel[i].mean()
    return mel


class Texts:
    """Draws one wording of each label (with `one` always its name), and some nonsense."""

    def __init__(self, bank, one=False):
        self.bank, self.one = bank, one
        self.vectors = torch.from_numpy(bank.vectors)
        self.classes = torch.from_numpy(bank.classes)
        self.nonsense = torch.from_numpy(bank.nonsense)

    def draw(self, rng):
        b, pick = self.bank, []
        for i in range(len(b.labels)):
            first, last = b.first[i], b.first[i + 1]
            kind = rng.random()
            if self.one or kind < 0.4:
                pick.append(first)
            elif kind < 0.7:
                pick.append(first + rng.integers(b.plain[i]))
            else:
                pick.append(rng.integers(first, last))
        return self.vectors[np.array(pick)]


def prepare(batch, texts, rng, config, overlap, others, probe):
    """What of a step needs no gradient: the batch's augmented mel, texts and targets as a dictionary of tensors."""
    mel = torch.from_numpy(augment(batch["mel"].astype(np.float32), rng))
    labels = texts.draw(rng)
    some = texts.nonsense[rng.integers(len(texts.nonsense), size=64)]
    columns = batch["activity"].shape[2]
    # The head learns to pool spans of any length.
    span = (0, columns)
    if rng.random() < config.spans:
        length = int(rng.integers(columns // 6, columns))
        first = int(rng.integers(columns - length + 1))
        span = (first, first + length)
    made = {
        "x": ((mel - MEAN) / STD).transpose(1, 2).unsqueeze(1).contiguous(memory_format=torch.channels_last),
        "labels": labels,
        "texts": torch.cat([labels, some, texts.classes]),
        "targets": targets(batch, len(labels), overlap, others, span),
        "span": span,
    }
    if "scores" in batch:
        made["score"] = torch.from_numpy(batch["scores"].astype(np.float32))
        made["root"] = torch.from_numpy(np.sqrt(np.maximum(batch["vectors"].astype(np.float32), 0)))
        if probe is not None:
            made["probe"] = tuple(map(torch.from_numpy, probabilities(probe, batch)))
    return made
