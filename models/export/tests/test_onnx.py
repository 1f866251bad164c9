"""`gst-listen-export onnx`: ready graphs with a manifest of the user's, and every refusal. Through the pipeline: examples/tests/test_families.py."""
import json
import tomllib

import numpy as np
import pytest
from cases import onnx as case
from packed import packages
from safetensors.numpy import load_file, save_file

from gst_listen_export.commands.verify import Model

FIXTURES = packages()


@pytest.fixture
def mine(tmp_path):
    case.features(tmp_path)
    return tmp_path


def manifest_of(package):
    return json.loads((package / "manifest.json").read_text())


def export(command, folder, *more, manifest="mine.toml", graph="mine.onnx"):
    return command("onnx", folder / graph, "--manifest", folder / manifest, "-o", folder / "out", *more)


@pytest.mark.parametrize("name", ["onnx-features", "onnx-waveform"])
def test_verify_agrees_with_the_self_test(command, name):
    status, said = command("verify", FIXTURES / name)
    assert status == 0 and "everything agrees" in said, said


@pytest.mark.parametrize(("make", "layout"), [(case.features, "BTF"), (case.waveform, "BT")])
def test_the_template_says_what_the_graph_says_and_makes_a_package_as_it_is(command, tmp_path, make, layout):
    make(tmp_path)
    graph, text = tmp_path / "mine.onnx", tmp_path / "model.toml"
    assert command("onnx", graph, "--template", "-o", text)[0] == 0
    m = tomllib.loads(text.read_text())
    assert m["encoder"]["input"]["layout"] == layout
    assert (m["encoder"]["output"]["dim"], m["encoder"]["output"]["frames_per_column"]) == ((12, 4) if layout == "BTF" else (12, 0))
    status, said = command("onnx", graph, "--manifest", text, "-o", tmp_path / "p")
    assert status == 0, said
    assert command("verify", tmp_path / "p")[0] == 0
    status, said = command("inspect", tmp_path / "p")
    assert status == 0 and "FAULT" not in said and "family ready ONNX file" in said


def test_a_template_never_replaces_what_is_there(command, mine):
    status, said = command("onnx", mine / "mine.onnx", "--template", "-o", mine / "mine.toml")
    assert status == 1 and "expected nothing there" in said and (mine / "mine.toml").read_text() == case.FEATURES


def test_inspect_explains_a_graph(command, mine):
    status, said = command("inspect", mine / "mine.onnx")
    assert status == 0 and "takes mel: float32 [batch, frames, 24]" in said and "gives steps: float32 [batch, steps, 12]" in said
    assert "gst-listen-export onnx" in said


def test_reduced_precisions_are_made_and_measured(command, mine):
    status, said = export(command, mine, "--precision", "fp16,int8")
    assert status == 0, said
    graphs = manifest_of(mine / "out")["encoder"]["graphs"]
    assert graphs["fp16"]["cosine"] > 0.999 and graphs["int8"]["cosine"] >= 0.995 and "max_batch" not in graphs["int8"]


def test_a_graph_for_one_window_at_a_time_says_so(command, tmp_path):
    w, _ = case.features(tmp_path)
    weights = w | {"four": np.array([1, -1, 96], np.int64)}
    nodes = [("Reshape", ["mel", "four"], ["cut"], {}), ("MatMul", ["cut", "w"], ["y"], {}), ("Add", ["y", "b"], ["z"], {}), ("Relu", ["z"], ["steps"], {})]
    case.graph(nodes, ("mel", ["batch", "frames", 24]), ("steps", [1, "steps", 12]), weights, tmp_path / "one.onnx")
    assert export(command, tmp_path, "--precision", "int8", graph="one.onnx")[0] == 0
    graphs = manifest_of(tmp_path / "out")["encoder"]["graphs"]
    assert graphs["fp32"]["max_batch"] == 1 and graphs["int8"]["max_batch"] == 1


