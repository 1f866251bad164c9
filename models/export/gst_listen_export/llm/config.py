"""What a Hugging Face `config.json` says about a decoder-only model, as far as the graph needs it."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ExportError

FAMILIES = ("llama", "qwen2", "qwen3")


class LlmError(ExportError):
    """A folder that cannot be exported: says what was expected and what came."""


@dataclass(frozen=True)
class LlmConfig:
    """Numbers of a decoder of the Llama or Qwen class."""

    family: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    eps: float
    tied: bool
    max_context: int
    inv_freq: np.ndarray
    """Rotary frequencies, radians a position, `[head_dim / 2]`."""
    rotary_scale: float
    """Factor on cosine and sine (1 but for some scalings)."""
    stop_tokens: tuple[int, ...]
    bos: tuple[int, ...]


def read_json(path):
    """A JSON object from a file."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LlmError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise LlmError(f"{path}: expected JSON, {error}") from error
    if not isinstance(value, dict):
        raise LlmError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def read_config(folder):
    """Reads `config.json` and, where it is there, `generation_config.json`."""
    folder = Path(folder)
    raw = read_json(folder / "config.json")
    family = raw.get("model_type")
    if family not in FAMILIES:
        raise LlmError(f"config.json: model_type: expected one of {', '.join(FAMILIES)}, found {family!r}")

    def number(key, default=None):
        value = raw.get(key, default)
        if value is None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise LlmError(f"config.json: {key}: expected a whole number above 0, found {raw.get(key)!r}")
        return value

    hidden, heads = number("hidden_size"), number("num_attention_heads")
    kv_heads = number("num_key_value_heads", heads)
    head_dim = number("head_dim", max(hidden // heads, 1))
    if heads % kv_heads:
        raise LlmError(f"config.json: num_key_value_heads: expected a divisor of {heads}, found {kv_heads}")
    if head_dim % 2:
        raise LlmError(f"config.json: head_dim: expected an even number, found {head_dim}")
    if raw.get("hidden_act", "silu") != "silu":
        raise LlmError(f"config.json: hidden_act: expected 'silu', found {raw['hidden_act']!r}")
    refuse_sliding_window(raw)
    inv_freq, scale = rotary(raw, head_dim)
    stop, bos = special_tokens(folder, raw)
    return LlmConfig(
        family=family, layers=number("num_hidden_layers"), hidden=hidden, intermediate=number("intermediate_size"), heads=heads, kv_heads=kv_heads, head_dim=head_dim,
        vocab=number("vocab_size"), eps=positive(raw, "rms_norm_eps", 1e-6), tied=bool(raw.get("tie_word_embeddings", False)),
        max_context=number("max_position_embeddings", 2048), inv_freq=inv_freq, rotary_scale=scale, stop_tokens=stop, bos=bos)


def positive(raw, key, default=None):
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise LlmError(f"config.json: {key}: expected a number above 0, found {raw.get(key)!r}")
    return float(value)


def refuse_sliding_window(raw):
    """Every layer must attend to the whole past."""
    types = raw.get("layer_types") or []
    if not isinstance(types, list):
        raise LlmError(f"config.json: layer_types: expected a list, found {types!r}")
    if raw.get("use_sliding_window") or any(kind != "full_attention" for kind in types):
        raise LlmError("config.json: expected attention to the whole past in every layer, found a sliding window")


def rotary(raw, head_dim):
    """Rotary frequencies and their factor: `default`, `linear` and `llama3` scalings.

    Older files have `rope_theta` and `rope_scaling`, newer ones both in `rope_parameters`.
    """
    for key in ("rope_parameters", "rope_scaling"):
        if not isinstance(raw.get(key) or {}, dict):
            raise LlmError(f"config.json: {key}: expected an object, found {raw[key]!r}")
    settings = raw.get("rope_parameters") or (raw.get("rope_scaling") or {}) | {"rope_theta": raw.get("rope_theta", 10000.0)}
    theta = positive(settings, "rope_theta", 10000.0)
    if raw.get("partial_rotary_factor", settings.get("partial_rotary_factor", 1)) != 1:
        raise LlmError("config.json: partial_rotary_factor: expected 1, found another")
    inv = theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    kind = settings.get("rope_type", settings.get("type", "default"))
    if kind == "default":
        return inv, 1.0
    factor = positive(settings, "factor")
    if kind == "linear":
        return inv / factor, 1.0
    if kind == "llama3":
        low, high = positive(settings, "low_freq_factor"), positive(settings, "high_freq_factor")
        old = positive(settings, "original_max_position_embeddings")
        wavelength = 2 * np.pi / inv
        # Short waves stay, long ones are stretched, those between go over smoothly.
        smooth = np.clip((old / wavelength - low) / (high - low), 0, 1)
        return (1 - smooth) * inv / factor + smooth * inv, 1.0
    raise LlmError(f"config.json: rope_type: expected default, linear or llama3, found {kind!r}")


def special_tokens(folder, raw):
    """Ids that end a text, and those that begin one."""
    path = folder / "generation_config.json"
    more = read_json(path) if path.exists() else {}

    def ids(key):
        found = more.get(key, raw.get(key))
        found = [] if found is None else found if isinstance(found, list) else [found]
        if not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in found):
            raise LlmError(f"{key}: expected token ids, found {found!r}")
        return tuple(found)

    return ids("eos_token_id"), ids("bos_token_id")
