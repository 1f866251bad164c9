"""`gst-listen-export llm`: the committed packages, each projector, and what is refused."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needed
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from gst_listen_export.llm.greedy import Greedy
from gst_listen_export.llm.tokens import prompt_ids

needed("transformers")
MODELS = Path(__file__).resolve().parents[2]
FIXTURES = MODELS / "captioner" / "tests" / "fixtures"
PACKAGES = MODELS / "package" / "fixtures"
sys.path.insert(0, str(FIXTURES))
import make_tiny_llm as tiny  # noqa: E402

NAMES = list(tiny.MADE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The Hugging Face folders of the tiny models."""
    place = tmp_path_factory.mktemp("models")
    for name, write in tiny.MADE.items():
        (place / name).mkdir()
        write(place / name)
    return place


@pytest.fixture
def source(folders, tmp_path):
    """A copy of the tiny Llama's folder, to be spoilt."""
    return shutil.copytree(folders / "tiny-llama", tmp_path / "source")


def section(package):
    return json.loads((package / "manifest.json").read_text())["captioner"]


@pytest.mark.parametrize("name", NAMES)
def test_the_package_says_what_transformers_says_token_for_token(name):
    s, package = section(FIXTURES / name), FIXTURES / name
    tokenizer = Tokenizer.from_file(str(package / s["tokenizer"]))
    cases = json.loads((package / "truth.json").read_text())["cases"]
    assert len(cases) == 3
    for case in cases:
        parts = prompt_ids(tokenizer, s["begin"], s["prompt"], {"{system}": case["system"], "{prompt}": case["prompt"]})
        flat = [i for part in parts for i in ([None] if part is None else part)]
        assert flat == case["prompt_ids"]
        audio = case["audio"] and np.array(case["audio"])
        assert Greedy(package, s).tokens(parts, audio, 24, []) == case["tokens"]


def test_sound_changes_what_is_said():
    package = FIXTURES / "tiny-llama"
    s, case = section(package), json.loads((package / "truth.json").read_text())["cases"][0]
    at = case["prompt_ids"].index(None)
    prompt = [case["prompt_ids"][:at], None, case["prompt_ids"][at + 1:]]
    assert Greedy(package, s).tokens(prompt, -np.array(case["audio"]), 24, []) != case["tokens"]


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_package_is_what_the_script_makes(name, tmp_path):
    from make import compare

    tiny.make(name, tmp_path)
    assert compare(tmp_path / name, FIXTURES / name) == []
    assert (tmp_path / name / "truth.json").read_text() == (FIXTURES / name / "truth.json").read_text()
    assert sum(f.stat().st_size for f in (FIXTURES / name).iterdir()) < 200_000


@pytest.mark.parametrize("name", NAMES)
def test_inspect_tells_of_captions(command, name):
    status, said = command("inspect", FIXTURES / name)
    assert status == 0 and "FAULT" not in said and "captions: a decoder of 2 layers of 16" in said
    assert ("hears 4 vectors of a window's clip" if name == "tiny-llama" else "is told events as text") in said


def test_inspect_tells_of_a_language_models_folder(command, folders):
    status, said = command("inspect", folders / "tiny-qwen2")
    assert status == 0 and "of the class qwen2: 2 layers of 16, 266 tokens, 4096 positions" in said, said
    assert "its prompt: '<|im_start|>system" in said and "end at the tokens 265" in said and "gst-listen-export llm" in said
    assert "it has no chat format" in command("inspect", folders / "tiny-llama")[1]


@pytest.mark.parametrize("name", NAMES)
def test_verify_runs_the_captions_self_test(command, name, tmp_path):
    status, said = command("verify", FIXTURES / name)
    assert status == 0 and "captions: ok" in said
    package = shutil.copytree(FIXTURES / name, tmp_path / "p")
    manifest = json.loads((package / "manifest.json").read_text())
    manifest["captioner"]["self_test"]["tokens"][3] += 1
    (package / "manifest.json").write_text(json.dumps(manifest))
    status, said = command("verify", package)
    assert status == 1 and "captions: DIFFERS" in said


def projector(path, **tensors):
    save_file({k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}, path)
    return path


