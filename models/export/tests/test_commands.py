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


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_inspect_s_words_are_plain(command, package):
    """No value of the format's own lists is said as it stands in the manifest."""
    from gst_listen_export.words import WORDS

    said = command("inspect", package)[1].split("FAULT")[0]
    for values in WORDS.values():
        for value in values:
            assert "_" not in value or value not in said, (value, said)


def test_every_value_of_the_schema_has_words():
    from gst_listen_export.words import WORDS

    text = (Path(__file__).parents[1] / "gst_listen_export/data/manifest.schema.json").read_text()
    found = {}

    def walk(node, name=""):
        if isinstance(node, dict):
            if "enum" in node or "const" in node:
                found.setdefault(name, set()).update(node.get("enum", [node.get("const")]))
            for key, value in node.items():
                walk(value, name if key in ("anyOf", "oneOf", "properties", "items", "kind") else key)
        elif isinstance(node, list):
            for item in node:
                walk(item, name)

    walk(json.loads(text))
    for key in ("mel_scale", "short_pad", "edge", "frame_embedding", "clip_pooling", "pooling", "activation"):
        assert found[key] - {None} <= WORDS[key].keys(), (key, found[key])
    for key in ("log", "normalize"):
        assert found[key] - {None} <= WORDS[key].keys(), (key, found[key])


def commands_of(said):
    """The command lines that inspect prints, with what is to be filled in filled in."""
    return [line.split()[1:] for line in said.splitlines() if line.startswith("  gst-listen-export ")]


def test_the_commands_that_inspect_prints_are_whole(command, tmp_path, monkeypatch):
    """Each of them makes a package once its words in capitals are replaced."""
    import vit
    from cases import byol_a, laion_clap, m2d_clap, ms_clap
    from test_search import write_wav
    from weights import save

    monkeypatch.setattr("gst_listen_export.towers.cached", lambda *_: None)
    head = {f"module.head.norm.{k}": np.ones(320) for k in ("running_mean", "running_var")}
    head |= {"module.head.mlp.mlp.0.weight": np.ones((3, 320)), "module.head.mlp.mlp.0.bias": np.ones(3)}
    tagging = {f"module.ar.runtime.backbone.{k}": v for k, v in vit.weights(3, 96, 16, 16).items()} | head
    (tmp_path / "wav").mkdir()
    write_wav(tmp_path / "wav/a.wav", 1000 * np.sin(np.arange(16000)))
    (tmp_path / "class_labels_indices.csv").write_text("index,mid,display_name\n" + "".join(f"{i},/m/{i},class {i}\n" for i in range(3)))
    sources = {"byol-a": save(byol_a.weights(1, 3, 4, 8), tmp_path / "byola.pth"),
               "m2d": save(vit.weights(3, 96, 16, 16), tmp_path / "download/checkpoint.pth", "model").parent,
               "as-ft": save(tagging, tmp_path / "m2d-80x96p16x16-AS-FT/weights.pth").parent,
               "m2d-clap": m2d_clap.CASES[0].checkpoint(tmp_path), "laion-clap": laion_clap.pt(tmp_path), "ms-clap": ms_clap.CASES[0].checkpoint(tmp_path)}
    towers = {"m2d-clap": m2d_clap.CASES[0], "ms-clap": ms_clap.CASES[0]}
    told = {name: case.arguments(tmp_path)[case.arguments(tmp_path).index("--text-tower") + 1] for name, case in towers.items()}
    fill = {"FOLDER_OF_WAV_FILES": tmp_path / "wav", "BANDSxFRAMESpHEIGHTxWIDTH": "80x96p16x16",
            "class_labels_indices.csv": tmp_path / "class_labels_indices.csv", "FOLDER_OF_GTE_BASE": told["m2d-clap"],
            "FOLDER_OF_ROBERTA_BASE": tmp_path / "roberta", "FOLDER_OF_GPT2": told["ms-clap"]}
    small = {"laion-clap": ["--seconds", laion_clap.SECONDS], "ms-clap": ["--seconds", ms_clap.SECONDS]}
    for name, source in sources.items():
        said = command("inspect", source)[1]
        argv, = commands_of(said)
        fill["PACKAGE"] = tmp_path / f"{name}.pkg"
        status, words = command(*(fill.get(a, a) for a in argv), *small.get(name, ()))
        assert status == 0, (name, argv, words)


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
