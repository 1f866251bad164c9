"""Folders as Hugging Face's hub delivers them: a config.json, and a model's tensors in one or several forms."""

import json
from pathlib import Path

from gst_listen_export.errors import ExportError

# Hubs deliver both, with the same tensors in them: the form that can hold no code first.
MODELS = ("model.safetensors", "pytorch_model.bin")


def model_file(folder):
    """The file with the model's tensors; None where the folder has none, or no config.json."""
    if not (folder / "config.json").is_file():
        return None
    return next((file for name in MODELS if (file := folder / name).is_file()), None)


def config(folder, model_type):
    """What `config.json` says, of a model of this type.

    # Errors
    No such file, not a JSON object, another type.
    """
    path = Path(folder) / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"{folder}: expected a config.json beside the model; nothing is there") from None
    except (OSError, ValueError) as error:
        raise ExportError(f"{path}: expected JSON: {error}") from None
    if not isinstance(found, dict):
        raise ExportError(f"{path}: expected a JSON object; found {type(found).__name__}")
    if found.get("model_type") != model_type:
        raise ExportError(f'{path}: expected "model_type": "{model_type}"; found {found.get("model_type")!r}')
    return found


def section(folder, found, key):
    """A section of a config.json that is an object, or is not there.

    # Errors
    It is something else.
    """
    value = found.get(key)
    if value is not None and not isinstance(value, dict):
        raise ExportError(f"{folder}/config.json: {key}: expected an object; found {value!r}")
    return value or {}


def number(folder, found, key, default, kind=int):
    """A number above 0, or `default` where the key is not there.

    # Errors
    It is something else.
    """
    value = found.get(key)
    if value is None:
        return default
    whole = "a whole number" if kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, (int, kind)) or not value > 0:
        raise ExportError(f"{folder}/config.json: {key}: expected {whole} above 0; found {value!r}")
    return value
