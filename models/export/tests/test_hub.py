"""Folders as Hugging Face's hub delivers them, with the same tensors in two forms; their config.json and tokenizers."""

import json
import shutil

import pytest
import torch
from extras import needed
from safetensors.torch import load_file, save_file
from texts import byte_tokenizer, word_pieces

from gst_listen_export import towers
from gst_listen_export.errors import ExportError

needed("transformers")
SHORT = ("--seconds", "0.52")


@pytest.fixture
def folder(tmp_path):
    """A ClapModel's folder with model.safetensors and pytorch_model.bin."""
    from cases.laion_clap import hugging_face

    made = hugging_face(tmp_path)
    torch.save(load_file(made / "model.safetensors"), made / "pytorch_model.bin")
    return made


def spoiled(folder, name):
    """A word's vector of one of the two files doubled, so that it can be told which was read."""
    tensors = load_file(folder / "model.safetensors")
    tensors["text_model.embeddings.word_embeddings.weight"] *= 2
    if name == "model.safetensors":
        save_file(tensors, folder / name, {"format": "pt"})
    else:
        torch.save(tensors, folder / name)


def vectors(package):
    import onnx
    from onnx import numpy_helper

    found = [numpy_helper.to_array(i) for i in onnx.load(package / "text.onnx").graph.initializer]
    return max((x for x in found if x.shape == (60, 32)), key=lambda x: abs(x).max())


def test_a_folder_with_both_forms_is_read_and_each_form_by_its_name(command, folder, tmp_path):
    from gst_listen_export.checkpoint import sha256

    spoiled(folder, "pytorch_model.bin")
    made = {}
    for name in ("", "model.safetensors", "pytorch_model.bin"):
        out = tmp_path / f"out-{name}"
        status, said = command("laion-clap", folder / name, "-o", out, *SHORT)
        assert status == 0, said
        made[name] = (
            json.loads((out / "manifest.json").read_text())["license"]["source_sha256"],
            abs(vectors(out)).max(),
        )
    assert made[""] == made["model.safetensors"] and made[""][0] == sha256(folder / "model.safetensors")
    assert (
        made["pytorch_model.bin"][0] == sha256(folder / "pytorch_model.bin")
        and made["pytorch_model.bin"][1] == 2 * made[""][1]
    )


def test_inspect_reads_such_a_folder_too(command, folder):
    status, said = command("inspect", folder)
    assert status == 0 and "model.safetensors: a checkpoint with" in said and "LAION-CLAP, unfused" in said, said
    assert command("inspect", folder / "pytorch_model.bin")[0] == 0


def test_a_file_without_its_config_says_what_is_missing(command, folder, tmp_path):
    shutil.copy(folder / "model.safetensors", tmp_path / "alone.safetensors")
    status, said = command("laion-clap", tmp_path / "alone.safetensors", "-o", tmp_path / "p", *SHORT)
    assert status == 1 and "expected a config.json beside it" in said, said


def test_half_precision_is_read(command, folder, tmp_path):
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    status, said = command("laion-clap", folder, "-o", tmp_path / "p", *SHORT)
    assert status == 0, said


def test_tensors_of_another_kind_are_refused(command, folder, tmp_path):
    tensors = load_file(folder / "model.safetensors")
    tensors["text_projection.linear1.weight"] = tensors["text_projection.linear1.weight"].to(torch.int8)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    status, said = command("laion-clap", folder, "-o", tmp_path / "p", *SHORT)
    assert (
        status == 1 and "text_projection.linear1.weight is int8" in said and "expected dense tensors of float16" in said
    ), said


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: [], "expected a JSON object; found list"),
        (lambda c: c | {"audio_config": 3}, "audio_config: expected an object; found 3"),
        (lambda c: c | {"text_config": "x"}, "text_config: expected an object; found 'x'"),
        (lambda c: c | {"audio_config": c["audio_config"] | {"patch_stride": 8}}, "config.json: "),
        (lambda c: c | {"audio_config": c["audio_config"] | {"depths": "many"}}, "config.json: "),
        (lambda c: c | {"text_config": c["text_config"] | {"hidden_size": -4}}, "config.json: "),
        (lambda c: c | {"text_config": c["text_config"] | {"num_attention_heads": [2]}}, "config.json: "),
        (lambda c: c | {"text_config": c["text_config"] | {"layer_norm_eps": "small"}}, "config.json: "),
        (lambda c: c | {"model_type": "bert"}, '"model_type": "clap"; found \'bert\''),
    ],
)
def test_a_config_of_another_form_is_refused(command, folder, tmp_path, change, words):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(change(config)))
    status, said = command("laion-clap", folder, "-o", tmp_path / "p", *SHORT)
    assert status == 1 and "expected" in said and words in said and not (tmp_path / "p").exists(), said
    assert command("inspect", folder)[0] == 0


