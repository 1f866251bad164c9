"""A package's audio side as it was while it was trained, so that a training can go on from the package alone."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F

from . import export
from .model import Student


class Words:
    """The package's text tower in the place of the sentence encoder: texts to unit vectors [n, dim]."""

    def __init__(self, folder):
        from .package import Runner

        self.folder, self.runner = Path(folder), Runner(folder)

    def __call__(self, texts, batch=256):
        parts = [self.runner.text(texts[i : i + batch]) for i in range(0, len(texts), batch)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def is_package(start):
    """Whether `start` names a package, not a checkpoint."""
    return bool(start) and (Path(start) / "manifest.json").is_file()


def weights(path):
    """A graph's initialisers by their PyTorch names, as float32; and the transposed matrices, which have lost theirs."""
    named, nameless = {}, []
    graph = onnx.load(str(path)).graph
    # An input's default is no weight.
    inputs = {port.name for port in graph.input}
    for tensor in (tensor for tensor in graph.initializer if tensor.name not in inputs):
        value = numpy_helper.to_array(tensor).astype(np.float32)
        name = tensor.name.removesuffix("_f16")
        if name.startswith("onnx::"):
            nameless.append(value.T)
        else:
            named[name] = value
    return named, nameless


def fill(module, found, nameless, source):
    """Puts `found` into `module`, whose batch norms were folded: their bias is the convolution's, the rest is neutral.

    A memory that `found` does not know stays as it is made, which adds nothing.
    """
    unused, missing = dict(found), []
    fresh = () if any(name.startswith("memory.") for name in found) else ("memory.",)
    for name, parameter in module.named_parameters():
        if name.startswith(fresh):
            continue
        parent, _, leaf = name.rpartition(".")
        owner = module.get_submodule(parent)
        if isinstance(owner, nn.BatchNorm2d):
            continue
        value = unused.pop(name, None)
        if value is None and leaf == "weight" and parameter.ndim == 2:
            value = next((v for v in nameless if v.shape == tuple(parameter.shape)), None)
        if value is None or value.shape != tuple(parameter.shape):
            missing.append(
                f"{name} {list(parameter.shape)}" + ("" if value is None else f" (it is {list(value.shape)})")
            )
            continue
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.array(value)))
    for name, norm in module.named_modules():
        if isinstance(norm, nn.BatchNorm2d) and not name.startswith(fresh):
            # In nn.Sequential(conv, norm) the convolution's place is the one before.
            parent, _, place = name.rpartition(".")
            value = unused.pop(f"{parent}.{int(place) - 1}.bias", None)
            if value is None or value.shape != tuple(norm.bias.shape):
                missing.append(f"{name}.bias {list(norm.bias.shape)}")
                continue
            with torch.no_grad():
                norm.bias.copy_(torch.from_numpy(np.array(value)))
                norm.weight.fill_(math.sqrt(1 + norm.eps))
                norm.running_mean.zero_()
                norm.running_var.fill_(1.0)
    if missing or unused:
        raise SystemExit(
            f"start: {source} does not hold the audio side of this configuration: expected {missing or 'no more'}, "
            f"found besides {sorted(unused) or 'nothing'}"
        )


@torch.no_grad()
def settle(encoder, batches):
    """Gives the batch norms the statistics of `batches` without changing what they give."""
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    sums = {m: [torch.zeros(m.num_features, dtype=torch.float64) for _ in range(2)] + [0] for m in norms}

    def note(module, inputs):
        x = inputs[0].double()
        kept = sums[module]
        kept[0] += x.sum((0, 2, 3))
        kept[1] += x.square().sum((0, 2, 3))
        kept[2] += x.numel() // x.shape[1]

    hooks = [m.register_forward_pre_hook(note) for m in norms]
    encoder.eval()
    for x in batches:
        encoder(x)
    for hook in hooks:
        hook.remove()
    for m in norms:
        total, square, count = sums[m]
        mean = total / count
        var = (square / count - mean.square()).clamp(min=0)
        m.bias += mean * m.weight / (m.running_var + m.eps).sqrt()
        # A weight of 0 silences what is new; any other is neutral.
        m.weight.copy_(torch.where(m.weight == 0, m.weight, (var + m.eps).sqrt().float()))
        m.running_mean.copy_(mean)
        m.running_var.copy_(var)
    encoder.train()


def student(config, folder):
    """The `Student` of the package in `folder`. Its words are vectors of the package's own tower, which stays as it is."""
    folder = Path(folder)
    clap = json.loads((folder / "manifest.json").read_text()).get("clap") or {}
    if clap.get("logit_scale") is None or clap.get("logit_bias") is None:
        raise SystemExit(f"start: {folder} has no clap.logit_scale and logit_bias, so it was not trained here")
    model = Student(config, np.zeros(config.dim, np.float32), np.eye(config.dim, dtype=np.float32))
    model.map = nn.Identity()
    named, nameless = weights(folder / "encoder.onnx")
    fill(model.encoder, {k.removeprefix("encoder."): v for k, v in named.items()}, nameless, folder / "encoder.onnx")
    named, nameless = weights(folder / "head.onnx")
    fill(model.head, {k.removeprefix("head."): v for k, v in named.items()}, nameless, folder / "head.onnx")
    with torch.no_grad():
        model.scale.fill_(math.log(clap["logit_scale"]))
        model.bias.fill_(clap["logit_bias"])
        model.teacher_bias.fill_(clap["logit_bias"])
    return model


@torch.no_grad()
def between(model, other, share):
    """`model` with `share` of `other` in each weight, batch norms folded first.

    Where one went on from the other, what lies between them is a model too, and often a better one (arXiv 2109.01903, 2203.05482).
    """
    met, other = copy.deepcopy(model).eval(), copy.deepcopy(other).eval()
    for one in (met, other):
        one.encoder = export.fold(one.encoder.to(memory_format=torch.contiguous_format))
    for part in ("encoder", "head"):
        theirs = getattr(other, part).state_dict()
        for name, value in getattr(met, part).state_dict().items():
            value.lerp_(theirs[name], share)
    for part in ("scale", "bias"):
        getattr(met, part).lerp_(getattr(other, part), share)
    return met


@torch.no_grad()
def recall(model, batches):
    """Fits the layer that tells the teacher's vectors, which no package holds, by least squares."""
    hidden, roots = [], []
    model.eval()
    for made in batches:
        if "root" not in made:
            break
        h = F.avg_pool1d(model.encoder.features(made["x"]).transpose(1, 2), 12, 6).transpose(1, 2)
        patches = made["root"].shape[1]
        hidden.append(h[:, :patches].reshape(-1, h.shape[-1]))
        roots.append(made["root"].reshape(-1, made["root"].shape[-1]))
    model.train()
    if not hidden:
        return
    x, y = torch.cat(hidden).double(), torch.cat(roots).double()
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    eye = torch.eye(x.shape[1], dtype=x.dtype) * 1e-2 * x.square().mean() * len(x)
    found = torch.linalg.solve(x.T @ x + eye, x.T @ y)
    model.recall.weight.copy_(found[:-1].T)
    model.recall.bias.copy_(found[-1])
