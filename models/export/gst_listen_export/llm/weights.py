"""A folder's tensors: read from `model.safetensors` or its shards, checked by name and shape, never executed."""

import json
import operator
from pathlib import Path

import numpy as np

from .config import LlmError, read_json

KINDS = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
MAX_HEADER = 100 << 20
IGNORED = ("rotary_emb.inv_freq", "attention.bias", "masked_bias")
"""Endings of names that hold no weights: old files keep tables there."""


class Weights:
    """The tensors of a folder, mapped from its files; each is read when it is asked for."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.places = {}
        for name in self.files():
            self.open(self.folder / name)
        self.taken = set()

    @classmethod
    def of_file(cls, path):
        """The tensors of one safetensors file."""
        weights = cls.__new__(cls)
        weights.folder, weights.places, weights.taken = Path(path).parent, {}, set()
        weights.open(Path(path))
        return weights

    def files(self):
        index = self.folder / "model.safetensors.index.json"
        if index.exists():
            table = read_json(index).get("weight_map")
            if not isinstance(table, dict) or not table:
                raise LlmError(f"{index.name}: weight_map: expected tensor names and files, found {type(table).__name__}")
            names = sorted(set(table.values()))
            if bad := [n for n in names if not isinstance(n, str) or Path(n).name != n]:
                raise LlmError(f"{index.name}: expected file names without folders, found {bad[0]!r}")
            return names
        if (self.folder / "model.safetensors").exists():
            return ["model.safetensors"]
        found = ", ".join(sorted(p.name for p in self.folder.glob("*")))[:300] if self.folder.is_dir() else "no folder"
        raise LlmError(
            f"{self.folder}: expected model.safetensors or model.safetensors.index.json, found {found or 'nothing'}"
            " (pickled pytorch_model.bin files are not read: save the model as safetensors)")

    def open(self, path):
        try:
            data = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError) as error:
            raise LlmError(f"{path}: {error}") from error
        length = int.from_bytes(data[:8].tobytes(), "little")
        if len(data) < 8 or length > min(MAX_HEADER, len(data) - 8):
            raise LlmError(f"{path.name}: expected a safetensors header within {len(data)} bytes, found one of {length}")
        try:
            header = json.loads(data[8 : 8 + length].tobytes())
        except ValueError as error:
            raise LlmError(f"{path.name}: expected a JSON header, {error}") from error
        if not isinstance(header, dict):
            raise LlmError(f"{path.name}: expected a JSON object as header, found {type(header).__name__}")
        header.pop("__metadata__", None)
        for name, entry in header.items():
            try:
                kind, shape, (begin, end) = entry["dtype"], tuple(map(operator.index, entry["shape"])), map(operator.index, entry["data_offsets"])
            except (KeyError, TypeError, ValueError):
                raise LlmError(f"{path.name}: {name}: expected dtype, shape and data_offsets, found {json.dumps(entry)[:100]}") from None
            if kind not in KINDS:
                raise LlmError(f"{path.name}: {name}: expected F32, F16 or BF16, found {kind}")
            size = int(np.prod(shape, dtype=np.int64)) * KINDS[kind].itemsize
            if not 0 <= begin <= end <= len(data) - 8 - length or end - begin != size:
                raise LlmError(f"{path.name}: {name}: expected {size} bytes, found {begin} to {end} of {len(data) - 8 - length}")
            if name in self.places:
                raise LlmError(f"{path.name}: {name}: found in two files")
            self.places[name] = (data, 8 + length + begin, 8 + length + end, kind, shape)

    def __contains__(self, name):
        return name in self.places

    def room(self, value=4):
        """Bytes that the tensors take in graphs, `value` for each number; the largest twice, as a tied embedding stands in two graphs."""
        sizes = [value * int(np.prod(place[4], dtype=np.int64)) for place in self.places.values()]
        return sum(sizes) + max(sizes, default=0)

    def take(self, name, shape):
        """A tensor as float32; its shape must be `shape`."""
        if name not in self.places:
            raise LlmError(f"expected the tensor {name} {list(shape)}, found none")
        data, begin, end, kind, found = self.places[name]
        if found != tuple(shape):
            raise LlmError(f"{name}: expected the shape {list(shape)}, found {list(found)}")
        self.taken.add(name)
        values = data[begin:end].view(KINDS[kind]).reshape(found)
        if kind == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise LlmError(f"{name}: expected finite values, found one that is not")
        return values

    def finish(self):
        """Whatever was not taken is unknown, and an error."""
        rest = sorted(n for n in self.places if n not in self.taken and not n.endswith(IGNORED))
        if rest:
            raise LlmError(f"expected no other tensors than a decoder's, found {len(rest)} unknown: {', '.join(rest[:4])}")
