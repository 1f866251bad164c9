"""Writes the graphs beside this file: what the tiny packages do not have. No weight here was trained.

    pip install numpy onnx==1.23.2
    python make_graphs.py            # the same bytes every time
    python make_graphs.py --check    # compares what is committed with what would be written

They stand in copies of `models/package/fixtures/tiny-tokens`, whose encoder three of them are, in another form.
"""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

HERE = Path(__file__).parent
TINY = HERE / "../../../package/fixtures/tiny-tokens/encoder.onnx"


def model(name, nodes, inputs, outputs, constants):
    info = lambda ends: [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends.items()]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, name, info(inputs), info(outputs), tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="make_graphs.py")
    made.ir_version = 8
    checker.check_model(made, full_check=True)
    return made


def head_all():
    """All tokens `[B, N, 8]` to their mean and their maximum, `[B, 16]`: a head that pools by itself."""
    nodes = [helper.make_node("ReduceMean", ["tokens"], ["mean"], axes=[1], keepdims=0),
             helper.make_node("ReduceMax", ["tokens"], ["max"], axes=[1], keepdims=0),
             helper.make_node("Concat", ["mean", "max"], ["embedding"], axis=1)]
    return model("head_all", nodes, {"tokens": ["B", "N", 8]}, {"embedding": ["B", 16]}, {})


def samples():
    """Samples `[B, T]` to the mean and the mean magnitude of each 160, and one step of zeros: `[B, T/160 + 1, 2]`."""
    nodes = [helper.make_node("Pad", ["wave", "more"], ["longer"]),
             helper.make_node("Reshape", ["longer", "cut"], ["pieces"]),
             helper.make_node("ReduceMean", ["pieces"], ["mean"], axes=[2], keepdims=1),
             helper.make_node("Abs", ["pieces"], ["size"]),
             helper.make_node("ReduceMean", ["size"], ["loud"], axes=[2], keepdims=1),
             helper.make_node("Concat", ["mean", "loud"], ["frames"], axis=2)]
    constants = {"more": np.array([0, 0, 0, 160], np.int64), "cut": np.array([0, -1, 160], np.int64)}
    return model("samples", nodes, {"wave": ["B", "T"]}, {"frames": ["B", "N", 2]}, constants)


def tagger():
    """The clip embedding `[B, 16]` to three classes: the sums of its thirds (5, 5 and 6 values)."""
    weights = np.zeros((16, 3), np.float32)
    weights[:5, 0] = weights[5:10, 1] = weights[10:, 2] = 1
    return model("tagger", [helper.make_node("MatMul", ["clip", "w"], ["logits"])], {"clip": ["B", 16]}, {"logits": ["B", 3]}, {"w": weights})


def time_major():
    """The tiny encoder with its tokens in the order of time."""
    made = onnx.load(TINY)
    last = made.graph.node[-1]
    last.output[0] = "by_frequency"
    made.graph.initializer.extend([numpy_helper.from_array(np.array(s, np.int64), n) for n, s in {"grid": [0, 5, -1, 8], "flat": [0, -1, 8]}.items()])
    made.graph.node.extend([helper.make_node("Reshape", ["by_frequency", "grid"], ["rows"]),
                            helper.make_node("Transpose", ["rows"], ["columns"], perm=[0, 2, 1, 3]),
                            helper.make_node("Reshape", ["columns", "flat"], ["tokens"])])
    return made


def one_at_a_time():
    """The tiny encoder for exactly one window of 64 frames."""
    made = onnx.load(TINY)
    for end, sizes in [(made.graph.input[0], [1, 1, 80, 64]), (made.graph.output[0], [1, 20, 8])]:
        for dim, size in zip(end.type.tensor_type.shape.dim, sizes):
            dim.dim_value = size
    return made


def quantised():
    """The tiny encoder with its tokens in 8 bits, with one scale for the whole batch: as dynamically quantised graphs do."""
    made = onnx.load(TINY)
    made.graph.node[-1].output[0] = "exact"
    made.graph.node.extend([helper.make_node("DynamicQuantizeLinear", ["exact"], ["bits", "scale", "zero"]),
                            helper.make_node("DequantizeLinear", ["bits", "scale", "zero"], ["tokens"])])
    return made


for build in (head_all, samples, tagger, time_major, one_at_a_time, quantised):
    path, data = HERE / f"{build.__name__}.onnx", build().SerializeToString(deterministic=True)
    if "--check" in sys.argv:
        assert path.read_bytes() == data, f"{path.name} differs from what is committed"
    else:
        path.write_bytes(data)
