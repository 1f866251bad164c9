"""Writes packages: whole, or not at all."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from gst_listen_export import logmel, sounds
from gst_listen_export.errors import ExportError
from gst_listen_export.frontend import samples_of
from gst_listen_export.room import Scratch, enough_room, full, is_full

# Added to what the caller expects to write: manifest, self-test, file system.
MARGIN = 4 << 20
# Steps of a self-test's samples.
GRID = 1024

# What NTT's weights come under: for internal, non-commercial evaluation; not to be passed on.
NTT_EVALUATION = {"id": "LicenseRef-NTT-Evaluation", "redistributable": False, "commercial_use": False, "accept_required": True}


def licence(terms, checkpoint=None, source_url=None):
    """The manifest's section `license`: `terms` (id and the three flags), where the weights come from, their sha256."""
    block = dict(terms)
    if source_url:
        block["source_url"] = source_url
    if checkpoint is not None:
        block["source_sha256"] = checkpoint.sha256
    return block


def package_id(args, checkpoint_name):
    """`--id`, or the source's name in the letters that an id may have.

    # Errors
    An id of other letters, or too long.
    """
    if args.id is None:
        return re.sub(r"[^a-z0-9._-]+", "-", checkpoint_name.lower()).strip("-")[:64] or "package"
    if not re.fullmatch(r"[a-z0-9._-]{1,64}", args.id):
        raise ExportError(f"--id: expected 1 to 64 of a-z 0-9 . _ -; found {args.id!r}")
    return args.id


class PackageWriter:
    """A package being written, in a hidden folder beside its place; it takes its place when all of it is there.

        with PackageWriter(args, manifest, room=bytes) as package:
            ... write to package.path("encoder.onnx") ...
            package.self_test(clip)

    `manifest` needs no `format`, `version` and `sha256`. Whatever is raised inside, nothing is left behind.
    """

    def __init__(self, args, manifest, room=0):
        self.output, self.replace, self.room = Path(args.output), args.replace, room
        self.manifest = {"format": "audio-embedding-package", "version": 1} | manifest
        if args.description:
            self.manifest["description"] = args.description
        self.licence_file = args.license_file

    def __enter__(self):
        if os.path.lexists(self.output) and not self.replace:
            raise ExportError(f"{self.output}: expected nothing there; it exists. --replace replaces a package")
        if self.output.exists() and not (self.output / "manifest.json").is_file():
            raise ExportError(f"{self.output}: --replace replaces packages; this is none (no manifest.json)")
        parent = self.output.absolute().parent
        if not parent.is_dir():
            raise ExportError(f"{parent}: expected a folder for the package; there is none")
        enough_room(parent, self.room + MARGIN, "the package")
        self.scratch = Scratch(self.output)
        self.folder = self.scratch.folder
        try:
            self.folder.chmod(0o777 & ~umask())
            if self.licence_file:
                shutil.copyfile(self.licence_file, self.path("LICENSE.txt"))
                self.manifest["license"]["file"] = "LICENSE.txt"
        except BaseException as error:
            self._closed(error)
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self._finish()
        except BaseException as late:
            self._closed(late)
            raise
        self._closed(error)
        return False

    def _closed(self, error):
        """# Errors
        What went wrong was a full disk.
        """
        # Measured before what was written is removed, and makes room.
        told = full(self.folder.parent, "the package", self.room + MARGIN) if error is not None and is_full(error) else None
        self.scratch.close()
        if told:
            raise told from None

    def path(self, name):
        """Where a file of the package is to be written."""
        return self.folder / name

    def save_text(self, name, text):
        self.path(name).write_text(text, encoding="utf-8")
        return name

    def save_tensors(self, name, tensors):
        """A safetensors file of NumPy arrays."""
        from safetensors.numpy import save_file

        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, self.path(name))
        return name

    def self_test(self, clip, samples=None, log_mel_max_abs=1e-4, embedding_min_cos=0.9999):
        """Writes `self_test.safetensors` and its section.

        `clip(window)` is the PyTorch model: `[T, F]` float32 as the encoder takes it (normalised; the samples `[N]`
        where the graph takes them) to what `output=clip` gives `[D]`, at unit length where the package has `clap`.
        """
        m = self.manifest
        size, front_end = m["window"]["frames"], m["frontend"]
        in_graph = front_end["kind"] == "in_graph"
        if samples is None:
            samples = sounds.test_sound(m["audio"]["sample_rate"], size if in_graph else samples_of(front_end, size))
        # Of few bits: packages are passed on, and noise does not pack.
        samples = np.round(np.asarray(samples, np.float64) * GRID) / GRID
        tensors, x = {"samples": samples.astype(np.float32)}, condition(samples, m["audio"])
        if not in_graph:
            mel = logmel.log_mel(front_end, x, self.folder)
            tensors["log_mel"] = mel.astype(np.float32)
            x = mel
        seconds = (1 if in_graph else front_end["hop_length"]) / m["audio"]["sample_rate"]
        vector = np.asarray(clip(logmel.normalize(x, m["normalize"], seconds).astype(np.float32)), np.float64)
        if m.get("clap"):
            vector = vector / np.linalg.norm(vector)
        tensors["embedding"] = vector.astype(np.float32)
        self.save_tensors("self_test.safetensors", tensors)
        m["self_test"] = {"file": "self_test.safetensors", "log_mel_max_abs": log_mel_max_abs, "embedding_min_cos": embedding_min_cos}

    def _finish(self):
        files = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        self.manifest["sha256"] = {}
        for name in files:
            self.path(name).chmod(0o666 & ~umask())  # some writers make files for their owner alone
            with self.path(name).open("rb") as file:
                os.fsync(file.fileno())
                self.manifest["sha256"][name] = hashlib.file_digest(file, "sha256").hexdigest()
        with self.path("manifest.json").open("w", encoding="utf-8") as file:
            json.dump(ordered(self.manifest), file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        old = None
        if self.output.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{self.output.name}.old-", dir=self.folder.parent))
            os.replace(self.output, old)
        try:
            os.rename(self.folder, self.output)
        except BaseException:
            if old:
                os.replace(old, self.output)
            raise
        if old:
            shutil.rmtree(old, ignore_errors=True)


ORDER = ("format", "version", "id", "family", "description", "license", "audio", "frontend", "normalize", "window", "streaming", "encoder",
         "frame_embedding", "clip_pooling", "head", "clap", "text", "label_embeddings", "tagger", "captioner", "self_test")


def ordered(manifest):
    """The sections as FORMAT.md has them, what it does not know after them, checksums last."""
    keys = [k for k in ORDER if k in manifest] + [k for k in manifest if k not in ORDER and k != "sha256"] + ["sha256"]
    return {k: manifest[k] for k in keys}


def condition(samples, audio):
    """Samples as the front end gets them: through 16 bits and scaled, where the manifest says so."""
    x = np.asarray(samples, np.float64)
    if audio["int16_roundtrip"]:
        x = np.clip(np.round(x * 32767.0), -32768, 32767) / 32767.0
    return x * audio["pre_scale"]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
