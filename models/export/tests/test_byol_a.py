"""BYOL-A's layers are found by what they are, whatever they are called; what leaves a choice is refused."""
import json

import numpy as np
import onnxruntime
import pytest
from cases.byol_a import weights
from sound import stream
from weights import save

from truth import byol_a as truth
from truth.mel import BYOL_A

FIXED = ("--normalize", "fixed", "--mean", "-7", "--std", "4")
# Layers of the fixture's names, and what others might call them.
NAMES = {
    "as v1": {},
    "wrapped": {k: f"module.encoder.{k}" for k in ("features.0", "features.1", "features.4", "features.5", "fc.0", "fc.3")},
    "without a gap": {"features.0": "features.0", "features.1": "features.1", "features.4": "features.3", "features.5": "features.4", "fc.3": "fc.2"},
    "words": {"features.0": "conv1", "features.1": "bn1", "features.4": "conv2", "features.5": "bn2", "fc.0": "mlp.fc_in", "fc.3": "mlp.out"},
}


def renamed(w, names):
    return {f"{names.get(layer, layer)}.{part}": v for (layer, _, part), v in ((k.rpartition("."), v) for k, v in w.items())}


def v2(hidden=12, dim=10):
    """A small v2 whose two linear layers differ in shape."""
    w = weights(3, 2, 4, hidden)
    rng = np.random.default_rng(9)
    return w | {"fc.3.weight": rng.standard_normal((dim, hidden)).astype(np.float32), "fc.3.bias": rng.standard_normal(dim).astype(np.float32)}


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
@pytest.mark.parametrize("names", NAMES)
def test_v2_is_found_under_any_names(command, tmp_path, names, kind):
    w = v2()
    if kind == "torch":
        file = save(renamed(w, NAMES[names]), tmp_path / "AudioNTT2022-BYOLA-64x96d2048.pth")
    else:
        from safetensors.numpy import save_file

        save_file(renamed(w, NAMES[names]), file := tmp_path / "v2.safetensors")
    said = command("inspect", file)[1]
    assert "BYOL-A v2, 74 values per 40 ms" in said, said
    status, said = command("byol-a", file, "-o", tmp_path / "p", *FIXED)
    assert status == 0, said
    assert json.loads((tmp_path / "p/manifest.json").read_text())["encoder"]["output"] | {"name": ""} == {
        "name": "", "kind": "frames", "dim": 74, "freq_rows": 1, "frames_per_column": 4}
    window = (BYOL_A(stream(16000, 16000) / 32768)[:96] + 7) / 4
    session = onnxruntime.InferenceSession(str(tmp_path / "p/encoder.onnx"), providers=["CPUExecutionProvider"])
    found, expected = session.run(None, {"lms": window.T[None, None].astype(np.float32)})[0][0], truth.frames(w, window)
    assert found.shape == expected.shape == (24, 74)
    assert np.abs(found - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


def test_the_released_sizes_are_those_of_d3072(tmp_path):
    """models.md 3.1: 6.3 million values, 25 MB; and 3072 of them come out."""
    from gst_listen_export import byol_a_layers
    from gst_listen_export.checkpoint import read

    found = byol_a_layers.find(read(save(weights(3, 2, 64, 2048), tmp_path / "v2.pth")))
    assert found.version == 2 and found.dim == 3072
    assert abs(sum(int(np.prod(s)) for s in found.shapes.values()) - 6.33e6) < 0.01e6


def refused(command, tmp_path, w, *expected):
    status, said = command("byol-a", save(w, tmp_path / "x.pth"), "-o", tmp_path / "p", *FIXED)
    assert status == 1 and all(words in said for words in expected), said
    assert not (tmp_path / "p").exists()


def test_what_leaves_a_choice_is_refused(command, tmp_path):
    """Two batch norms of one shape: the file and their names must agree on which comes first."""
    w = renamed(v2(), NAMES["words"])
    swapped = {k: w[k] for k in sorted(w, key=lambda k: (k.startswith("bn1"), ))}
    refused(command, tmp_path, swapped, "bn2, bn1", "not ours to guess")
    # Square layers, of which either could be first.
    square = renamed(v2(64, 64), NAMES["words"])
    square["mlp.fc_in.weight"] = square["mlp.fc_in.weight"][:, :64].copy()
    square = {k: square[k] for k in sorted(square, key=lambda k: k.startswith("mlp.fc_in"))}
    refused(command, tmp_path, square, "linear layers", "mlp.out.weight [64, 64]")


@pytest.mark.parametrize("change, words", [
    (lambda w: w.update({"head.weight": np.zeros((3, 10), np.float32)}), ("3 x a linear layer", "two linear layers")),
    (lambda w: [w.pop(k) for k in list(w) if k.startswith("bn2")], ("1 x a batch norm",)),
    (lambda w: w.pop("bn2.running_var"), ("bn2.running_var [4]", "not there")),
    (lambda w: w.update({"gain": np.zeros(3, np.float32)}), ("gain [3]", "unknown")),
    (lambda w: w.update({"mlp.fc_in.weight": np.zeros((12, 63), np.float32)}), ("mlp.fc_in.weight must be [d, 64]", "[12, 63]")),
    (lambda w: w.update({"conv2.weight": np.zeros((5, 4, 3, 3), np.float32)}), ("conv2.weight must be [4, 4, 3, 3]",)),
])
def test_what_is_no_byol_a_is_named(command, tmp_path, change, words):
    w = renamed(v2(), NAMES["words"])
    change(w)
    refused(command, tmp_path, w, *words)


@pytest.mark.parametrize("missing", ["fc.3.weight", "features.8.weight", "features.9.running_var", "fc.0.weight"])
def test_what_a_v1_file_lacks_is_named_as_v1_names_it(command, tmp_path, missing):
    w = weights(3, 3, 4, 8)
    del w[missing]
    status, said = command("byol-a", save(w, tmp_path / "x.pth"), "-o", tmp_path / "p", *FIXED)
    assert status == 1 and missing in said and "fc.2" not in said, said


def test_a_v2_without_its_second_layer_is_told_of_no_name(command, tmp_path):
    w = {k: v for k, v in v2().items() if not k.startswith("fc.3.")}
    refused(command, tmp_path, w, "two linear layers", "1 x a linear layer")
