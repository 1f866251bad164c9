"""Decoders of the Llama and Qwen classes: our graphs against `transformers`, token for token, step by step with a cache."""

import json

import numpy as np
import pytest
from extras import needed

from gst_listen_export.errors import ExportError
from gst_listen_export.llm.config import read_config
from gst_listen_export.llm.decoder import decoder_graph, embed_graph
from gst_listen_export.llm.template import chat_template
from gst_listen_export.llm.weights import Weights

transformers = needed("transformers")
SIZES = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.3}
SCALED = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
MODELS = {"llama": ("Llama", {}), "llama3": ("Llama", {"rope_parameters": SCALED}), "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
          "qwen3": ("Qwen3", {"head_dim": 16})}


def tiny(kind, folder):
    """A tiny random model of `transformers`, saved as its users have it."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(3)
    name, more = MODELS[kind]
    config = getattr(transformers, f"{name}Config")(**SIZES | more)
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "norm" in key or "bias" in key:
                value.add_(torch.randn_like(value) * 0.2)
    model.save_pretrained(folder)
    return model


def graphs(folder):
    import onnxruntime

    config, weights = read_config(folder), Weights(folder)
    embed_graph(config, weights).save(folder / "embed_tokens.onnx")
    decoder_graph(config, weights).save(folder / "decoder.onnx")
    weights.finish()
    return config, *(onnxruntime.InferenceSession(str(folder / f"{n}.onnx")) for n in ("embed_tokens", "decoder"))


@pytest.mark.parametrize("kind", MODELS)
def test_greedy_decoding_gives_the_tokens_of_transformers(kind, tmp_path):
    import torch

    model = tiny(kind, tmp_path)
    config, embed, decoder = graphs(tmp_path)
    prefix, ids = torch.randn(2, 3, 32), torch.randint(0, 96, (2, 5))
    x = torch.cat([prefix, model.model.embed_tokens(ids)], 1).detach()
    with torch.no_grad():
        expected = model(inputs_embeds=x).logits.numpy()
        tokens = model.generate(inputs_embeds=x, max_new_tokens=20, do_sample=False, eos_token_id=None, pad_token_id=0).numpy()
    assert len(set(tokens[0])) > 5  # a sequence that could go wrong
    x = np.concatenate([prefix.numpy(), embed.run(None, {"input_ids": ids.numpy()})[0]], 1)
    past, at, out = [np.zeros((2, 2, 0, config.head_dim), np.float32)] * 4, 0, []
    for step in range(20):
        n = x.shape[1]
        feed = {"inputs_embeds": x, "attention_mask": np.ones((2, at + n), np.int64), "position_ids": np.arange(at, at + n)[None].repeat(2, 0)}
        for i in range(2):
            feed[f"past_key_values.{i}.key"], feed[f"past_key_values.{i}.value"] = past[2 * i], past[2 * i + 1]
        logits, *past = decoder.run(None, feed)
        if step == 0:
            assert np.abs(logits - expected).max() < 1e-4
        at += n
        out.append(logits[:, -1].argmax(-1))
        x = embed.run(None, {"input_ids": out[-1][:, None]})[0]
    assert (np.stack(out, 1) == tokens).all()


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(("values", "message"), [
    ({"model_type": "gpt2"}, "model_type: expected one of llama, qwen2, qwen3, found 'gpt2'"),
    ({"num_key_value_heads": 3}, "num_key_value_heads: expected a divisor of 4, found 3"),
    ({"hidden_size": 64}, r"model.embed_tokens.weight: expected the shape \[96, 64\], found \[96, 32\]"),
    ({"num_hidden_layers": 3}, "expected the tensor model.layers.2"),
    ({"num_hidden_layers": 1}, "found 9 unknown: model.layers.1"),
    ({"layer_types": ["sliding_attention"]}, "found a sliding window"),
    ({"layer_types": 3}, "layer_types: expected a list, found 3"),
    ({"rope_parameters": 3}, "rope_parameters: expected an object, found 3"),
    ({"rope_scaling": [1]}, r"rope_scaling: expected an object, found \[1\]"),
])
def test_what_does_not_fit_is_named(values, message, tmp_path):
    tiny("llama", tmp_path)
    change(tmp_path, **values)
    with pytest.raises(ExportError, match=message):
        graphs(tmp_path)


@pytest.mark.parametrize("header", [[], {"a": 3}, {"a": {"dtype": "F32", "shape": 3, "data_offsets": [0, 4]}},
                                    {"a": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}, {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}])
def test_a_header_of_another_form_is_named(header, tmp_path):
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(ExportError, match="model.safetensors: .*expected"):
        Weights(tmp_path)


def test_a_folder_without_safetensors_is_named(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ExportError, match="found pytorch_model.bin"):
        Weights(tmp_path)


CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
# As Llama 3's: a token that begins, a date, headers, trimmed texts.
HEADERS = """{{- bos_token }}
{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- endif %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
{%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""
# As Qwen 3's: thinking that can be switched off, a loop that is left.
THINKING = """{%- if tools %}{{- tools | tojson }}{%- endif %}{%- for m in messages[::-1] %}{%- if m.role == 'user' %}{%- break %}{%- endif %}{%- endfor %}
{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"""
# As Mistral's first: no system message.
NO_SYSTEM = """{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"""


@pytest.mark.parametrize(("source", "expected"), [
    (CHATML, "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{audio}{prompt}<|im_end|>\n<|im_start|>assistant\n"),
    (HEADERS, "<s><|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{audio}{prompt}<|eot_id|>"
              "<|start_header_id|>assistant<|end_header_id|>\n\n"),
    (THINKING, "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{audio}{prompt}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"),
    (NO_SYSTEM, "<s>[INST] {audio}{prompt} [/INST]"),
], ids=["chatml", "headers", "thinking", "no-system"])
def test_a_chat_format_becomes_a_template_as_transformers_renders_it(source, expected, tmp_path):
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"<s>": 0, "a": 1}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": {"content": "<s>"}, "chat_template": source}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    found = chat_template(tmp_path, hears=True)
    assert found == expected
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), bos_token="<s>", chat_template=source)
    system = [{"role": "system", "content": "Be brief."}] if "{system}" in found else []
    messages = [*system, {"role": "user", "content": "What?"}]
    rendered = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert found.replace("{system}", "Be brief.").replace("{audio}{prompt}", "What?") == rendered
    assert chat_template(tmp_path, hears=False) == expected.replace("{audio}", "")


@pytest.mark.parametrize(("source", "message"), [
    ("{% for m in messages %}{{ m.content }}", "expected one that renders"),
    ("{{ raise_exception('no') }}", "the folder's chat template says: no"),
    ("{{ ''.__class__.__mro__ }}", "expected one that renders"),
    ("hello", "expected {audio} once, found it 0 times"),
])
def test_a_chat_format_that_gives_no_template_is_named_and_runs_nothing(source, message, tmp_path):
    (tmp_path / "chat_template.jinja").write_text(source)
    with pytest.raises(ExportError, match=message):
        chat_template(tmp_path, hears=True)
