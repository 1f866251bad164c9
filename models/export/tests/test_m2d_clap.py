"""M2D-CLAP: text towers against float64, the word pieces, and guards that fail where a head or a tower is wrong."""

import numpy as np
import pytest

from gst_listen_export.errors import ExportError
from gst_listen_export.families import m2d_clap

SENTENCES = ["dog bark", "the sound of siren.", "glass can be heard"]


def made(name, tmp_path, command):
    from make import cases

    case = next(c for c in cases() if c.name == name)
    source = case.checkpoint(tmp_path)
    word, *rest = case.arguments(tmp_path)
    return source, [word, source, *rest]


@pytest.mark.parametrize("year", [2024, 2025])
def test_the_text_tower_gives_what_float64_gives(year, tmp_path, command):
    import onnxruntime
    from cases.m2d_clap import bert
    from tokenizers import Tokenizer

    from truth.m2d_clap import text

    name, seed, heads = ("m2d-clap-2024", 43, 4) if year == 2024 else ("m2d-clap-2025-p16x16", 44, 1)
    _, argv = made(name, tmp_path, command)
    status, said = command(*argv, "-o", tmp_path / "out.pkg")
    assert status == 0, said
    tokenizer = Tokenizer.from_file(str(tmp_path / "out.pkg" / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(tmp_path / "out.pkg" / "text.onnx"))
    ids = [tokenizer.encode(s).ids for s in SENTENCES]
    longest = max(map(len, ids))
    padded = np.array([i + [0] * (longest - len(i)) for i in ids])
    found = session.run(None, {"input_ids": padded, "attention_mask": np.array([[1] * len(i) + [0] * (longest - len(i)) for i in ids])})[0]
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    weights = bert(seed)
    right = np.stack([text(weights, i, heads, mean=year == 2024) for i in ids])
    wrong = np.stack([text(weights, i, heads, mean=year != 2024) for i in ids])
    assert np.abs(found - right).max() < 1e-5
    assert (found * wrong).sum(axis=1).max() < 0.999  # the other pooling would be seen


def test_the_head_has_another_eps_than_the_encoder():
    from cases.m2d_clap import head

    import truth.m2d_clap as truth

    weights = head(50, 2025)
    tokens = np.random.default_rng(0).standard_normal((9, 64)) * 1e-3
    weights["audio_proj.sem_token"] = weights["audio_proj.sem_token"] * 1e-3
    import torch

    from gst_listen_export.nets.m2d_heads import AttentionPool

    module = AttentionPool(64, 1, 64)
    module.load_state_dict({k.removeprefix("audio_proj."): torch.from_numpy(v) for k, v in weights.items()})
    right = truth.head(weights, tokens)

    def found():
        with torch.no_grad():
            y = module.eval()(torch.from_numpy(tokens.astype(np.float32))[None])[0].double().numpy()
        return y / np.linalg.norm(y)

    assert np.abs(found() - right).max() < 1e-5
    for layer in module.modules():
        if isinstance(layer, torch.nn.LayerNorm):
            layer.eps = 1e-6
    assert np.abs(found() - right).max() > 1e-3


def test_the_word_pieces_are_bert_s():
    tokenizer = m2d_clap.word_pieces(30522)
    assert tokenizer.encode("Dog barking can be heard").ids == [101, 3899, 19372, 2064, 2022, 2657, 102]
    with pytest.raises(ExportError, match="expected BERT's 30522 word pieces; found 40"):
        m2d_clap.word_pieces(40)


def test_a_missing_text_tower_is_named(tmp_path, command, monkeypatch):
    monkeypatch.setattr("gst_listen_export.towers.cached", lambda *_: None)
    _, argv = made("m2d-clap-2024", tmp_path, command)
    at = argv.index("--text-tower")
    status, said = command(*argv[:at], *argv[at + 2 :], "-o", tmp_path / "out.pkg")
    assert status == 1 and "thenlper/gte-base" in said and not (tmp_path / "out.pkg").exists()


def test_a_text_tower_of_another_width_is_named(tmp_path, command):
    from cases.m2d_clap import bert
    from weights import save

    _, argv = made("m2d-clap-2024", tmp_path, command)
    save(bert(9, width=32), tmp_path / "tower" / "pytorch_model.bin")
    status, said = command(*argv, "-o", tmp_path / "out.pkg")
    assert status == 1 and "expected a text tower that gives 64 values" in said and "it gives 32" in said, said