def test_queries_that_attend_to_tokens_or_frames(command, folders, tmp_path):
    """Against the softmax in float64; the package's own tokenizer stays beside the language model's."""
    rng, package = np.random.default_rng(3), PACKAGES / "tiny-tokens"
    manifest = json.loads((package / "manifest.json").read_text())
    out = manifest["encoder"]["output"]
    frame = manifest["head"]["dim"] if manifest["head"]["frames"] else out["dim"] * out["freq_rows"]
    for takes, size in (("tokens", out["dim"]), ("frames", frame)):
        w = {"query": rng.standard_normal((3, 5)), "key.weight": rng.standard_normal((5, size)), "value.weight": rng.standard_normal((16, size))}
        file = projector(tmp_path / f"{takes}.safetensors", **w)
        status, said = command("llm", folders / "tiny-qwen2", "--onto", package, "-o", tmp_path / takes, "--projector", file, "--max-windows", 3)
        assert status == 0, said
        s = section(tmp_path / takes)
        assert (s["projector"]["takes"], s["projector"]["prefix"], s["projector"]["max_windows"]) == (takes, 3, 3)
        assert s["tokenizer"] == "captioner/tokenizer.json" and "{audio}{prompt}" in s["prompt"]
        x = rng.standard_normal((7, size)).astype(np.float32)
        scores = w["query"].astype(np.float32).astype(float) @ w["key.weight"].astype(np.float32).astype(float) @ x.T.astype(float) / 5**0.5
        weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        expected = weights @ x @ w["value.weight"].T
        assert np.abs(Greedy(tmp_path / takes, s).sound(x)[0] - expected).max() < 1e-4
        for name in ("tokenizer.json", "text.onnx", "encoder.onnx"):
            assert (tmp_path / takes / name).read_bytes() == (package / name).read_bytes()
        assert command("inspect", tmp_path / takes)[0] == 0


def test_the_self_test_is_greedy_and_ends_before_a_stop(command, folders, tmp_path):
    base = PACKAGES / "tiny-frames"
    assert command("llm", folders / "tiny-qwen2", "--onto", base, "-o", tmp_path / "all")[0] == 0
    tokens = section(tmp_path / "all")["self_test"]["tokens"]
    assert tokens == json.loads((FIXTURES / "tiny-qwen2" / "truth.json").read_text())["cases"][0]["tokens"][:8]
    words = Tokenizer.from_file(str(folders / "tiny-qwen2" / "tokenizer.json"))
    assert command("llm", folders / "tiny-qwen2", "--onto", base, "-o", tmp_path / "stopped", "--stop", words.id_to_token(tokens[2]))[0] == 0
    assert section(tmp_path / "stopped")["self_test"]["tokens"] == tokens[:2]


def test_licences_are_joined_and_nothing_is_allowed_that_one_forbids(command, folders, tmp_path):
    base = PACKAGES / "tiny-clip"
    assert command("llm", folders / "tiny-qwen2", "--onto", base, "-o", tmp_path / "p", "--license", "Apache-2.0", "--redistributable")[0] == 0
    licence = json.loads((tmp_path / "p" / "manifest.json").read_text())["license"]
    assert licence == {"id": "Tiny-Evaluation AND Apache-2.0", "redistributable": True, "commercial_use": False, "accept_required": True, "file": "LICENSE.txt"}
    text = (tmp_path / "p" / "LICENSE.txt").read_text()
    assert (base / "LICENSE.txt").read_text() in text and tiny.LICENCE in text


def test_large_weights_stand_in_files_beside_the_graphs(command, folders, tmp_path, monkeypatch):
    from gst_listen_export.llm import graph

    monkeypatch.setattr(graph, "INLINE_BYTES", 6000)
    assert command("llm", folders / "tiny-qwen2", "--onto", PACKAGES / "tiny-frames", "-o", tmp_path / "p")[0] == 0
    s, manifest = section(tmp_path / "p"), json.loads((tmp_path / "p" / "manifest.json").read_text())
    files = [*s["decoder"]["external_data"], *s["embed_tokens"]["external_data"]]
    assert len(s["decoder"]["external_data"]) > 1 and len(s["embed_tokens"]["external_data"]) == 1
    assert all(name in manifest["sha256"] for name in files) and (tmp_path / "p" / "decoder.onnx").stat().st_size < 40_000
    case = json.loads((FIXTURES / "tiny-qwen2" / "truth.json").read_text())["cases"][0]
    assert Greedy(tmp_path / "p", s).tokens([case["prompt_ids"]], None, 24, []) == case["tokens"]