def test_a_head_a_tagger_and_a_filterbank_come_along(command, mine):
    """The head after the pooling, labels of a tagger, bands of the model's own: all in the self-test's embedding."""
    rng = np.random.default_rng(5)
    head = rng.standard_normal((12, 7)).astype(np.float32)
    case.graph([("MatMul", ["x", "h"], ["y"], {})], ("x", ["batch", 12]), ("y", ["batch", 7]), {"h": head}, mine / "head.onnx")
    case.graph([("MatMul", ["x", "t"], ["y"], {})], ("x", ["batch", 7]), ("y", ["batch", 3]), {"t": head[:7, :3]}, mine / "tagger.onnx")
    (mine / "labels.txt").write_text("one\ntwo\nthree\n")
    bank = np.abs(rng.standard_normal((24, 257))).astype(np.float32)
    save_file({"filterbank": bank}, mine / "bank.safetensors")
    text = case.FEATURES.replace("zero_dc = false", 'zero_dc = false\nfilterbank = "bank.safetensors"')
    text += ('[head]\nfile = "head.onnx"\ninput = "x"\noutput = "y"\ntakes = "pooled"\ndim = 7\nframes = false\n'
             '[tagger]\nfile = "tagger.onnx"\ninput = "x"\noutput = "y"\nactivation = "softmax"\nlabels = "labels.txt"\n')
    (mine / "mine.toml").write_text(text)
    status, said = export(command, mine)
    assert status == 0, said
    out, weights = mine / "out", case.features(mine / "out")[0]
    test = load_file(out / "self_test.safetensors")
    x = test["samples"].astype(np.float64)
    padded = np.pad(x, 256, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    power = np.array([np.abs(np.fft.rfft(padded[200 * t : 200 * t + 512] * hann)) ** 2 for t in range(64)])
    mel = np.log(power @ bank.T.astype(np.float64) + 2.0**-23)
    assert np.abs(mel - test["log_mel"]).max() < 1e-5
    steps = case.steps_of(weights, (mel + 8) / 4.5)
    assert np.abs((steps.mean(0) + steps.max(0)) @ head - test["embedding"]).max() < 1e-3
    assert command("verify", out)[0] == 0
    for name in ("labels.txt", "head.onnx", "tagger.onnx", "bank.safetensors"):
        assert (out / name).is_file() and name in manifest_of(out)["sha256"]
    (mine / "labels.txt").write_text("one\ntwo\n")
    status, said = export(command, mine, "--replace")
    assert status == 1 and "tagger.file: expected 2 values of each, found [1, 3]" in said


def test_scores_without_a_front_end_of_ours(command, tmp_path):
    """Samples in, class scores out: `in_graph`, kind `logits`."""
    case.waveform(tmp_path)
    m = json.loads(case.WAVE)
    m["encoder"]["output"]["kind"] = "logits"
    m["tagger"] = {"activation": "sigmoid", "labels": "labels.txt"}
    (tmp_path / "mine.json").write_text(json.dumps(m))
    (tmp_path / "labels.txt").write_text("".join(f"c{i}\n" for i in range(12)))
    status, said = export(command, tmp_path, manifest="mine.json")
    assert status == 0, said
    model = Model(tmp_path / "out", manifest_of(tmp_path / "out"), "fp32")
    test = load_file(tmp_path / "out" / "self_test.safetensors")
    assert set(test) == {"samples", "embedding"} and np.allclose(model.all(test["samples"])["embedding"], test["embedding"], atol=1e-6)


@pytest.mark.parametrize(("old", "new", "message"), [
    ('name = "mel"', 'name = "lms"', "encoder.input.name: expected one of the inputs of mine.onnx (mel), found 'lms'"),
    ('name = "steps"', 'name = "y"', "encoder.output.name: expected one of the outputs of mine.onnx (steps), found 'y'"),
    ('layout = "BTF"', 'layout = "B1TF"', "expected float32 [any, 1, 4 to 400, 24], found mel: float32 [batch, frames, 24]"),
    ('layout = "BTF"', 'layout = "BFT"', "expected [any, 24, 4 to 400], found mel: float32 [batch, frames, 24]"),
    ("n_mels = 24", "n_mels = 80", "expected [any, 4 to 400, 80], found mel: float32 [batch, frames, 24]"),
    ("dim = 12", "dim = 16", "expected [any, any, 16], found steps: float32 [batch, steps, 12]"),
    ('kind = "frames"', 'kind = "logits"', "frame_embedding: expected none for kind logits, found identity"),
    ("frames_per_column = 4", "frames_per_column = 2", "expected [1, 2, 12] for kind frames, dim 12, freq_rows 1, frames_per_column 2; found [1, 1, 12]"),
    ("min_frames = 4\nmultiple_of = 4", "min_frames = 6\nmultiple_of = 2", "a window of 6 frames, 1 at a time: expected the graph to take it"),
    ("frames = 64", "frames = 66", "window.frames: expected a multiple of 4, found 66"),
    ("frames = 64", "frames = 500", "window.frames: expected 4 to 400, found 500"),
    ("sample_rate = 16000\nchannels", "sample_rate = 8000\nchannels", "frontend.sample_rate: expected 8000, as audio.sample_rate, found 16000"),
    ("n_fft = 512", 'n_fft = "512"', "frontend"),
    ("edge = ", "egde = ", "window: expected what models/package/FORMAT.md says"),
    ('id = "mine"', 'id = "mine"\nversion = 1', "expected no version: the command writes them"),
    ("zero_dc = false", 'zero_dc = false\nfilterbank = "no.safetensors"', "no.safetensors: expected the file"),
    ('id = "mine"', "id = mine", "expected TOML"),
])
def test_a_manifest_that_does_not_fit_is_named_and_nothing_is_left(command, mine, old, new, message):
    text = case.FEATURES
    assert old in text
    (mine / "mine.toml").write_text(text.replace(old, new, 1))
    status, said = export(command, mine)
    assert status == 1 and message in said, said
    assert sorted(p.name for p in mine.iterdir()) == ["mine.onnx", "mine.toml"]


def test_a_file_that_is_no_graph_is_named(command, mine):
    (mine / "no.onnx").write_bytes(b"PK nothing")
    status, said = command("onnx", mine / "no.onnx", "--manifest", mine / "mine.toml", "-o", mine / "out")
    assert status == 1 and "expected an ONNX file" in said, said
    status, said = command("onnx", mine / "none.onnx", "--manifest", mine / "mine.toml", "-o", mine / "out")
    assert status == 1 and "expected an ONNX file; found nothing" in said
    status, said = command("onnx", mine / "mine.onnx", "-o", mine / "out")
    assert status == 1 and "expected --manifest FILE" in said


def test_external_data_comes_along_and_is_missed_when_it_is_gone(command, mine):
    import onnx

    model = onnx.load(mine / "mine.onnx")
    onnx.save(model, mine / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=100)  # shapes must stay inside
    status, said = export(command, mine, graph="big.onnx")
    assert status == 0, said
    assert manifest_of(mine / "out")["encoder"]["graphs"]["fp32"] == {"file": "encoder.onnx", "external_data": ["big.data"]}
    assert (mine / "out" / "big.data").read_bytes() == (mine / "big.data").read_bytes()
    assert command("verify", mine / "out")[0] == 0
    (mine / "big.data").unlink()
    status, said = export(command, mine, "--replace", graph="big.onnx")
    assert status == 1 and "expected its external data in" in said
