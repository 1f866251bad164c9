"""What several tests need of mixes: a batch of them, and a probe that tells two labels apart."""

import numpy as np

PROBE = {
    "folds": np.array([1, 2, 3]),
    "weights": np.ones((3, 4, 2)),
    "biases": np.zeros((3, 2)),
    "main": np.arange(2),
}


def batch(draw, count):
    """`count` items of the mixer `draw` as the training has them, with vectors of 11 patches for PROBE."""
    items = [draw.item() for _ in range(count)]
    keys = ("labels", "activity", "unsure", "folds")
    made = {k: np.stack([item[2 + i] for item in items]) for i, k in enumerate(keys)}
    return made | {"vectors": np.ones((count, 11, 4), np.float32)}
