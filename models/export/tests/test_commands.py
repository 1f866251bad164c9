"""`inspect` and `verify`, on the committed packages."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from packed import packages
from safetensors.numpy import load_file, save_file

FIXTURES = packages()
PACKAGES = sorted(p.parent for p in FIXTURES.glob("*/manifest.json"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_inspect_explains_every_package(command, package):
    status, said = command("inspect", package)
    assert status == 0, said
    assert "FAULT" not in said and "window:" in said and package.name in said


def test_inspect_says_what_is_carried_over(command):
    tiny = Path(__file__).parents[2] / "package" / "fixtures"
    for name, carries in (("tiny-stream", False), ("tiny-carry", True)):
        status, said = command("inspect", tiny / name)
        assert status == 0 and ("each frame encoded once" in said) == carries, said


def test_inspect_tells_of_a_changed_file(command, tmp_path):
    package = shutil.copytree(FIXTURES / "byol-a-v1", tmp_path / "p")
    with (package / "encoder.onnx").open("ab") as file:
        file.write(b"x")
    assert "FAULT: encoder.onnx" in command("inspect", package)[1]


def test_inspect_says_what_a_checkpoint_is(command, tmp_path):
    import vit
    from weights import save

    save(vit.weights(3, 96, 16, 16), tmp_path / "m2d-80x96p16x16-x" / "checkpoint.pth", "model", "backbone.")
    status, said = command("inspect", tmp_path / "m2d-80x96p16x16-x")
    assert status == 0 and "M2D encoder: width 64, patches of 16 bands x 16 frames" in said, said


@pytest.mark.parametrize("content", ["[]", "{", '{"format": "audio-embedding-package", "version": 2}',
                                     '{"format": "audio-embedding-package", "version": 1}'])
def test_inspect_refuses_what_is_no_manifest(command, tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    status, said = command("inspect", tmp_path)
    assert status == 1 and "expected" in said


@pytest.mark.parametrize("package", [p for p in PACKAGES if p.name.startswith(("byol", "m2d-")) and "clap" not in p.name], ids=lambda p: p.name)
def test_verify_agrees_with_every_self_test_and_not_with_another(command, tmp_path, package):
    assert command("verify", package)[0] == 0
    file = json.loads((package / "manifest.json").read_text())["self_test"]["file"]
    tensors = load_file(package / file)
    tensors["embedding"] = tensors["embedding"] + np.float32(0.1) * np.roll(tensors["embedding"], 1)
    save_file(tensors, tmp_path / "other.safetensors")
    status, said = command("verify", package, tmp_path)
    assert status == 1 and "embedding: DIFFERS" in said and "log_mel: ok" in said


def test_verify_refuses_files_that_are_no_references(command, tmp_path):
    package = FIXTURES / "byol-a-v1"
    (tmp_path / "a.safetensors").write_bytes(b"no")
    assert "expected a safetensors file" in command("verify", package, tmp_path)[1]
    save_file({"embedding": np.zeros(4, np.float32)}, tmp_path / "a.safetensors")
    assert "expected `samples`" in command("verify", package, tmp_path)[1]
    assert "it has fp32" in command("verify", package, "--precision", "int8")[1]


def test_verify_refuses_a_package_whose_files_were_changed(command, tmp_path):
    shutil.copytree(FIXTURES / "byol-a-v1", tmp_path / "p")
    with (tmp_path / "p/encoder.onnx").open("ab") as file:
        file.write(b"x")
    status, said = command("verify", tmp_path / "p")
    assert status == 1 and "encoder.onnx: its sha256 is not the manifest's" in said
    (tmp_path / "p/encoder.onnx").unlink()
    assert "encoder.onnx: missing" in command("verify", tmp_path / "p")[1]


def test_verify_takes_the_graph_that_there_is(command):
    assert command("verify", FIXTURES / "yamnet-tiny")[0] == 0
