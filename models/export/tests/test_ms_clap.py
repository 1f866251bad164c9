"""MS-CLAP 2023: the text tower against NumPy float64, the checkpoint's filterbank, and what is refused."""
import json

import numpy as np
import pytest
from extras import needed
from packed import packages
from safetensors.numpy import load_file
from texts import byte_tokenizer
from weights import save

FIXTURE = packages() / "ms-clap"
HTSAT = "audio_encoder.base.htsat."


@pytest.fixture
def case():
    from cases import ms_clap

    return ms_clap


@pytest.fixture
def export(case, command, tmp_path):
    """Exports a checkpoint of weights; `(status, what was said, the package)`."""
    byte_tokenizer(tmp_path / "gpt2" / "tokenizer.json", case.WORDS, style="gpt2")

    def run(weights, *more, tower="gpt2", seconds=case.SECONDS):
        source, out = save(weights, tmp_path / "CLAP_weights_2023.pth", wrap="model"), tmp_path / "out"
        status, said = command("ms-clap", source, "-o", out, "--text-tower", tmp_path / tower, "--seconds", seconds, *more)
        assert status == 0 or not out.exists()
        return status, said, out

    return run


def test_texts_are_those_of_float64_however_they_are_padded(case, tmp_path):
    from tokenizers import Tokenizer

    from gst_listen_export.onnx_export import open_session

    manifest = json.loads((FIXTURE / "manifest.json").read_text())
    text, expected = manifest["text"], case.texts(case.weights(), tmp_path)
    assert (text["append"], text["pad"], text["pad_id"], text["max_length"]) == (" <|endoftext|>", "max_length", 0, case.PLACES)
    words, session = Tokenizer.from_file(str(FIXTURE / text["tokenizer"])), open_session(FIXTURE / text["file"])
    for sentence, vector in zip(case.SENTENCES, expected, strict=True):
        ids = np.array([words.encode(sentence + text["append"]).ids], np.int64)
        assert ids[0, -1] == words.token_to_id("<|endoftext|>")
        for given in (ids, np.pad(ids, ((0, 0), (0, text["max_length"] - ids.shape[1])))):
            found = session.run(None, {"input_ids": given})[0][0]
            assert np.abs(found / np.linalg.norm(found) - vector).max() < 2e-6
    assert manifest["clap"]["logit_scale"] == pytest.approx(np.exp(3.2), rel=1e-6)
    assert manifest["clap"]["prompt_templates"] == ["this is the sound of {}"]


def test_a_text_without_its_end_is_another_vector(case, tmp_path):
    """A guard: the vector is that of the last token, which must be the one that ends a text."""
    from truth import htsat as truth

    w, words = case.weights(), byte_tokenizer(tmp_path / "t.json", case.WORDS, style="gpt2")
    vectors = [truth.ms_projection(w, "caption_encoder.projection.", truth.gpt2(w, "caption_encoder.base.", words.encode(text).ids, 1))
               for text in ("rain", "rain <|endoftext|>")]
    a, b = (v / np.linalg.norm(v) for v in vectors)
    assert a @ b < 0.99


def test_the_filterbank_is_the_checkpoints_and_no_formulas(case):
    from gst_listen_export import logmel

    front_end = json.loads((FIXTURE / "manifest.json").read_text())["frontend"]
    bank = load_file(FIXTURE / front_end["filterbank"])["filterbank"]
    assert np.array_equal(bank, case.weights()[f"{HTSAT}logmel_extractor.melW"].T)
    formula = logmel.filterbank({k: v for k, v in front_end.items() if k != "filterbank"})
    assert np.abs(bank - formula).max() > 0.1 * formula.max()
    test = load_file(FIXTURE / "self_test.safetensors")
    found = logmel.log_mel(front_end, test["samples"], FIXTURE)
    assert np.abs(found - test["log_mel"]).max() < 1e-5 < np.abs(logmel.log_mel(front_end | {"filterbank": None}, test["samples"]) - found).max()


def test_verify_agrees_and_inspect_explains(command, case, tmp_path):
    assert command("verify", FIXTURE)[0] == 0
    status, said = command("inspect", FIXTURE)
    assert status == 0 and "FAULT" not in said and "is filled with the sound itself, the last time as much of it as fits" in said and "the model's own (filterbank.safetensors)" in said
    status, said = command("inspect", save(case.weights(), tmp_path / "CLAP_weights_2023.pth", wrap="model"))
    assert status == 0 and "ms-clap: MS-CLAP 2023, 12 values" in said, said


def test_what_is_wrong_is_named(case, export, tmp_path):
    w = case.weights()
    mel, real = f"{HTSAT}logmel_extractor.melW", f"{HTSAT}spectrogram_extractor.stft.conv_real.weight"
    cases = [
        ({k: v for k, v in w.items() if k != mel}, f"no tensor {mel}"),
        (w | {mel: -w[mel]}, "expected weights of at least 0"),
        (w | {mel: w[mel][:, :60]}, f"expected a filterbank of 64 bands, as {HTSAT}bn0 has; found 60"),
        (w | {real: np.roll(w[real], 1, axis=2)}, "expected the transform of a periodic Hann window of 1024 samples"),
        (w | {"caption_encoder.projection.linear2.weight": np.zeros((4, 12))}, "caption_encoder.projection.linear2.weight must be [12, 12] and is [4, 12]"),
        (w | {"gpt.something": np.zeros(3)}, "unknown: gpt.something [3]"),
        ({k: v for k, v in w.items() if k != "logit_scale"}, "logit_scale"),
        ({"audio_encoder.base.conv_block1.conv1.weight": np.zeros(3)}, "found the model of 2022"),
    ]
    for wrong, message in cases:
        status, said, _ = export(wrong)
        assert status == 1 and message in said, said
    assert "--seconds: expected" in export(w, seconds="7")[1]
    byte_tokenizer(tmp_path / "roberta" / "tokenizer.json", case.WORDS)
    assert "expected GPT-2's tokenizer, with `!` as id 0" in export(w, tower="roberta")[1]


def test_reduced_precisions_pass_their_bar(case, export):
    status, said, out = export(case.weights(), "--precision", "fp16,int8")
    assert status == 0, said
    graphs = json.loads((out / "manifest.json").read_text())["encoder"]["graphs"]
    assert all(graphs[p]["cosine"] >= 0.995 for p in ("fp16", "int8")) and "max_batch" not in graphs["int8"]


def test_gpt2_of_several_heads_is_that_of_transformers():
    transformers = needed("transformers")
    import torch

    from gst_listen_export.nets.gpt2 import Gpt2, shapes
    from truth.htsat import gpt2

    torch.manual_seed(5)
    model = transformers.GPT2Model(transformers.GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=4)).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.3)
        weights = {name: model.state_dict()[name] for name in shapes(32, 2, 50, 16)}
        ids = torch.randint(1, 50, (2, 9))
        ids[1, 6:] = 0
        found = Gpt2(weights, 4)(ids)
        expected = model(input_ids=ids).last_hidden_state[[0, 1], [8, 5]]
    assert (found - expected).abs().max() < 1e-4
    plain = {k: v.numpy() for k, v in weights.items()}
    assert np.abs(gpt2(plain, "", ids[1, :6].tolist(), 4) - expected[1].numpy()).max() < 1e-4
