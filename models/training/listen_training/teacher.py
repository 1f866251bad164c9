"""YAMNet (Apache-2.0), run from its TensorFlow Lite file: scores and penultimate vectors of patches."""

import csv
import os
from pathlib import Path

import numpy as np

from .audio import teacher_mel

PATCH = 96
PATCH_HOP = 48
CLASSES = 521
DIM = 1024


class Yamnet:
    """The teacher: 0.96 s patches in, 521 scores and a 1024-d vector each out."""

    def __init__(self, folder):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from ai_edge_litert.interpreter import Interpreter

        path = str(Path(folder) / "yamnet_spectra_in.tflite")
        # `preserve_all` keeps the tensor before the classifier readable.
        self.net = Interpreter(path, num_threads=1, experimental_preserve_all_tensors=True)
        self.net.allocate_tensors()
        self.input = self.net.get_input_details()[0]["index"]
        self.output = self.net.get_output_details()[0]["index"]
        mean = [t for t in self.net.get_tensor_details() if t["name"].endswith("reduce_mean")][0]
        self.mean, (self.scale, self.zero) = mean["index"], mean["quantization"]

    def patches(self, x):
        """Samples to ([patches, 521], [patches, 1024]); peaks should be near full scale."""
        mel = teacher_mel(x)
        starts = range(0, max(1, len(mel) - PATCH + 1), PATCH_HOP)
        scores = np.zeros((len(starts), CLASSES), np.float32)
        vectors = np.zeros((len(starts), DIM), np.float32)
        for i, start in enumerate(starts):
            patch = mel[start : start + PATCH]
            if len(patch) < PATCH:
                patch = np.concatenate([patch, np.full((PATCH - len(patch), 64), np.log(0.001), np.float32)])
            self.net.set_tensor(self.input, patch[None].astype(np.float32))
            self.net.invoke()
            scores[i] = self.net.get_tensor(self.output)[0]
            vectors[i] = (self.net.get_tensor(self.mean).reshape(-1).astype(np.float32) - self.zero) * self.scale
        return scores, vectors


def class_names(folder):
    """YAMNet's 521 class names in order."""
    with open(Path(folder) / "yamnet_class_map.csv", newline="") as file:
        return [row["display_name"] for row in csv.DictReader(file)]
