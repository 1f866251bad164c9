"""Every CLAP family against float64 where it is right, and away from it where it is wrong in the known ways; what is refused.

Classes in another order have no place here: a CLAP package has none. Their guard is in test_exactness.py.
"""
import json

import numpy as np
import pytest
from packed import packages
from sound import stream

from gst_listen_export import logmel
from gst_listen_export.onnx_export import open_session

FIXTURES = packages()
M2D_CLAPS = ["m2d-clap-2024", "m2d-clap-2025-p16x16", "m2d-clap-2025-p80x2"]
CLAPS = [*M2D_CLAPS, "laion-clap", "ms-clap"]


class Package:
    """A committed package and its truth, made anew in float64."""

    def __init__(self, name, folder):
        from make import cases

        case = next(c for c in cases() if c.name == name)
        self.source = case.checkpoint(folder)
        self.runs = {r.name.split("-")[0]: r for r in case.truth(folder)}
        self.arguments = case.arguments(folder)
        self.open(FIXTURES / name)

    @property
    def window(self):
        """The window of the run `clip`, in frames."""
        fe, asked = self.manifest["frontend"], self.runs["clip"].properties.get("window")
        return self.manifest["window"]["frames"] if asked is None else round(asked * fe["sample_rate"] / fe["hop_length"] / 1e9)

    def open(self, folder):
        self.folder, self.manifest = folder, json.loads((folder / "manifest.json").read_text())
        self.encoder = open_session(folder / self.manifest["encoder"]["graphs"]["fp32"]["file"])
        self.head = open_session(folder / self.manifest["head"]["file"])
        return self

    def mel(self, front_end=None, last=False):
        """The first window of the run `clip`, or its last, which the recording's end cuts short; log-mel [T, F]."""
        run, fe = self.runs["clip"], self.manifest["frontend"] | (front_end or {})
        samples, size = stream(run.rate, run.samples) / 32768, self.window
        start = round(run.starts[-1] * run.rate / 1e9) if last else 0
        return logmel.log_mel(fe, samples[start : start + (size - 1) * fe["hop_length"]], self.folder)

    def normalized(self, mel):
        return logmel.normalize(mel, self.manifest["normalize"], 0.01)

    def tokens(self, x):
        feed = x.T[None, None] if self.manifest["encoder"]["input"]["layout"] == "B1FT" else x[None, None]
        return self.encoder.run(None, {self.manifest["encoder"]["input"]["name"]: np.ascontiguousarray(feed, np.float32)})[0]

    def through(self, y):
        """The head's vectors at unit length, `[B, D]`."""
        z = self.head.run(None, {self.manifest["head"]["input"]: np.ascontiguousarray(y, np.float32)})[0].astype(np.float64)
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    def clip(self, x):
        return self.through(self.tokens(x))[0]


@pytest.fixture(scope="module", params=CLAPS)
def package(request, tmp_path_factory):
    return Package(request.param, tmp_path_factory.mktemp(request.param))


def right(found, expected):
    """The issue's tolerance, on unit vectors."""
    return np.abs(found - expected).max() <= 1e-4 and float(found.ravel() @ expected.ravel()) / (expected.size / expected.shape[-1]) >= 0.99999


def test_a_front_end_of_another_mel_scale_fails(package):
    expected = package.runs["clip"].values[0]
    assert right(package.clip(package.normalized(package.mel())), expected)
    # The bands' own weights, where the manifest names a file of them, make the scale mere words: they are put aside.
    for wrong in ({"mel_scale": "htk"}, {"mel_norm": "none"}, {"mel_scale": "htk", "mel_norm": "none"}):
        mel = package.mel(wrong | {"filterbank": None})
        assert not right(package.clip(package.normalized(mel)), expected), wrong


def short(package):
    """The window that the recording's end cuts short, normalised, and the truth of it."""
    x = package.normalized(package.mel(last=True))
    assert len(x) < package.window
    return x, package.runs["clip"].values[-1]


