"""A pool of mixed sound on disk: what the audio side trains on.

Each item is `FRAMES` frames of a mix (mixer.py), with where its sources sound per column, and what the teacher says of
the very same mix (made loud first, as the teacher expects). Items are written in shards by several processes; training
may begin as soon as the first are there and takes in the others as they come.
"""

import os
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import audio
from .mixer import COLUMN, COLUMNS, FRAMES, SAMPLES, SOURCES, Mixer
from .teacher import Yamnet

__all__ = ["COLUMN", "COLUMNS", "FRAMES", "SAMPLES", "SHARD", "SOURCES", "progress", "wait", "write"]
SHARD = 256


def write(folder, teacher_folder, clips, labels, folds, main, mixing, shards, worker, workers, seed):
    """Writes this worker's share of `shards` shards; those that are there already are kept."""
    os.environ["OMP_NUM_THREADS"] = "1"
    teacher = Yamnet(teacher_folder) if teacher_folder else None
    for shard in range(worker, shards, workers):
        path = Path(folder) / f"shard-{shard:04d}.npz"
        if path.exists():
            continue
        mixer = Mixer(clips, labels, folds, main, np.random.default_rng([seed, shard]), **mixing)
        mel = np.zeros((SHARD, FRAMES, audio.N_MELS), np.float16)
        taught = []
        kept = {"labels": [], "activity": [], "unsure": [], "folds": []}
        for i in range(SHARD):
            x, loud, *said = mixer.item()
            # 16 bits, as a recording has.
            x = np.round(x * 32767) / 32767
            mel[i] = audio.log_mel(x, np.float32)
            if teacher:
                taught.append([part.astype(np.float16) for part in teacher.patches(loud)])
            for key, value in zip(kept, said, strict=True):
                kept[key].append(value)
        # A name of its own until it is whole, so that a reader never sees half a file.
        part = path.with_suffix(f".{os.getpid()}.npz")
        if taught:
            kept["scores"], kept["vectors"] = zip(*taught, strict=True)
        np.savez(part, mel=mel, **{k: np.stack(v) for k, v in kept.items()})
        part.rename(path)


def progress(folder):
    """How many whole shards there are."""
    return len(list(Path(folder).glob("shard-[0-9][0-9][0-9][0-9].npz")))


def wait(folder, writers, wanted):
    """Waits until there are `wanted` shards, which the processes `writers` make."""
    with tqdm(desc="mixes", total=wanted, unit="shard", initial=min(progress(folder), wanted), disable=None) as bar:
        while True:
            # Asked before what is there is counted: the last shard may come between the two.
            goes_on, there = any(w.is_alive() for w in writers), progress(folder)
            bar.update(min(there, wanted) - bar.n)
            if there >= wanted:
                return
            if not goes_on:
                raise SystemExit(
                    f"the processes that mix the training sound have died at shard {there} of {wanted}; see the error above"
                )
            time.sleep(1)
