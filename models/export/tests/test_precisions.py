"""fp16 and int8 of every family: what is in the graphs, and that windows do not change each other where batches are allowed."""
import json

import numpy as np
import onnx
import pytest
from make import cases
from onnx import TensorProto, numpy_helper

from gst_listen_export.half import KEPT
from gst_listen_export.onnx_export import open_session

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
    if source[1].name == "mine.onnx" and source[-1].endswith("mine.json"):
        # All of this graph lies before its logarithm: there is nothing that float16 could be.
        status, said = command(*source, "-o", tmp_path / "p", "--precision", "fp16")
        assert status == 1 and "expected weights behind the graph's front end" in said and "6 of its 6 nodes" in said, said
        return
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


def heard(folder):
    """A graph with a front end of its own, as one made of a PyTorch program has it: STFT by convolutions, mel, logarithm, then a network."""
    from cases.onnx import WAVE, graph

    rng, n, hop, bands = np.random.default_rng(7), 512, 160, 24
    t, k = np.arange(n), np.arange(n // 2 + 1)[:, None]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * t / n)
    random = lambda *shape: rng.normal(0, 1 / np.sqrt(shape[0]), shape).astype(np.float32)
    w = {"cos": hann * np.cos(2 * np.pi * k * t / n), "sin": hann * np.sin(2 * np.pi * k * t / n), "mel": np.abs(random(n // 2 + 1, bands)), "half": 0.5}
    w = {name: np.asarray(v, np.float32) for name, v in w.items()} | {"w1": random(bands, 32), "w2": random(32, 12), "eps": np.float32([1e-6])}
    w["cos"], w["sin"] = w["cos"][:, None], w["sin"][:, None]
    step = lambda kind, takes, gives, **attributes: (kind, takes.split(), [gives], attributes)
    nodes = [step("Unsqueeze", "samples one", "x"), step("Conv", "x cos", "re", strides=[hop]), step("Conv", "x sin", "im", strides=[hop]),
             step("Mul", "re re", "re2"), step("Mul", "im im", "im2"), step("Add", "re2 im2", "power"), step("Transpose", "power", "frames", perm=[0, 2, 1]),
             # `half` is a number of both parts.
             step("MatMul", "frames mel", "bands"), step("Mul", "bands half", "less"), step("Add", "less eps", "above"), step("Log", "above", "log"),
             step("Mul", "log half", "scaled"), step("MatMul", "scaled w1", "a"), step("Relu", "a", "b"), step("ReduceMean", "b", "c", axes=[1], keepdims=0),
             step("MatMul", "c w2", "clip")]
    # So loud that powers do not fit float16.
    (folder / "mine.json").write_text(WAVE.replace('"pre_scale": 2.0', '"pre_scale": 8.0'))
    graph(nodes, ("samples", ["batch", 8000]), ("clip", ["batch", 12]), w | {"one": np.array([1], np.int64)}, folder / "heard.onnx")
    return ["onnx", folder / "heard.onnx", "--manifest", folder / "mine.json"], w


def test_fp16_leaves_a_front_end_in_the_graph_in_float32(command, tmp_path):
    source, w = heard(tmp_path)
    found = export(command, source, tmp_path / "p", "--precision", "fp16")["encoder"]["graphs"]["fp16"]
    model = onnx.load(tmp_path / "p" / found["file"])
    types, (log,) = kinds(model), [n for n in model.graph.node if n.op_type == "Log"]
    made_by = {name: node for node in model.graph.node for name in node.output}
    before, ask = [], [log]
    while ask:
        before.append(ask.pop())
        ask += [made_by[name] for name in before[-1].input if name in made_by]
    assert {n.output[0] for n in before if n.op_type == "Conv"} == {"re", "im"} and not any(n.op_type == "Cast" for n in before)
    for node in before:
        assert all(types[name] in (TensorProto.FLOAT, TensorProto.INT64) for name in [*node.input, *node.output]), node
    weights = {i.name: i.data_type for i in model.graph.initializer}
    assert {weights[name] for name in ("w1", "w2", "half")} == {TensorProto.FLOAT16}
    # A loud tone, then hardly anything.
    x = (8 * np.sin(0.3 * np.arange(8000)) * (np.arange(8000) < 6000) + np.random.default_rng(1).uniform(-1e-3, 1e-3, (2, 8000))).astype(np.float32)
    half, single = (open_session(tmp_path / "p" / name).run(None, {"samples": x})[0] for name in (found["file"], "encoder.onnx"))
    assert found["cosine"] > 0.9999 and np.abs(half - single).max() <= 1e-2 * np.abs(single).max()
    # A guard: without the word that there is a front end its powers would be float16 (on a CPU they are computed in float32 all the same).
    from gst_listen_export.half import to_fp16

    to_fp16(tmp_path / "p/encoder.onnx", tmp_path / "wrong.onnx")
    assert kinds(onnx.load(tmp_path / "wrong.onnx"))["power"] == TensorProto.FLOAT16


def test_cosines_are_of_windows_that_no_scale_was_taken_from(command, tmp_path, monkeypatch):
    from gst_listen_export import onnx_export

    case = next(c for c in CASES if c.name == "byol-a-v1")
    first, *rest = case.arguments(tmp_path)
    made, measured = [], []
    static, run = onnx_export.to_static_int8, onnx_export.run_all
    monkeypatch.setattr(onnx_export, "to_static_int8", lambda s, p, feeds: (made.extend(feeds), static(s, p, feeds))[1])
    monkeypatch.setattr(onnx_export, "run_all", lambda p, feeds, embed: (measured.append((p.name, feeds)), run(p, feeds, embed))[1])
    monkeypatch.setattr(onnx_export, "cosines", lambda a, b: np.array([0.9] + [1.0] * (len(a) - 1)))
    status, said = command(first, case.checkpoint(tmp_path), "-o", tmp_path / "p", *rest, "--precision", "fp16,int8", "--int8", "static", "--replace")
    assert status == 1 and "fp16: its mean cosine to fp32 is 0.9938 over 16 windows" in said and "the smallest 0.9000" in said, said
    monkeypatch.setattr(onnx_export, "cosines", lambda a, b: np.array([0.96] + [1.0] * (len(a) - 1)))
    made.clear()
    measured.clear()
    m = export(command, [first, case.checkpoint(tmp_path), *rest], tmp_path / "p", "--precision", "fp16,int8", "--int8", "static")
    assert [m["encoder"]["graphs"][p]["cosine"] for p in ("fp16", "int8")] == [0.9975, 0.9975]
    assert [name for name, _ in measured] == ["encoder.onnx", "encoder.fp16.onnx", "encoder.int8.onnx"]
    held_out = [feed["lms"] for _, feeds in measured for feed in feeds]
    assert len(made) == 16 and len(held_out) == 48
    assert not any(np.array_equal(a["lms"], b) for a in made for b in held_out)


def test_of_recordings_of_ones_own_others_are_measured_than_scales_are_taken_from(tmp_path):
    from test_search import write_wav

    from gst_listen_export import sounds
    from gst_listen_export.errors import ExportError

    def sets(*values):
        """Recordings of two windows each, which hold one value."""
        for place, value in enumerate(values):
            write_wav(tmp_path / f"{place}.wav", np.full(2 * 400, value))
        return [{round(float(x[0]) * 32768) for x in pieces} for pieces in sounds.two_sets(tmp_path, 16000, 400)]

    assert sets(1, 2, 3, 4, 5) == [{1, 3, 5}, {2, 4}]
    for place in range(1, 5):
        (tmp_path / f"{place}.wav").unlink()
    assert [len(pieces) for pieces in sounds.two_sets(tmp_path, 16000, 400)] == [1, 1]  # two windows of one recording
    with pytest.raises(ExportError, match="expected at least two windows of 0.04 s, one to be held back"):
        sounds.two_sets(tmp_path, 16000, 700)
    first, second = sounds.two_sets(None, 16000, 400)
    assert len(first) == len(second) == 16 and not any(np.array_equal(a, b) for a in first for b in second)
