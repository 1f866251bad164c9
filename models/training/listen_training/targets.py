"""What the tokens of a mix are to say: which labels sound in each frame and in the clip, and where that is not known."""

import numpy as np
import torch

from .mixer import BENT, NONE, STRANGE

EDGE = 6  # columns: about half a second


def overlaps(labels, words):
    """[labels, labels] booleans: where the first sounds, the second is no negative."""
    out = np.zeros((len(labels), len(labels)), bool)
    for a, others in words["overlap"].items():
        for b in others:
            if a in labels and b in labels:
                out[labels.index(a), labels.index(b)] = True
    return out


def edges(on):
    """[columns] booleans: within EDGE columns of where `on` begins or ends."""
    changes = np.flatnonzero(np.diff(on.astype(np.int8)))
    at = np.arange(len(on))
    return (np.abs(at[:, None] - (changes + 0.5)) < EDGE).any(1)


def targets(batch, labels, overlap, others, span):
    """Frame targets [B, columns, L], clip targets [B, L] of the columns of `span`, where each is no negative, and which frames
    are near a beginning or an end of their label.

    `others` [L]: the labels that a source of STRANGE sounds might bear.
    """
    count, _, columns = batch["activity"].shape
    frame = np.zeros((count, columns, labels), np.float32)
    edge = np.zeros((count, columns, labels), bool)
    skip = np.zeros((count, columns, labels), bool)
    clip, clip_skip = np.zeros((count, labels), np.float32), np.zeros((count, labels), bool)
    for i in range(count):
        for source, label in enumerate(batch["labels"][i]):
            if label == NONE:
                continue
            on, unsure = batch["activity"][i, source], batch["unsure"][i, source]
            if label == BENT:
                skip[i, on | unsure] = True
                clip_skip[i] |= (on | unsure)[span[0] : span[1]].any()
                continue
            if label == STRANGE:
                skip[i, on] |= others
                clip_skip[i] |= others
                continue
            frame[i, on, label] = 1
            edge[i, edges(on), label] = True
            skip[i, on] |= overlap[label]
            skip[i, unsure, label] = True
            within = on[span[0] : span[1]]
            if within.sum() >= 2:
                clip[i, label] = 1
            if within.any() or unsure[span[0] : span[1]].any():
                clip_skip[i] |= overlap[label]
                clip_skip[i, label] = True
    return tuple(map(torch.from_numpy, (frame, skip & (frame == 0), clip, clip_skip & (clip == 0), edge)))
