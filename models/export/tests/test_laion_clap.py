"""LAION-CLAP: the text tower against NumPy float64, and what is refused."""
import json
from pathlib import Path

import numpy as np
import pytest
from packed import packages

FIXTURES = packages()


@pytest.fixture
def case():
    from cases import laion_clap

    return laion_clap


def refusal(source, *arguments):
    from gst_listen_export.cli import main as export

    with pytest.raises(SystemExit) as end:
        export(["laion-clap", str(source), "-o", str(Path(source).parent / "out.pkg"), *arguments])
    assert not (Path(source).parent / "out.pkg").exists()
    return str(end.value.code)


def test_texts_are_those_of_float64(case, tmp_path):
    from tokenizers import Tokenizer

    from gst_listen_export.onnx_export import open_session

    package, expected = FIXTURES / "laion-clap", case.texts(case.weights(), tmp_path)
    words, session = Tokenizer.from_file(str(package / "tokenizer.json")), open_session(package / "text.onnx")
    for sentence, vector in zip(case.SENTENCES, expected, strict=True):
        ids = np.array([words.encode(sentence).ids], np.int64)
        padded = np.pad(ids, ((0, 0), (0, 3)), constant_values=1)
        for given in (ids, padded):
            found = session.run(None, {"input_ids": given, "attention_mask": (given != 1).astype(np.int64)})[0][0]
            assert np.abs(found / np.linalg.norm(found) - vector).max() < 2e-6  # eps of 1e-12 instead of 1e-5 is 8e-6 away
    manifest = json.loads((package / "manifest.json").read_text())
    assert manifest["clap"]["logit_scale"] == pytest.approx(np.exp(2.6592), rel=1e-6)


def test_what_is_wrong_is_named(case, tmp_path):
    from texts import byte_tokenizer
    from weights import save

    w = case.weights()
    tower = ["--text-tower", str(tmp_path / "roberta")]
    byte_tokenizer(tmp_path / "roberta" / "tokenizer.json", case.WORDS)
    cases = [
        (w | {"audio_branch.patch_embed.mel_conv2d.weight": np.zeros(3)}, "expected an unfused LAION-CLAP; found a fused one"),
        (w | {"audio_branch.logmel_extractor.melW": 2 * w["audio_branch.logmel_extractor.melW"]}, "its filterbank differs"),
        (w | {"audio_projection.2.weight": np.zeros((4, 12))}, "audio_projection.2.weight must be [12, 12] and is [4, 12]"),
        (w | {"something.else": np.zeros(3)}, "unknown: something.else [3]"),
        ({k: v for k, v in w.items() if k != "text_branch.pooler.dense.bias"}, "text_branch.pooler.dense.bias [32]"),
    ]
    for wrong, message in cases:
        assert message in refusal(save(wrong, tmp_path / "wrong.pt", wrap="state_dict", prefix="module."), *tower)
    good = save(w, tmp_path / "good.pt", wrap="state_dict", prefix="module.")
    assert "--seconds: expected" in refusal(good, *tower, "--seconds", "10")
    few = {k: v[:20] if k == "text_branch.embeddings.word_embeddings.weight" else v for k, v in w.items()}
    assert "of at most 20 tokens; found one of" in refusal(save(few, tmp_path / "few.pt", wrap="state_dict"), *tower, "--seconds", "0.5")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text('{"model_type": "bert"}')
    assert "\"model_type\": \"clap\"; found 'bert'" in refusal(tmp_path / "folder")