def test_a_short_end_filled_in_another_way_fails(package):
    x, expected = short(package)
    if package.folder.name == "m2d-clap-2025-p80x2":
        assert len(x) % 2 == 0  # its steps are two frames: nothing is filled here
        return
    how, w = package.manifest["window"]["short_pad"], package.manifest["window"]
    silent = package.normalized(np.full((1, x.shape[1]), silence(package.manifest["frontend"])))
    if how == "zero_normalized":
        length = max(-(-len(x) // w["multiple_of"]) * w["multiple_of"], w["min_frames"])
        assert length > len(x)
        fill = lambda row: np.concatenate([x, np.repeat(row, length - len(x), axis=0)])
        assert right(package.clip(fill(np.zeros((1, x.shape[1])))), expected)
        assert not right(package.clip(fill(silent)), expected)
        return
    # The HTS-AT families repeat: LAION-CLAP as often as it fits whole, MS-CLAP and a piece of it.
    from cases import laion_clap, ms_clap

    x, size = x[:15], package.window
    whole = np.concatenate([x] * size)[:size]
    times = size // len(x)
    assert times > 1 and size % len(x)
    rest = np.concatenate([x] * times + [np.repeat(silent, size - times * len(x), axis=0)])
    zeros = np.concatenate([x, np.repeat(silent, size - len(x), axis=0)])
    if how == "repeat":
        expected = laion_clap.embedding(laion_clap.weights(), laion_clap.truth.repeated(x, size, -100.0))
    else:
        expected = ms_clap.embedding(ms_clap.weights(), whole)
    found = {name: right(package.clip(y), expected) for name, y in (("whole", whole), ("rest", rest), ("zeros", zeros))}
    assert found == {"whole": how != "repeat", "rest": how == "repeat", "zeros": False}


def silence(front_end):
    """The log-mel of digital silence."""
    log = front_end["log"]
    return np.log(log["eps"]) if log["kind"] == "ln_add" else 10 * np.log10(log["amin"])


@pytest.mark.parametrize("name", M2D_CLAPS[:2])
def test_time_major_tokens_fail(name, tmp_path):
    """Of clips they would not be seen: mean and attention pooling take tokens in any order. Of time steps they are."""
    package = Package(name, tmp_path)
    run, out = package.runs["frames"], package.manifest["encoder"]["output"]
    y = package.tokens(package.normalized(package.mel()))[0]
    rows, expected = out["freq_rows"], run.values[: run.rows[0]]
    by_row = y.reshape(rows, -1, out["dim"]).transpose(1, 0, 2)
    assert right(package.through(by_row), expected)
    assert not right(package.through(y.reshape(-1, rows, out["dim"])), expected)


@pytest.mark.parametrize("name, layer, plausible", [
    ("m2d-clap-2024", "backbone.patch_embed.proj", 1e-6), ("m2d-clap-2025-p80x2", "backbone.patch_embed.proj", 1e-6),
    ("laion-clap", "audio_branch.patch_embed.proj", 1e-5), ("ms-clap", "audio_encoder.base.htsat.patch_embed.proj", 1e-5)])
def test_a_wrong_eps_fails(name, layer, plausible, tmp_path, command, monkeypatch):
    """Where tokens hardly vary, which is where eps counts: checkpoints with small patch weights, against their own truth."""
    import onnx

    calm(monkeypatch, layer)
    package = Package(name, tmp_path)
    argv = package.arguments
    status, said = command(argv[0], package.source, "-o", tmp_path / "p", *argv[1:])
    assert status == 0, said
    package.open(tmp_path / "p")
    x, expected = package.normalized(package.mel()), package.runs["clip"].values[0]
    assert right(package.clip(x), expected)
    model = onnx.load(package.folder / "encoder.onnx")
    norms = [a for n in model.graph.node if n.op_type == "LayerNormalization" for a in n.attribute if a.name == "epsilon"]
    assert norms and all(abs(a.f - plausible) < 1e-9 for a in norms), [a.f for a in norms]
    for wrong in {1e-5, 1e-6, 1e-12} - {plausible}:
        for a in norms:
            a.f = wrong
        onnx.save(model, package.folder / "wrong.onnx")
        package.encoder = open_session(package.folder / "wrong.onnx")
        assert not right(package.clip(x), expected), wrong


def calm(monkeypatch, layer):
    """Makes the weights of patches, positions and classes of the cases' checkpoints small."""
    import vit
    from cases import laion_clap

    small = np.float32(0.003)
    calmed = ("patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed", "cls_token")
    shrink = lambda w: {k: v * small if k.endswith(calmed) else v for k, v in w.items()}
    if layer.startswith("backbone"):
        weights = vit.weights
        monkeypatch.setattr(vit, "weights", lambda *a, **k: shrink(weights(*a, **k)))
    else:
        from cases import ms_clap

        htsat = laion_clap.htsat_weights
        for module in (laion_clap, ms_clap):
            monkeypatch.setattr(module, "htsat_weights", lambda rng, prefix: shrink(htsat(rng, prefix)))


def changed(tensors, change):
    tensors = dict(tensors)
    change(tensors)
    return tensors


@pytest.mark.parametrize("name, key", [("m2d-clap-2024", "backbone.audio_proj.2.weight"), ("m2d-clap-2025-p16x16", "backbone.audio_proj.sem_token"),
                                       ("m2d-clap-2025-p16x16", "text_encoder.text_encoder.encoder.layer.0.output.dense.bias"),
                                       ("m2d-clap-2024", "backbone.blocks.1.mlp.fc2.bias")])
def test_a_checkpoint_of_m2d_clap_that_is_not_whole_is_named(name, key, tmp_path, command):
    import torch

    package = Package(name, tmp_path)
    file, argv = package.source / "checkpoint-30.pth", package.arguments
    state = torch.load(file)["model"]
    of = state[key]
    wrong = {"missing": lambda s: s.pop(key), "shape": lambda s: s.update({key: torch.zeros(*(d + 1 for d in of.shape))}),
             "unknown": lambda s: s.update({"backbone.surprise.weight": torch.zeros(2, 3)}), "nan": lambda s: s.update({key: of * float("nan")})}
    said = {}
    for fault, change in wrong.items():
        torch.save({"model": changed(state, change)}, file)
        status, said[fault] = command(argv[0], package.source, "-o", tmp_path / "p", *argv[1:])
        assert status == 1 and not (tmp_path / "p").exists() and "Traceback" not in said[fault], (fault, said[fault])
    assert "surprise.weight [2, 3]" in said["unknown"] and "unknown" in said["unknown"]
    short = key.removeprefix("backbone.").removeprefix("text_encoder.text_encoder.").rsplit(".", 1)[0].removeprefix("audio_proj.")
    assert short in said["shape"] and short in said["nan"] and "not finite" in said["nan"], said
