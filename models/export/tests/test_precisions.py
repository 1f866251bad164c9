"""fp16 and int8 of every family: what is in the graphs, and that windows do not change each other where batches are allowed."""
import json

import numpy as np
import onnx
import pytest
from make import cases
from onnx import TensorProto, numpy_helper

from gst_listen_export.onnx_export import KEPT, open_session

OWN_INT8 = ("yamnet",)  # whose file is int8 already
CASES = [c for c in cases() if c.committed and not c.name.startswith(OWN_INT8)]


@pytest.fixture(scope="module", params=CASES, ids=lambda c: c.name)
def source(request, tmp_path_factory):
    """`(the checkpoint, the command line without -o)` of a case."""
    folder = tmp_path_factory.mktemp(request.param.name)
    path = request.param.checkpoint(folder)
    first, *rest = request.param.arguments(folder)
    return [first, path, *rest]


def export(command, source, folder, *more):
    status, said = command(*source, "-o", folder, *more)
    assert status == 0, said
    return json.loads((folder / "manifest.json").read_text())


def kinds(model):
    """`{name: element type}` of every value that is known."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.input, *inferred.output]}
    return known | {i.name: i.data_type for i in inferred.initializer}


def test_fp16_keeps_norms_and_ends_in_float32(command, source, tmp_path):
    graph = export(command, source, tmp_path / "p", "--precision", "fp16")["encoder"]["graphs"]["fp16"]
    assert 0.995 <= graph["cosine"] <= 1 and "max_batch" not in graph
    model = onnx.load(tmp_path / "p" / graph["file"])
    types = kinds(model)
    half = [i for i in model.graph.initializer if i.data_type == TensorProto.FLOAT16]
    assert sum(len(i.raw_data) for i in half) > 0, "nothing is in float16"
    for node in model.graph.node:
        if node.op_type in KEPT:
            assert all(types.get(name) != TensorProto.FLOAT16 for name in [*node.input, *node.output]), node.name
    assert {v.type.tensor_type.elem_type for v in [*model.graph.input, *model.graph.output]} == {TensorProto.FLOAT}


def test_dynamic_int8_is_signed_has_a_scale_per_channel_and_runs_alone(command, source, tmp_path):
    graph = export(command, source, tmp_path / "p", "--precision", "int8", "--int8", "dynamic")["encoder"]["graphs"]["int8"]
    assert 0.995 <= graph["cosine"] <= 1 and graph["max_batch"] == 1
    weights = {i.name: numpy_helper.to_array(i) for i in onnx.load(tmp_path / "p" / graph["file"]).graph.initializer}
    for name, values in weights.items():
        if name.endswith("_quantized"):
            scale = weights[name.removesuffix("_quantized") + "_scale"]
            assert values.dtype == np.int8 and scale.shape == (values.shape[-1],), name


def test_static_int8_is_signed_has_a_scale_per_channel_and_runs_in_batches(command, source, tmp_path):
    m = export(command, source, tmp_path / "p", "--precision", "int8", "--int8", "static")
    graph, takes, window = m["encoder"]["graphs"]["int8"], m["encoder"]["input"], m["window"]["frames"]
    assert 0.995 <= graph["cosine"] <= 1 and "max_batch" not in graph
    model = onnx.load(tmp_path / "p" / graph["file"])
    weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    made_of = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in weights and weights[n.input[0]].ndim > 1]
    assert made_of, "no weight is in int8"
    for node in made_of:
        assert weights[node.input[0]].dtype == np.int8 and weights[node.input[1]].ndim == 1, node.name
    assert {weights[n.input[2]].dtype for n in model.graph.node if n.op_type == "QuantizeLinear"} == {np.dtype(np.int8)}
    shape = [{"B": 3, "1": 1, "F": m["frontend"].get("n_mels"), "T": window}[letter] for letter in takes["layout"]]
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    x[1] *= 4  # a loud neighbour
    session = open_session(tmp_path / "p" / graph["file"])
    together = session.run(None, {takes["name"]: x})[0]
    alone = np.concatenate([session.run(None, {takes["name"]: x[i : i + 1]})[0] for i in range(3)])
    assert np.abs(together - alone).max() <= 1e-4 * max(1, np.abs(alone).max())
