"""The clips of an index, in memory, and what is precomputed of them."""

import csv
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import audio, pool
from .teacher import Yamnet


@dataclass
class Clips:
    """Trimmed waveforms of one role with their labels."""

    rows: list
    waves: list
    labels: list
    folds: list

    def with_(self, other):
        """These and those of `other`."""
        return Clips(
            self.rows + other.rows, self.waves + other.waves, self.labels + other.labels, self.folds + other.folds
        )


def fold_of(row, number):
    """The part of a clip for cross-fitting: ESC-50's own fold (its files' first character), otherwise by turns."""
    name = Path(row.path).name
    return int(name[0]) if row.set == "esc50" and name[:1].isdigit() else number % 5 + 1


def kept_out(path):
    """The paths that `path` (columns path, part) keeps for judging: part `eval`. "" keeps none."""
    if not path:
        return set()
    with open(path, newline="") as file:
        return {row["path"] for row in csv.DictReader(file) if row["part"] == "eval"}


def wave(folder, row):
    """The trimmed samples of a row of the index, at full scale."""
    x = audio.trim(audio.read(Path(folder) / row.path))
    peak = np.abs(x).max()
    return x / peak * 0.9 if peak > 1e-4 else x


# The set whose rows without a label hold none of the labels, where elsewhere it is not known what they hold.
ORDINARY, PIECE = "ordinary", 8.0


def unlabelled(folder, without=frozenset()):
    """Rows and waveforms of the train clips that bear no label: of what they are only the teacher speaks."""
    rows = [r for r in without_label(folder, without) if r.set != ORDINARY]
    return rows, [wave(folder, row) for row in rows]


def ordinary(folder, without=frozenset()):
    """Rows and waveforms, in pieces of PIECE seconds, of the train clips of set ORDINARY without a label: unrelated sound."""
    rows, pieces, length = [r for r in without_label(folder, without) if r.set == ORDINARY], [], int(PIECE * audio.RATE)
    for row in rows:
        x = wave(folder, row)
        # What is left over at the end is too short for a piece, unless it is all there is.
        pieces += [x[at : at + length] for at in range(0, max(1, len(x) - length // 2), length)]
    return rows, pieces


def without_label(folder, without):
    """The train rows that bear no label."""
    return [r for r in audio.read_index(folder) if r.role == "train" and not r.label and r.path not in without]


def load(folder, role, names, without=frozenset()):
    """All labelled clips of `role` but those whose paths are in `without`; `names` grows by labels that it does not have yet."""
    rows = [r for r in audio.read_index(folder) if r.role == role and r.label and r.path not in without]
    waves, labels, folds = [], [], []
    for i, row in enumerate(rows):
        waves.append(wave(folder, row))
        name = row.label.replace("_", " ")
        if name not in names:
            names.append(name)
        labels.append(names.index(name))
        folds.append(fold_of(row, i))
    return Clips(rows, waves, labels, folds)


def main_set(rows):
    """The set whose labels are the main ones: the largest that has val rows (else the largest)."""
    count = {}
    for r in rows:
        val, train = count.get(r.set, (0, 0))
        count[r.set] = (val + (r.role == "val"), train + (r.role == "train" and bool(r.label)))
    return max(count, key=count.get)


def teach(teacher_folder, clips):
    """The teacher's vectors of each clip's patches: ([patches, 1024], clip number of each patch)."""
    teacher, vectors, owner = Yamnet(teacher_folder), [], []
    for i, x in enumerate(tqdm(clips.waves, desc="probe: YAMNet", unit="clip", disable=None)):
        _, v = teacher.patches(x)
        vectors.append(v)
        owner += [i] * len(v)
    return np.concatenate(vectors), np.asarray(owner)


def start_pool(folder, teacher_folder, clips, main, mixing, shards, workers, seed):
    """Starts the processes that write the pool; returns them. `mixing`: the further arguments of mixer.Mixer by name."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    context = get_context("fork")
    started = []
    for worker in range(workers):
        arguments = (
            folder,
            teacher_folder,
            clips.waves,
            clips.labels,
            clips.folds,
            main,
            mixing,
            shards,
            worker,
            workers,
            seed,
        )
        process = context.Process(target=pool.write, args=arguments, daemon=True)
        process.start()
        started.append(process)
    return started
