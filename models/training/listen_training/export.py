"""PyTorch to ONNX: batch norms folded, weights in float16 where they are many, shapes free in batch and time."""

import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from . import carry
from .model import COLUMN

OPSET = 17


def fold(module):
    """Folds each batch norm into the convolution before it (evaluation mode), in place."""
    for child in module.children():
        fold(child)
    if isinstance(module, nn.Sequential):
        for name, following in zip(list(module._modules), list(module._modules)[1:], strict=False):
            conv, norm = module._modules[name], module._modules[following]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module._modules[name] = nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), norm.eval())
                module._modules[following] = nn.Identity()
    return module


def write(model, inputs, names, outputs, axes, path, half=0):
    """Exports `model`; initialisers of more than `half` elements (0: none) are stored as float16 with a Cast."""
    model.eval()
    torch.onnx.export(
        model,
        inputs,
        str(path),
        input_names=names,
        output_names=outputs,
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,
        do_constant_folding=True,
    )
    graph = onnx.load(str(path))
    graph.producer_name, graph.producer_version, graph.doc_string = "gst-listen models/training", "", ""
    for node in graph.graph.node:
        node.doc_string = ""
    if half:
        halve(graph, half)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, str(path))
    return path


def halve(model, least):
    """Large float32 initialisers become float16 ones followed by a Cast (folded when a session is made)."""
    graph, casts = model.graph, []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or int(np.prod(tensor.dims)) <= least:
            continue
        small = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name + "_f16")
        graph.initializer.remove(tensor)
        graph.initializer.append(small)
        casts.append(helper.make_node("Cast", [small.name], [tensor.name], to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def write_encoder(encoder, frames, path):
    """Exports `Encoder` (batch norms folded) so that it can carry over; returns the names of its states (`carry.names`).

    What stands before the start and behind the end is an input with a default: called with `mel` alone the graph is the
    encoder.
    """
    carrying = carry.Carrying(encoder)
    ends = carrying.ends()
    states = carry.names(len(ends) - 1)
    befores, afters = [before for before, _ in states], [after for _, after in states]
    sizes = {0: "batch", 1: "channels", 2: "rows", 3: "columns"}
    axes = {name: {axis: f"{name}_{size}" for axis, size in sizes.items()} for name in (carry.TAIL, *befores, *afters)}
    axes |= {"mel": {0: "batch", 3: "frames"}, "tokens": {0: "batch", 1: "columns"}}
    with warnings.catch_warnings():
        # Channels and rows are constants, as intended.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        mel = torch.randn(2, 1, 80, frames)
        write(carrying, (mel, *ends), ["mel", carry.TAIL, *befores], ["tokens", *afters], axes, path)
    graph = onnx.load(str(path))
    for name, value in zip([carry.TAIL, *befores], ends, strict=True):
        graph.graph.initializer.append(numpy_helper.from_array(value.numpy(), name))
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, str(path))
    return states


def in_parts(run, states, x, parts):
    """The tokens of x [B, 1, 80, T] when it comes in `parts` (frames each), each carrying over from the last."""
    carried, tokens, at = {}, [], 0
    none = np.zeros((1, 1, 1, 0), np.float32)
    for n in parts:
        mel, at = np.ascontiguousarray(x[..., at : at + n]), at + n
        end = {} if at == x.shape[-1] else {carry.TAIL: none}
        found = run.run(["tokens", *(after for _, after in states)], {"mel": mel, **end, **carried})
        tokens.append(found[0])
        carried = dict(zip((before for before, _ in states), found[1:], strict=True))
    assert at == x.shape[-1], (at, x.shape)
    return np.concatenate(tokens, 1)


def session(path):
    """An onnxruntime session on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check_encoder(path, encoder, dim, states, delay):
    """The graph gives what PyTorch gives at several lengths, in parts too, and a row does not depend on its batch.

    `delay`: columns by which its output lags behind what has come. Returns the errors.
    """
    run, rng, worst = session(path), np.random.default_rng(0), 0.0
    for frames in (32, 96, 288, 296, 1000, 3000):
        x = rng.standard_normal((2, 1, 80, frames)).astype(np.float32)
        got = run.run(None, {"mel": x})[0]
        assert got.shape == (2, (frames + 7) // 8, dim), got.shape
        with torch.no_grad():
            expected = encoder(torch.from_numpy(x)).numpy()
        worst = max(worst, float(np.abs(got - expected).max()))
        for part in (96, 480, 8):
            first = min(COLUMN * delay + part, frames)
            parts = [first, *[part] * ((frames - first) // part)]
            parts += [frames - sum(parts)] if frames > sum(parts) else []
            got = in_parts(run, states, x, parts)
            worst = max(worst, float(np.abs(got - expected).max()))
    x = rng.standard_normal((5, 1, 80, 288)).astype(np.float32)
    batch = run.run(None, {"mel": x})[0]
    single = np.concatenate([run.run(None, {"mel": x[i : i + 1]})[0] for i in range(5)])
    y = x.copy()
    y[1:] *= 3
    other = run.run(None, {"mel": y})[0]
    assert np.array_equal(batch[0], other[0]), "a row of the batch depends on the others"
    return worst, float(np.abs(batch - single).max())
