"""Our modules and the float64 truth agree where the export is right, and disagree where it is wrong in the known ways."""
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import vit
from packed import ARCHIVE, packages
from sound import stream

from gst_listen_export import frontend, logmel, m2d_checkpoint
from gst_listen_export.families.m2d import read_classes
from gst_listen_export.nets.vit import PatchTransformer
from truth import byol_a as byol_truth
from truth import vit as truth
from truth.mel import BYOL_A, M2D, M2D_32K

FIXTURES, MODELS = packages(), Path(__file__).resolve().parents[2]
SAMPLES = stream(16000, 16000 * 3) / 32768


def cosine(a, b):
    a, b = np.ravel(a), np.ravel(b)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def right(a, b):
    """The tolerance of the issue."""
    return np.abs(a - b).max() <= 1e-4 * max(1, np.abs(b).max()) and cosine(a, b) >= 0.99999


def module(w, frames=208, high=16, wide=16):
    net = PatchTransformer(80 // high, frames // wide, (high, wide), w["norm.weight"].shape[0], 2, w["blocks.0.mlp.fc1.weight"].shape[0])
    net.load_state_dict({k: torch.from_numpy(v) for k, v in w.items()})
    return net.eval()


def tokens(net, window):
    with torch.no_grad():
        return net(torch.from_numpy(window.T.astype(np.float32).copy())[None, None])[0].numpy()


@pytest.mark.parametrize("front_end, other", [(frontend.M2D_16K, M2D), (frontend.M2D_32K, M2D_32K), (frontend.BYOL_A, BYOL_A)])
def test_the_two_log_mels_are_one(front_end, other):
    samples = stream(front_end["sample_rate"], front_end["sample_rate"]) / 32768
    assert np.abs(logmel.log_mel(front_end, samples) - other(samples)).max() < 1e-7


def test_the_truth_has_the_papers_filterbank():
    """models.md 1.1: sums and non-zeros of the filterbanks, and single values."""
    for front_end, total, count in ((M2D, 2.00069846, 388), (M2D_32K, 1.99953584, 777), (BYOL_A, 4.09573853, 966)):
        assert abs(front_end.filters.sum() - total) < 1e-8 and np.count_nonzero(front_end.filters) == count
    assert np.abs(M2D.filters[40, 43:46] - [0.00444273, 0.01360263, 0.00750382]).max() < 1e-8
    assert np.abs(M2D(np.zeros(16000)) + 15.942385).max() < 1e-6


@pytest.mark.parametrize("frames, high, wide, length, width", [(208, 16, 16, 208, 64), (208, 16, 16, 96, 64), (200, 16, 4, 50, 64),
                                                               (200, 80, 2, 101, 64), (208, 16, 16, 100, 192)])
def test_tokens_of_any_length_are_those_of_float64(frames, high, wide, length, width):
    w = vit.weights(5, frames, high, wide, dim=width)
    window = (M2D(SAMPLES)[:length] + 7) / 4
    grid = truth.grid(w, window, frames // wide)
    expected = grid.reshape(-1, width)  # row after row: frequency-major
    assert grid.shape[1] == length // wide
    assert right(tokens(module(w, frames, high, wide), window), expected)


def test_an_htk_front_end_fails():
    w, net = vit.weights(5, 208, 16, 16), None
    net = module(w)
    expected = truth.grid(w, (M2D(SAMPLES)[:208] + 7) / 4, 13).reshape(-1, 64)
    for wrong in ({"mel_scale": "htk"}, {"mel_norm": "none"}, {"mel_scale": "htk", "mel_norm": "none"}):
        window = (logmel.log_mel(frontend.M2D_16K | wrong, SAMPLES)[:208] + 7) / 4
        assert not right(tokens(net, window), expected), wrong


def test_time_major_tokens_fail():
    w = vit.weights(5, 208, 16, 16)
    window = (M2D(SAMPLES)[:208] + 7) / 4
    found = tokens(module(w), window)
    by_time = found.reshape(5, 13, 64).transpose(1, 0, 2).reshape(-1, 64)
    expected = truth.grid(w, window, 13)
    assert right(found, expected.reshape(-1, 64)) and not right(by_time, expected.reshape(-1, 64))
    # Stacked features hide nothing of it.
    assert not right(truth.stacked(by_time.reshape(5, 13, 64)), truth.stacked(expected))


def test_padding_with_silence_fails():
    w = vit.weights(5, 208, 16, 16)
    net, window = module(w), (M2D(SAMPLES)[:200] + 7) / 4
    zeros = np.concatenate([window, np.zeros((8, 80))])
    silence = np.concatenate([window, np.full((8, 80), (np.log(2.0**-23) + 7) / 4)])
    expected = truth.grid(w, zeros, 13).reshape(-1, 64)
    assert right(tokens(net, zeros), expected) and not right(tokens(net, silence), expected)


def test_a_wrong_eps_fails():
    """Where the tokens hardly vary, which is where eps counts: patches of near silence, with small weights."""
    w = vit.weights(5, 208, 16, 16)
    for k in ("patch_embed.proj.weight", "pos_embed", "cls_token", "patch_embed.proj.bias"):
        w[k] = w[k] * np.float32(0.003)
    window = (M2D(SAMPLES)[:208] + 7) / 4
    found = tokens(module(w), window)
    assert right(found, truth.grid(w, window, 13).reshape(-1, 64))
    for eps in (1e-5, 1e-12):
        assert not right(found, truth.grid(w, window, 13, eps=eps).reshape(-1, 64)), eps


def test_62_columns_of_1001_frames_and_not_63():
    """The last 9 frames are in no column; a graph that pads them into one has another embedding."""
    w = vit.weights(5, 1001, 16, 16)
    window = (M2D(stream(16000, 160000) / 32768) + 7) / 4
    assert len(window) == 1001
    found = tokens(module(w, 1001), window)
    assert found.shape == (5 * 62, 64)
    assert right(found, truth.grid(w, window, 62).reshape(-1, 64))


def test_classes_are_in_the_order_of_their_ids_not_of_the_file(tmp_path):
    (tmp_path / "c.csv").write_text('index,mid,display_name\n0,/m/09,"Speech"\n1,/g/1,"Dog, big"\n2,/m/010,"Cat"\n')
    assert read_classes(tmp_path / "c.csv", 3) == ["Dog, big", "Cat", "Speech"]


def test_the_committed_tagger_scores_differ_where_classes_come_in_file_order():
    """So that examples/tests/test_families.py, which asks by name, fails then."""
    runs = json.loads((FIXTURES / "m2d-as-ft-1001p16x16/truth.json").read_text())
    names = (FIXTURES / "m2d-as-ft-1001p16x16/labels.txt").read_text().splitlines()
    assert runs[0]["labels"] == names and names != sorted(names, key=lambda n: int(n.rsplit(" ", 1)[1]))


def test_byol_a_frames_with_eight_frames_of_context_are_those_of_the_whole():
    """The promise of the manifest's `streaming`; with one column less around it, it does not hold."""
    from cases.byol_a import weights

    for blocks, context in ((3, 8), (2, 4)):
        w, step = weights(1, blocks, 4, 8), 1 << blocks
        window = (BYOL_A(SAMPLES)[:192] + 7) / 4
        whole = byol_truth.frames(w, window)
        piece = byol_truth.frames(w, window[96 - context : 128 + context])
        assert np.abs(piece[context // step : -context // step] - whole[96 // step : 128 // step]).max() < 1e-12
        assert np.abs(byol_truth.frames(w, window[96:128]) - whole[96 // step : 128 // step]).max() > 1e-3


@pytest.mark.parametrize("name, bound", [("m2d_vit_base-80x608p16x16-221006", (608, 16, 16, 16000, "A", False)),
                                         ("m2d_as_vit_base-80x608p16x16p32k-240413_enconly", (608, 16, 16, 32000, "A", False)),
                                         ("m2d_s_vit_base-80x400p80x2", (400, 80, 2, 16000, "A", False)),
                                         ("m2d_clap_vit_base-80x1001p16x16p16kpBpTI-2025", (1001, 16, 16, 16000, "B", True))])
def test_geometry_in_folder_names(name, bound):
    g = m2d_checkpoint.geometry(name)
    assert (g.frames, g.height, g.width, g.rate, g.text, g.text_inside) == bound


@pytest.mark.parametrize("how, batched", [("dynamic", False), ("static", True)])
def test_reduced_precisions_say_their_cosine_and_batch(command, tmp_path, how, batched):
    from weights import save

    source = tmp_path / "m2d-80x208p16x16-x"
    save(vit.weights(5, 208, 16, 16), source / "checkpoint.pth", "model")
    status, said = command("m2d", source, "-o", tmp_path / "p", "--precision", "fp16,int8", "--int8", how, "--window", "96")
    assert status == 0, said
    graphs = json.loads((tmp_path / "p/manifest.json").read_text())["encoder"]["graphs"]
    assert all(0.995 <= graphs[p]["cosine"] <= 1 for p in ("fp16", "int8"))
    assert graphs["int8"].get("max_batch") == (None if batched else 1) and "max_batch" not in graphs["fp16"]
    session = onnxruntime.InferenceSession(str(tmp_path / "p" / graphs["int8"]["file"]), providers=["CPUExecutionProvider"])
    x = (np.stack([M2D(SAMPLES)[a : a + 96] for a in (0, 60, 120)]).transpose(0, 2, 1)[:, None].astype(np.float32) + 7) / 4
    x[1] *= 4  # a loud neighbour
    together, alone = session.run(None, {"lms": x})[0], np.concatenate([session.run(None, {"lms": x[i : i + 1]})[0] for i in range(3)])
    assert (np.abs(together - alone).max() < 1e-4) == batched


def test_a_reduced_precision_that_is_too_far_off_is_refused(command, tmp_path, monkeypatch):
    from weights import save

    from gst_listen_export import onnx_export

    source = tmp_path / "m2d-80x208p16x16-x"
    save(vit.weights(5, 208, 16, 16), source / "checkpoint.pth", "model")
    monkeypatch.setattr(onnx_export, "MIN_COSINE", 0.9999999)
    status, said = command("m2d", source, "-o", tmp_path / "p", "--precision", "int8", "--window", "96")
    assert status == 1 and "cosine to fp32" in said and not (tmp_path / "p").exists()


def test_fp16_keeps_layer_norms_in_float32(command, tmp_path):
    import onnx
    from weights import save

    source = tmp_path / "m2d-80x208p16x16-x"
    save(vit.weights(5, 208, 16, 16), source / "checkpoint.pth", "model")
    assert command("m2d", source, "-o", tmp_path / "p", "--precision", "fp16", "--window", "96")[0] == 0
    model = onnx.load(tmp_path / "p/encoder.fp16.onnx")
    types = {i.name: i.data_type for i in model.graph.initializer}
    norms = [n for n in model.graph.node if n.op_type == "LayerNormalization"]
    assert len(norms) == 5 and all(types[n.input[1]] == onnx.TensorProto.FLOAT for n in norms)
    weights = [types[n.input[1]] for n in model.graph.node if n.op_type in ("MatMul", "Gemm") and n.input[1] in types]
    assert weights and all(t == onnx.TensorProto.FLOAT16 for t in weights)


def test_a_streaming_package_says_its_context(command, tmp_path):
    from cases.byol_a import weights
    from weights import save

    source, fixed = save(weights(1, 3, 4, 8), tmp_path / "b.pth"), ("--mean", "-7", "--std", "4", "--streaming")
    assert command("byol-a", source, "-o", tmp_path / "p", "--normalize", "fixed", *fixed)[0] == 0
    manifest = json.loads((tmp_path / "p/manifest.json").read_text())
    assert manifest["streaming"] == {"chunk_frames": 96, "left_context": 8, "right_context": 8}
    assert manifest["window"]["edge"] == "rolling"
    status, said = command("byol-a", source, "-o", tmp_path / "q", "--normalize", "running", *fixed)
    assert status == 1 and "--streaming needs --normalize fixed" in said


def test_what_is_committed_is_small_and_has_every_family():
    assert ARCHIVE.stat().st_size < 500_000
    families = {json.loads(p.read_text())["family"] for p in FIXTURES.glob("*/manifest.json")}
    assert families == {"byol-a", "m2d", "m2d-clap", "laion-clap", "ms-clap", "yamnet", "ready ONNX file"}


def test_manifests_are_those_of_the_schema():
    """Of every committed package; the Rust reader checks more when a pipeline opens it."""
    import jsonschema

    schema = json.loads((MODELS / "package/schema/manifest.schema.json").read_text())
    committed = list(FIXTURES.glob("*/manifest.json"))
    assert committed
    for path in committed:
        jsonschema.validate(json.loads(path.read_text()), schema)
