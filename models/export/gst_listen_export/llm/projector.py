"""The projector: from the package's embedding (or tokens) to `k` vectors that stand before the words.

A file is safetensors with one of these sets of float tensors (D values in, H = the decoder's width, k prefix vectors):

| tensors | input | what it does |
|---|---|---|
| `weight` `[k*H, D]`, `bias`? `[k*H]` | the clip embedding | one linear map |
| `0.weight` `[M, D]`, `0.bias`?, `2.weight` `[k*H, M]`, `2.bias`? | the clip embedding | linear, GELU (exact), linear |
| `query` `[k, A]`, `key.weight` `[A, D]`, `value.weight` `[H, D]`, `value.bias`? `[H]` | the encoder's tokens, or frames | k queries attend to all of them, with 1/sqrt(A) |

The order of a map's rows is vector by vector: row `i*H + j` is value j of prefix vector i.
"""

import numpy as np
from onnx import TensorProto

from .config import LlmError
from .graph import Graph
from .weights import Weights

F32 = TensorProto.FLOAT
FORMS = {"linear": {"weight", "bias"}, "mlp": {"0.weight", "0.bias", "2.weight", "2.bias"},
         "attention": {"query", "key.weight", "value.weight", "value.bias"}}
NEEDED = {"linear": {"weight"}, "mlp": {"0.weight", "2.weight"}, "attention": {"query", "key.weight", "value.weight"}}


def read_projector(path):
    """The tensors of a projector's file."""
    weights = Weights.of_file(path)
    return {name: weights.take(name, place[4]) for name, place in weights.places.items()}


def form(tensors):
    """`linear`, `mlp` or `attention`, by the tensors' names."""
    for kind, names in FORMS.items():
        if NEEDED[kind] <= set(tensors) <= names:
            return kind
    expected = "; or ".join(", ".join(sorted(names)) for names in NEEDED.values())
    raise LlmError(f"projector: expected the tensors {expected} (and biases), found {', '.join(sorted(tensors)) or 'none'}")


def projector_graph(tensors, dims, hidden):
    """The graph, whether it takes `clip`, `frames` or `tokens`, the length of one of them, and the number of prefix vectors.

    `dims`: the length of one vector of each, None for what the package does not give.
    """
    kind, g, takes = form(tensors), Graph("projector"), "clip"
    if kind == "attention":
        takes = attended(tensors, dims)
        dim, prefix = dims[takes], attention_shapes(tensors, dims[takes], hidden)
        x = g.input("embedding", F32, ["batch", "tokens", dim])
        y = attend(g, x, tensors)
    else:
        dim = dims["clip"]
        last = "weight" if kind == "linear" else "2.weight"
        prefix = linear_shapes(tensors, kind, last, dim, hidden)
        x = g.input("embedding", F32, ["batch", dim])
        if kind == "mlp":
            x = gelu(g, g.linear(x, "0", tensors["0.weight"], tensors.get("0.bias")))
        y = g.linear(x, last.removesuffix("weight") + "map", tensors[last], tensors.get(last.replace("weight", "bias")))
        y = g.op("Reshape", y, g.ints(0, prefix, hidden))
    g.output(y, "prefix", F32, ["batch", prefix, hidden])
    return g, takes, dim, prefix


def expect(tensors, name, *shape):
    """A tensor's shape must be this; None stands for any number."""
    if name in tensors:
        found = tensors[name].shape
        if len(found) != len(shape) or any(s is not None and s != f for s, f in zip(shape, found, strict=True)):
            shown = ["any" if s is None else s for s in shape]
            raise LlmError(f"projector: {name}: expected the shape {shown}, found {list(found)}")
        return found
    return None


def linear_shapes(tensors, kind, last, dim, hidden):
    first, middle = ("0.weight" if kind == "mlp" else last), dim
    if tensors[first].ndim == 2 and tensors[first].shape[1] != dim:
        raise LlmError(f"projector: {first}: expected {dim} columns, as the package's clip embeddings have values; found {tensors[first].shape[1]}")
    if kind == "mlp":
        middle = expect(tensors, "0.weight", None, dim)[0]
        expect(tensors, "0.bias", middle)
    rows = expect(tensors, last, None, middle)[0]
    if rows == 0 or rows % hidden:
        raise LlmError(f"projector: {last}: expected a multiple of {hidden} rows (the decoder's width), found {rows}")
    expect(tensors, last.replace("weight", "bias"), rows)
    return rows // hidden


def attended(tensors, dims):
    """`tokens` or `frames`: those whose length the keys have."""
    given = {name: dims[name] for name in ("tokens", "frames") if dims[name] is not None}
    if not given:
        raise LlmError("projector: expected a package whose encoder gives tokens or frames, as the projector attends to them; found clips alone")
    found = expect(tensors, "key.weight", None, None)[1]
    if found not in given.values():
        sizes = " or ".join(f"{size} ({name})" for name, size in given.items())
        raise LlmError(f"projector: key.weight: expected {sizes} columns, as the package's encoder gives, found {found}")
    return next(name for name, size in given.items() if size == found)


def attention_shapes(tensors, dim, hidden):
    prefix, width = expect(tensors, "query", None, None)
    expect(tensors, "key.weight", width, dim)
    expect(tensors, "value.weight", hidden, dim)
    expect(tensors, "value.bias", hidden)
    return prefix


def attend(g, x, tensors):
    query = tensors["query"] / np.sqrt(tensors["query"].shape[1], dtype=np.float64)
    keys = g.op("Transpose", g.linear(x, "key", tensors["key.weight"]), perm=[0, 2, 1])
    weights = g.op("Softmax", g.op("MatMul", g.constant("query", query.astype(np.float32)), keys), axis=-1)
    return g.op("MatMul", weights, g.linear(x, "value", tensors["value.weight"], tensors.get("value.bias")))


def gelu(g, x):
    erf = g.op("Erf", g.op("Mul", x, g.float(float(np.sqrt(0.5)))))
    return g.op("Mul", g.op("Mul", x, g.float(0.5)), g.op("Add", erf, g.float(1.0)))
