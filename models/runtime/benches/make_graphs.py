"""Writes vision transformers with random weights, for the benchmark beside this file. Needs onnx and numpy.

    python3 make_graphs.py DIRECTORY

writes vit-base.onnx (12 layers of 768, the size of M2D and of most audio transformers; 341 MB) and vit-5ms.onnx
(4 layers of 192, about 5 ms on a fast core). Both take `mel [B, 1, 80, 608]`, 190 patches of 16 x 16, and give
`tokens [B, 191, dim]`.
"""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PATCH, BANDS, FRAMES = 16, 80, 608
TOKENS = (BANDS // PATCH) * (FRAMES // PATCH)


def vit(path, dim, heads, layers, seed=1):
    random = np.random.default_rng(seed)
    nodes, initializers = [], []

    def constant(name, values):
        initializers.append(numpy_helper.from_array(values, name))
        return name

    def weight(name, *shape):
        return constant(name, (random.standard_normal(shape, dtype=np.float32) / np.sqrt(shape[0])).astype(np.float32))

    def node(op, *inputs, **attributes):
        out = f"{op}_{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def linear(x, name, rows, columns):
        return node("Add", node("MatMul", x, weight(name + ".w", rows, columns)), weight(name + ".b", columns))

    def norm(x, name):
        scale, bias = constant(name + ".s", np.ones(dim, np.float32)), constant(name + ".o", np.zeros(dim, np.float32))
        return node("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-6)

    def gelu(x):
        erf = node("Erf", node("Div", x, constant(f"sqrt2_{len(nodes)}", np.float32(np.sqrt(2)).reshape(()))))
        one, half = f"one_{len(nodes)}", f"half_{len(nodes)}"
        constant(one, np.float32(1).reshape(())), constant(half, np.float32(0.5).reshape(()))
        return node("Mul", node("Mul", x, node("Add", erf, one)), half)

    def shape(*sizes):
        return constant(f"shape_{len(nodes)}", np.array(sizes, np.int64))

    patches = node("Conv", "mel", weight("patch.w", dim, 1, PATCH, PATCH), weight("patch.b", dim), strides=[PATCH, PATCH])
    x = node("Transpose", node("Reshape", patches, shape(0, dim, TOKENS)), perm=[0, 2, 1])
    # The class token, once for each row of the batch.
    first = node("Slice", x, constant("zero", np.array([0], np.int64)), constant("one", np.array([1], np.int64)),
                 constant("axis1", np.array([1], np.int64)))
    cls = node("Add", node("Mul", first, constant("nought", np.float32(0).reshape(()))), weight("cls", 1, 1, dim))
    x = node("Add", node("Concat", cls, x, axis=1), weight("position", 1, TOKENS + 1, dim))
    for layer in range(layers):
        name = f"layer{layer}"
        h = norm(x, name + ".n1")
        q, k, v = (node("Transpose", node("Reshape", linear(h, f"{name}.{p}", dim, dim), shape(0, TOKENS + 1, heads, dim // heads)),
                        perm=[0, 2, 3, 1] if p == "k" else [0, 2, 1, 3]) for p in "qkv")
        scaled = node("Mul", q, constant(f"scale_{layer}", np.float32((dim // heads) ** -0.5).reshape(())))
        mixed = node("MatMul", node("Softmax", node("MatMul", scaled, k), axis=-1), v)
        mixed = node("Reshape", node("Transpose", mixed, perm=[0, 2, 1, 3]), shape(0, TOKENS + 1, dim))
        x = node("Add", x, linear(mixed, name + ".out", dim, dim))
        h = gelu(linear(norm(x, name + ".n2"), name + ".up", dim, 4 * dim))
        x = node("Add", x, linear(h, name + ".down", 4 * dim, dim))
    scale, bias = constant("n.s", np.ones(dim, np.float32)), constant("n.o", np.zeros(dim, np.float32))
    nodes.append(helper.make_node("LayerNormalization", [x, scale, bias], ["tokens"], axis=-1, epsilon=1e-6))
    graph = helper.make_graph(
        nodes, "vit",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", 1, BANDS, FRAMES])],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", TOKENS + 1, dim])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="gst-listen")
    model.ir_version = 8
    onnx.save(model, path)


if __name__ == "__main__":
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    vit(os.path.join(directory, "vit-base.onnx"), 768, 12, 12)
    vit(os.path.join(directory, "vit-5ms.onnx"), 192, 3, 4)
