"""YAMNet (Apache-2.0) as the peer: its own classes mapped by hand, and a linear probe on them. Its files are not committed."""

import csv
import os
from pathlib import Path

import numpy as np

from . import sounds

PATCH, HOP, CLASSES = 96, 48, 521


def bank():
    """[64, 257] triangles, linear in HTK mel from 125 to 7500 Hz, without the bin of 0 Hz."""
    mel = lambda f: 1127.0 * np.log1p(np.asarray(f, float) / 700.0)
    edges, bins = np.linspace(mel(125.0), mel(7500.0), 66), mel(np.arange(257) * sounds.RATE / 512)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    out = np.maximum(0, np.minimum(rise, fall))
    out[:, 0] = 0
    return out.astype(np.float32)


def log_mel(x, filters):
    """Samples to [1 + (n - 400) // 160, 64]: Hann 400, hop 160, FFT 512, magnitude, ln(x + 0.001)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    x = np.pad(x, (0, max(0, 400 - len(x))))
    frames = np.lib.stride_tricks.sliding_window_view(x, 400)[::160] * window.astype(np.float32)
    return np.log(np.abs(np.fft.rfft(frames, 512, axis=1)).astype(np.float32) @ filters.T + np.float32(0.001))


class Yamnet:
    """Scores [patches, 521] of samples."""

    def __init__(self, folder):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from ai_edge_litert.interpreter import Interpreter

        self.net = Interpreter(str(Path(folder) / "yamnet_spectra_in.tflite"), num_threads=1)
        self.net.allocate_tensors()
        self.input = self.net.get_input_details()[0]["index"]
        self.output = self.net.get_output_details()[0]["index"]
        self.filters = bank()
        with open(Path(folder) / "yamnet_class_map.csv", newline="") as file:
            self.names = [row["display_name"] for row in csv.DictReader(file)]

    def __call__(self, x):
        """Peaks are brought near full scale first: its scores expect that."""
        peak = float(np.abs(x).max()) if len(x) else 0.0
        mel = log_mel(x * np.float32(0.95 / peak) if peak > 1e-4 else x, self.filters)
        starts = range(0, max(1, len(mel) - PATCH + 1), HOP)
        out = np.zeros((len(starts), CLASSES), np.float32)
        for i, start in enumerate(starts):
            patch = mel[start : start + PATCH]
            silence = np.full((PATCH - len(patch), 64), np.log(0.001), np.float32)
            self.net.set_tensor(self.input, np.concatenate([patch, silence])[None].astype(np.float32))
            self.net.invoke()
            out[i] = self.net.get_tensor(self.output)[0]
        return out


def clips(net, rows, cache, what):
    """[clips, patches' mean and highest scores 2 x 521] of index rows, kept in the file `cache`."""
    from .progress import each

    if cache and cache.exists():
        with np.load(cache) as kept:
            if list(kept["names"]) == [r.name for r in rows]:
                return kept["scores"]

    def one(row):
        scores = net(sounds.trim(sounds.read(row.path)))
        return np.concatenate([scores.mean(axis=0), scores.max(axis=0)])

    # One interpreter: one at a time.
    found = np.stack(each(one, rows, 1, what))
    if cache:
        np.savez(cache, names=np.array([r.name for r in rows]), scores=found)
    return found


def by_hand(scores, labels, mapping, names):
    """[clips, labels]: the highest mean score of a label's classes; `scores` as `clips` gives them."""
    place = {name: i for i, name in enumerate(names)}
    unknown = sorted({n for label in labels for n in mapping.get(label, ()) if n not in place})
    if unknown:
        raise ValueError(f"yamnet_labels.toml names classes that YAMNet does not have: {unknown}")
    out = np.zeros((len(scores), len(labels)))
    for i, label in enumerate(labels):
        columns = [place[n] for n in mapping.get(label, ())]
        if columns:
            out[:, i] = scores[:, columns].max(axis=1)
    return out


def probe(train, train_labels, scores, labels):
    """[clips, labels]: a linear classifier of the logits of the scores, fitted to `train`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    logit = lambda p: np.log(np.clip(p, 1e-4, 1 - 1e-4) / (1 - np.clip(p, 1e-4, 1 - 1e-4)))
    scale = StandardScaler().fit(logit(train))
    model = LogisticRegression(C=0.01, max_iter=2000).fit(scale.transform(logit(train)), train_labels)
    found, out = model.predict_log_proba(scale.transform(logit(scores))), np.full((len(scores), len(labels)), -1e9)
    for i, label in enumerate(model.classes_):
        if label in labels:
            out[:, labels.index(label)] = found[:, i]
    return out