@pytest.mark.parametrize("name", NAMES)
def test_int8_is_near_and_smaller(command, folders, tmp_path, name):
    file = projector(tmp_path / "p.safetensors", weight=np.random.default_rng(2).standard_normal((32, 16)) / 4)
    status, said = command("llm", folders / name, "--onto", PACKAGES / "tiny-frames", "-o", tmp_path / "p", "--precision", "int8", "--projector", file)
    assert status == 0, said
    assert 0.995 <= float(said.split("a cosine of ")[1].split()[0]) < 1
    s = section(tmp_path / "p")
    for part in ("decoder", "embed_tokens"):
        assert (tmp_path / "p" / s[part]["file"]).stat().st_size < 0.75 * (FIXTURES / name / section(FIXTURES / name)[part]["file"]).stat().st_size
    assert s["self_test"]["tokens"] and "captions:" in command("inspect", tmp_path / "p")[1]


def test_int8_that_is_too_far_off_is_refused(command, folders, tmp_path, monkeypatch):
    from gst_listen_export.llm import graph

    exact = graph.per_row
    monkeypatch.setattr(graph, "per_row", lambda weight: exact(np.sign(weight)))  # one bit
    status, said = command("llm", folders / "tiny-qwen2", "--onto", PACKAGES / "tiny-frames", "-o", tmp_path / "out", "--precision", "int8")
    assert status == 1 and "expected logits with a cosine of at least 0.995 to fp32's" in said, said
    assert not list(tmp_path.glob("*out*"))


def config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def drop_tensor(folder):
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda f: config(f, model_type="gpt2"), "model_type: expected one of llama, qwen2, qwen3, found 'gpt2'"),
    (lambda f: (f / "config.json").unlink(), "config.json: No such file"),
    (drop_tensor, "expected the tensor model.layers.1.mlp.up_proj.weight [32, 16], found none"),
    (lambda f: (f / "tokenizer.json").unlink(), "expected a tokenizer.json, found no file of a tokenizer"),
    (lambda f: (f / "tokenizer.json").write_text("{}"), "expected a Hugging Face tokenizer.json"),
    (lambda f: config(f, vocab_size=264), "expected ids below 264, the vocab_size of config.json; found 264 ('</s>')"),
    (lambda f: (config(f, eos_token_id=None), (f / "generation_config.json").unlink()), "expected eos_token_id"),
])
def test_a_folder_that_does_not_fit_is_named_and_nothing_is_left(command, source, tmp_path, spoil, message):
    spoil(source)
    status, said = command("llm", source, "--onto", PACKAGES / "tiny-frames", "-o", tmp_path / "out")
    assert status == 1 and message in said, said
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(("tensors", "message"), [
    ({"weight": np.zeros((32, 17))}, "weight: expected 16 columns, as the package's clip embeddings have values; found 17"),
    ({"weight": np.zeros((33, 16))}, "weight: expected a multiple of 16 rows (the decoder's width), found 33"),
    ({"w": np.zeros((32, 16))}, "expected the tensors"),
    ({"query": np.zeros((2, 4)), "key.weight": np.zeros((4, 9)), "value.weight": np.zeros((16, 9))}, "key.weight: expected 16 (frames) columns"),
])
def test_a_projector_that_does_not_fit_is_named(command, folders, tmp_path, tensors, message):
    file = projector(tmp_path / "p.safetensors", **tensors)
    status, said = command("llm", folders / "tiny-llama", "--onto", PACKAGES / "tiny-frames", "-o", tmp_path / "out", "--projector", file)
    assert status == 1 and message in said, said


@pytest.mark.parametrize(("more", "message"), [
    (["--template", "{audio}{prompt}"], "expected {audio} nowhere, as there is no projector, found it 1 times"),
    (["--template", "Say!"], "expected {prompt} once, found it 0 times"),
    (["--stop", "<|none|>"], "--stop: expected a token of tokenizer.json, found '<|none|>'"),
    (["--max-tokens", "0"], "--max-tokens: expected a whole number of at least 1, found 0"),
    (["--max-positions", "9999"], "--max-positions: expected 2 to 4096"),
    (["--top-p", "0"], "--top-p: expected a number above 0, to 1, found 0.0"),
    (["--onto", str(FIXTURES / "tiny-llama")], "expected a package without a caption part (`captioner`), found one"),
])
def test_options_that_do_not_fit_are_named(command, folders, tmp_path, more, message):
    status, said = command("llm", folders / "tiny-llama", "--onto", PACKAGES / "tiny-frames", "-o", tmp_path / "out", *more)
    assert status == 1 and message in said, said


def test_a_changed_file_of_the_other_package_is_named(command, folders, tmp_path):
    base = shutil.copytree(PACKAGES / "tiny-frames", tmp_path / "base")
    (base / "encoder.onnx").write_bytes(b"x")
    status, said = command("llm", folders / "tiny-llama", "--onto", base, "-o", tmp_path / "out")
    assert status == 1 and "encoder.onnx: expected the sha256" in said
