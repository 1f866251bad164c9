"""Writes a package with a Vision Transformer of M2D's geometry and random weights (models.md 2.1), to measure speed with.

    python make_vit.py FOLDER [--depth 12] [--width 768] [--frames 608]

The numbers that it gives mean nothing; its shapes and its cost are those of M2D 80x608p16x16. Seeded, needs numpy and onnx.
"""
import argparse
import hashlib
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BANDS, PATCH = 80, 16


class Graph:
    """Nodes and weights, one after the other."""

    def __init__(self, seed):
        self.nodes, self.weights, self.random = [], [], np.random.default_rng(seed)

    def constant(self, name, array):
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, name, *shape):
        return self.constant(name, (self.random.standard_normal(shape) * 0.02).astype(np.float32))

    def add(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def dense(self, x, name, n_in, n_out):
        product = self.add("MatMul", [x, self.weight(f"{name}.w", n_in, n_out)], f"{name}.product")
        return self.add("Add", [product, self.weight(f"{name}.b", n_out)], name)

    def norm(self, x, name, width):
        scale = self.constant(f"{name}.scale", np.ones(width, np.float32))
        bias = self.constant(f"{name}.bias", np.zeros(width, np.float32))
        return self.add("LayerNormalization", [x, scale, bias], name, axis=-1, epsilon=1e-6)


def vit(depth, width, frames):
    """[B, 1, 80, frames] -> tokens [B, 5 * frames / 16, width]."""
    g, heads = Graph(seed=1), width // 64
    tokens = BANDS // PATCH * (frames // PATCH)
    x = g.add("Conv", ["lms", g.weight("patch.w", width, 1, PATCH, PATCH)], "patch", strides=[PATCH, PATCH])
    x = g.add("Reshape", [x, g.constant("flat", np.array([0, width, -1]))], "flattened")
    x = g.add("Transpose", [x], "sequence", perm=[0, 2, 1])
    x = g.add("Add", [x, g.weight("position", 1, tokens, width)], "embedded")
    split = g.constant("split", np.array([0, -1, 3, heads, 64]))
    join = g.constant("join", np.array([0, -1, width]))
    scale = g.constant("scale", np.float32(0.125))
    half, one, root = (g.constant(n, np.float32(v)) for n, v in (("half", 0.5), ("one", 1), ("root", 2**0.5)))
    for i in range(depth):
        p = f"block{i}"
        qkv = g.dense(g.norm(x, f"{p}.norm1", width), f"{p}.qkv", width, 3 * width)
        qkv = g.add("Reshape", [qkv, split], f"{p}.split")
        part = [g.add("Gather", [qkv, g.constant(f"{p}.{n}", np.array(k))], f"{p}.take.{n}", axis=2) for k, n in enumerate("qkv")]
        q = g.add("Transpose", [part[0]], f"{p}.q.t", perm=[0, 2, 1, 3])
        k = g.add("Transpose", [part[1]], f"{p}.k.t", perm=[0, 2, 3, 1])
        v = g.add("Transpose", [part[2]], f"{p}.v.t", perm=[0, 2, 1, 3])
        a = g.add("Mul", [g.add("MatMul", [q, k], f"{p}.qk"), scale], f"{p}.scaled")
        a = g.add("MatMul", [g.add("Softmax", [a], f"{p}.attention", axis=-1), v], f"{p}.mixed")
        a = g.add("Reshape", [g.add("Transpose", [a], f"{p}.a.t", perm=[0, 2, 1, 3]), join], f"{p}.joined")
        x = g.add("Add", [x, g.dense(a, f"{p}.out", width, width)], f"{p}.residual1")
        h = g.dense(g.norm(x, f"{p}.norm2", width), f"{p}.fc1", width, 4 * width)
        e = g.add("Add", [g.add("Erf", [g.add("Div", [h, root], f"{p}.g1")], f"{p}.g2"), one], f"{p}.g3")
        h = g.add("Mul", [g.add("Mul", [h, e], f"{p}.g4"), half], f"{p}.gelu")
        x = g.add("Add", [x, g.dense(h, f"{p}.fc2", 4 * width, width)], f"{p}.residual2")
    g.norm(x, "tokens", width)
    graph = helper.make_graph(
        g.nodes,
        "vit",
        [helper.make_tensor_value_info("lms", TensorProto.FLOAT, ["B", 1, BANDS, frames])],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["B", tokens, width])],
        g.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def manifest(width, frames, sha256):
    return {
        "format": "audio-embedding-package", "version": 1, "id": f"random-vit-{width}", "family": "random weights",
        "sha256": {"encoder.onnx": sha256},
        "license": {"id": "CC0-1.0", "redistributable": True, "commercial_use": True, "accept_required": False},
        "audio": {"sample_rate": 16000, "channels": 1, "pre_scale": 1.0, "int16_roundtrip": False},
        "frontend": {
            "kind": "logmel", "sample_rate": 16000, "n_fft": 400, "win_length": 400, "hop_length": 160, "window": "hann_periodic",
            "center": True, "pad_mode": "reflect", "spectrum": "power", "n_mels": BANDS, "f_min": 50.0, "f_max": 8000.0,
            "mel_scale": "slaney", "mel_norm": "slaney", "triangle_domain": "hz", "zero_dc": False,
            "log": {"kind": "ln_add", "eps": 2.0**-23},
        },
        "normalize": {"kind": "fixed", "mean": -7.1, "std": 4.2},
        "window": {
            "frames": frames, "min_frames": frames, "multiple_of": PATCH, "max_frames": frames, "default_hop_frames": frames,
            "short_pad": "zero_normalized", "edge": "rolling", "default_output": "clip",
        },
        "encoder": {
            "graphs": {"fp32": {"file": "encoder.onnx"}},
            "input": {"name": "lms", "layout": "B1FT"},
            "output": {
                "name": "tokens", "kind": "tokens", "dim": width, "order": "f_major", "freq_rows": BANDS // PATCH,
                "frames_per_column": PATCH,
            },
        },
        "frame_embedding": "mean_freq",
        "clip_pooling": "mean_time",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--frames", type=int, default=608)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    file = given.folder / "encoder.onnx"
    onnx.save(vit(given.depth, given.width, given.frames), file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    (given.folder / "manifest.json").write_text(json.dumps(manifest(given.width, given.frames, sha256), indent=1))


if __name__ == "__main__":
    main()
