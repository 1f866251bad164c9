"""Embeddings on disk: a safetensors file a recording, and `index.json`. models/export/EMBEDDINGS.md describes both.

A file appears whole or not at all: it is written under another name and renamed.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gst_listen_search.errors import SearchError

FORMAT, VERSION = "gst-listen-embeddings", "1"
INDEX_FORMAT = "gst-listen-index"
PARTIAL = ".partial-"
KEYS = {"format", "version", "space", "package", "recording", "size", "mtime_ns", "encoder", "output", "step_ns"}


@dataclass(frozen=True)
class Recording:
    """What a file of embeddings says of itself."""

    recording: str
    space: str
    package: str
    size: int
    mtime_ns: int
    encoder: str
    output: str
    step_ns: int

    def metadata(self):
        return {"format": FORMAT, "version": VERSION} | {k: str(v) for k, v in vars(self).items()}


def place(folder, recording):
    """The file of a recording, which is named by its path below the folder of recordings."""
    return Path(folder) / f"{hashlib.sha256(recording.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.safetensors"


def write(folder, about, times, vectors):
    """Writes a recording's embeddings: `times` [N, 2] in ns of stream time, `vectors` [N, D]."""
    path = place(folder, about.recording)
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    tensors = {"embeddings": np.ascontiguousarray(vectors, np.float32), "start": np.ascontiguousarray(times[:, 0], np.int64),
               "end": np.ascontiguousarray(times[:, 1], np.int64)}
    try:
        save_file(tensors, partial, metadata=about.metadata())
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except SafetensorError as error:  # in which the writer wraps what the system says, as of a disk that is full
        raise SearchError(f"{path}: expected to write {sum(t.nbytes for t in tensors.values()) / 1e6:.1f} MB; {shutil.disk_usage(folder).free / 1e6:.1f} MB "
                          f"are free there: {error}") from None
    finally:
        partial.unlink(missing_ok=True)


def about(path):
    """# Errors
    The file is none of embeddings.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            told, names = file.metadata() or {}, set(file.keys())
    except (SafetensorError, OSError) as error:
        raise SearchError(f"{path}: expected a safetensors file of embeddings: {error}") from None
    if (told.get("format"), told.get("version")) != (FORMAT, VERSION) or not told.keys() >= KEYS or not names >= {"embeddings", "start", "end"}:
        raise SearchError(f"{path}: expected {FORMAT} version {VERSION} with embeddings, start, end; found {told.get('format', 'no format')} "
                          f"version {told.get('version', 'none')} with {', '.join(sorted(names)) or 'no tensor'}")
    try:
        numbers = {k: int(told[k]) for k in ("size", "mtime_ns", "step_ns")}
    except ValueError as error:
        raise SearchError(f"{path}: expected whole numbers of size, mtime_ns, step_ns: {error}") from None
    return Recording(**{k: told[k] for k in ("recording", "space", "package", "encoder", "output")}, **numbers)


def read(path):
    """`(times [N, 2] ns, vectors [N, D])`.

    # Errors
    Tensors that do not fit together, or hold what is no number.
    """
    with safe_open(path, framework="numpy") as file:
        vectors, start, end = (file.get_tensor(k) for k in ("embeddings", "start", "end"))
    if vectors.ndim != 2 or start.shape != (len(vectors),) or end.shape != start.shape:
        raise SearchError(f"{path}: expected embeddings [N, D], start [N], end [N]; found {list(vectors.shape)}, {list(start.shape)}, {list(end.shape)}")
    if not np.isfinite(vectors).all() or (end < start).any():
        raise SearchError(f"{path}: expected finite embeddings and ends behind their starts")
    return np.stack([start, end], axis=1), vectors


def files(folder):
    """The files of embeddings in a folder; leftovers of an interrupted write are none."""
    return sorted(p for p in Path(folder).glob("*.safetensors") if not p.name.startswith("."))


def tidy(folder):
    """Removes what interrupted writes left, of processes that are gone."""
    for path in Path(folder).glob(f"{PARTIAL}*"):
        pid = path.name[len(PARTIAL) :].split("-")[0]
        if not (pid.isdecimal() and Path(f"/proc/{pid}").exists()):
            path.unlink(missing_ok=True)


def write_index(folder, told):
    path = Path(folder) / "index.json"
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-index.json")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump({"format": INDEX_FORMAT, "version": 1} | told, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_index(folder):
    """# Errors
    There is no index in the folder, or of another format.
    """
    path = Path(folder) / "index.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found = (told["format"], told["version"])
        expected = all(isinstance(told[k], str) for k in ("folder", "model", "space", "encoder"))
    except (FileNotFoundError, NotADirectoryError):
        raise SearchError(f"{folder}: expected an index; there is no index.json (gst-listen-search index FOLDER --model PACKAGE -o {folder})") from None
    except (ValueError, KeyError, TypeError):
        raise SearchError(f"{path}: expected the JSON of an index, with folder, model, space, encoder") from None
    if found != (INDEX_FORMAT, 1) or not expected:
        raise SearchError(f"{path}: expected {INDEX_FORMAT} version 1; found {found}")
    return told