def test_a_bert_s_config_of_another_form_is_refused(command, tmp_path):
    from cases.m2d_clap import CASES

    case = CASES[0]
    source, arguments = case.checkpoint(tmp_path), case.arguments(tmp_path)
    for text, words in (
        ("[]", "expected a JSON object"),
        (
            '{"model_type": "bert", "num_attention_heads": "four"}',
            "num_attention_heads: expected a whole number above 0; found 'four'",
        ),
        ('{"model_type": "bert", "layer_norm_eps": {}}', "layer_norm_eps: expected a number above 0; found {}"),
        ('{"model_type": "bert", "num_attention_heads": 0}', "found 0"),
        ("\x00", "expected JSON"),
    ):
        (tmp_path / "tower/config.json").write_text(text)
        status, said = command(arguments[0], source, "-o", tmp_path / "p", *arguments[1:])
        assert status == 1 and words in said and "tower/config.json" in said, said


def tokenizers(folder):
    """A tokenizer of each form."""
    return {
        "roberta": byte_tokenizer(folder / "roberta/tokenizer.json", 60),
        "gpt2": byte_tokenizer(folder / "gpt2/tokenizer.json", 60, style="gpt2"),
        "bert": word_pieces(folder / "bert/tokenizer.json", 60),
    }


def test_another_network_s_tokenizer_is_refused(tmp_path):
    """All of them have ids that the tower has."""
    from gst_listen_export.families.m2d_clap import ENDS, SPECIAL

    forms = {"roberta": ({"<s>": 0, "<pad>": 1, "</s>": 2}, ("<s>", "</s>")), "bert": (SPECIAL, ENDS)}
    for kind in tokenizers(tmp_path):
        for wanted, (special, ends) in forms.items():
            ask = lambda k=kind, s=special, e=ends: towers.tokenizer(tmp_path / k, (), 60, 1, "this tower", s, e)
            if kind == wanted:
                assert ask().encode("a").tokens[0] == ends[0]
                continue
            with pytest.raises(ExportError, match="expected the tokenizer of this tower, with .*; found one with no "):
                ask()


def test_a_tokenizer_that_puts_nothing_around_a_text_is_refused(tmp_path):
    from tokenizers import processors

    made = tokenizers(tmp_path)["roberta"]
    made.post_processor = processors.ByteLevel()
    made.save(str(tmp_path / "roberta/tokenizer.json"))
    with pytest.raises(ExportError, match="writes <s> before a text and </s> behind it; found one that makes a of"):
        towers.tokenizer(tmp_path / "roberta", (), 60, 1, "this tower", {"<s>": 0}, ("<s>", "</s>"))


def test_laion_s_own_file_wants_roberta_s_words(command, tmp_path):
    from cases import laion_clap as case

    source = case.pt(tmp_path)
    byte_tokenizer(tmp_path / "gpt2/tokenizer.json", case.WORDS, style="gpt2")
    status, said = command("laion-clap", source, "-o", tmp_path / "p", *SHORT, "--text-tower", tmp_path / "gpt2")
    assert status == 1 and "with <s> as id 0, <pad> as id 1, </s> as id 2; found one with no <s>" in said, said
