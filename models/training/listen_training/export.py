"""PyTorch to ONNX: batch norms folded, weights in float16 where they are many, shapes free in batch and time."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

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


class Tokens(nn.Module):
    """The encoder with the normalised log-mel as its input."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, mel):
        return self.encoder(mel)


def session(path):
    """An onnxruntime session on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check_encoder(path, encoder, dim):
    """The graph gives what PyTorch gives at several lengths, and a row does not depend on its batch. Returns the errors."""
    run, rng, worst = session(path), np.random.default_rng(0), 0.0
    for frames in (32, 96, 288, 296, 1000, 3000):
        x = rng.standard_normal((2, 1, 80, frames)).astype(np.float32)
        got = run.run(None, {"mel": x})[0]
        assert got.shape == (2, (frames + 7) // 8, dim), got.shape
        with torch.no_grad():
            worst = max(worst, float(np.abs(got - encoder(torch.from_numpy(x)).numpy()).max()))
    x = rng.standard_normal((5, 1, 80, 288)).astype(np.float32)
    batch = run.run(None, {"mel": x})[0]
    single = np.concatenate([run.run(None, {"mel": x[i : i + 1]})[0] for i in range(5)])
    y = x.copy()
    y[1:] *= 3
    other = run.run(None, {"mel": y})[0]
    assert np.array_equal(batch[0], other[0]), "a row of the batch depends on the others"
    return worst, float(np.abs(batch - single).max())
