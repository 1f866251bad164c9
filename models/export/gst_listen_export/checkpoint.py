"""Checkpoints as users have them, read without running anything that is in them.

`read` takes a `.pth`/`.pt`/`.ckpt` (PyTorch's zip or old form), a `.safetensors`, a folder that holds one of them, or
a `.zip` of such a folder. Tensors alone are unpickled (`weights_only`); a pickle that names code is refused by name.
"""

import argparse
import fnmatch
import hashlib
import pickle
import shutil
import tempfile
import warnings
import zipfile
import zlib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from gst_listen_export import hub, pickles
from gst_listen_export.errors import ExportError
from gst_listen_export.room import enough_room, full, is_full

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")
# What checkpoints hold beside tensors and is data alone.
ALLOWED = [argparse.Namespace]
# Where training programs put the state dict.
STATE_KEYS = ("model", "state_dict")
# What weights are stored as.
FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass
class Checkpoint:
    """What was read: `tensors` by name (torch, as stored), and whatever else stood beside the state dict in `other`."""

    path: Path  # the file itself
    name: str  # of the folder or archive that held it, or of the file without its suffix: holds M2D's geometry
    sha256: str
    tensors: dict
    other: dict = field(default_factory=dict)
    ignored: tuple = ()  # patterns of names that the user says may be left out

    def stripped(self, prefix):
        """Only the tensors whose name begins with `prefix`, without it; all of them if none does."""
        inside = {k[len(prefix):]: v for k, v in self.tensors.items() if k.startswith(prefix)}
        return Checkpoint(self.path, self.name, self.sha256, inside or self.tensors, self.other, self.ignored)

    def under(self, prefix):
        """The tensors whose name begins with `prefix`, without it; none if none does."""
        return {k[len(prefix):]: v for k, v in self.tensors.items() if k.startswith(prefix)}

    def shape(self, key, *dims):
        """The shape of a tensor that says what size the model is. `dims`: an int, or a name for a size that is free.

        # Errors
        The tensor is not there, or has another shape.
        """
        if key not in self.tensors:
            near = [k for k in self.tensors if k.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]][:4]
            here = f"; it has {len(self.tensors)} tensors" + (f", such as {', '.join(near)}" if near else "")
            raise ExportError(f"{self.path}: no tensor {key}, which this family has{here}. "
                              "gst-listen-export inspect says what it is")
        found = tuple(self.tensors[key].shape)
        fits = len(found) == len(dims) and all(isinstance(d, str) or d == f for d, f in zip(dims, found, strict=True))
        if not fits:
            raise ExportError(f"{self.path}: tensor {key} must be [{', '.join(map(str, dims))}] and is {list(found)}")
        return found

    def numbers(self, key):
        """A tensor that is there, in float64.

        # Errors
        It is not dense, or holds something else than floating-point numbers.
        """
        dense(self.path, {key: self.tensors[key]})
        return self.tensors[key].detach().double()


def training_only():
    """The committed list of names (shell patterns) of tensors that only training needs: `training_only.txt`."""
    text = resources.files("gst_listen_export").joinpath("training_only.txt").read_text()
    return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]


def kind(tensor):
    """What a tensor is, in words: `float32`, `sparse_coo float32`, `qint8`."""
    layout = "" if tensor.layout == _strided() else f"{str(tensor.layout).removeprefix('torch.')} "
    where = "" if tensor.device.type == "cpu" else f" without values ({tensor.device.type})"
    return f"{layout}{str(tensor.dtype).removeprefix('torch.')}{where}"


def _strided():
    import torch

    return torch.strided


def dense(path, tensors):
    """# Errors
    Tensors ({name: tensor}) that are not dense or hold something else than floating-point numbers, with what they are.
    """
    wrong = [f"{name} is {kind(tensor)}" for name, tensor in tensors.items() if kind(tensor) not in FLOATS]
    if wrong:
        raise ExportError(f"{path}: expected dense tensors of {', '.join(FLOATS[:-1])} or {FLOATS[-1]}; found others: {some(wrong)}")


def take(checkpoint, wanted, optional=(), ignored=(), what="this model"):
    """The tensors named in `wanted` ({name: shape}) as float32, those in `optional` where they are there.

    Everything else in the checkpoint must be on the committed list of training-only names, or match a pattern of
    `ignored` (what another part of the export takes).

    # Errors
    Missing, unknown, of another shape or kind, not finite: all of a kind at once, with what was expected and what was found.
    """
    import torch

    found, optional = checkpoint.tensors, dict(optional)
    missing = [f"{k} {list(s)}" for k, s in wanted.items() if k not in found]
    if missing:
        raise ExportError(f"{checkpoint.path}: {what} needs {some(missing)}; not there. {near_names(checkpoint, wanted)}".rstrip())
    known = [*training_only(), *ignored, *checkpoint.ignored]
    unknown = [k for k in found if k not in wanted and k not in optional and not any(fnmatch.fnmatchcase(k, p) for p in known)]
    if unknown:
        here = some([f"{k} {list(found[k].shape)}" for k in unknown])
        raise ExportError(f"{checkpoint.path}: unknown: {here}. It is neither part of {what} nor on the list of "
                          "training-only names (gst_listen_export/training_only.txt). If it is not needed: --ignore PATTERN")
    shapes = wanted | {k: s for k, s in optional.items() if k in found}
    wrong = [f"{k} must be {list(s)} and is {list(found[k].shape)}" for k, s in shapes.items() if tuple(found[k].shape) != tuple(s)]
    if wrong:
        raise ExportError(f"{checkpoint.path}: wrong shape: {some(wrong)}")
    dense(checkpoint.path, {k: found[k] for k in shapes})
    taken = {k: found[k].detach().to(torch.float32).contiguous() for k in shapes}
    bad = [k for k, v in taken.items() if not torch.isfinite(v).all()]
    if bad:
        raise ExportError(f"{checkpoint.path}: values that are not finite in {some(bad)}; expected finite weights")
    return taken


def some(things, most=6):
    """The first few of a list, and how many more there are."""
    return ", ".join(things[:most]) + (f" and {len(things) - most} more" if len(things) > most else "")


def near_names(checkpoint, wanted):
    unused = [k for k in checkpoint.tensors if k not in wanted]
    return f"It has {some(unused, 4)}" if unused else ""


def read(source, ignored=()):
    """Reads a checkpoint; `ignored` are patterns of names that `take` may leave out.

    # Errors
    Nothing there, several files to choose from, not a checkpoint, code in the pickle, no tensors.
    """
    source = Path(source)
    if not source.exists():
        raise ExportError(f"{source}: expected a checkpoint (file, folder or .zip); nothing is there")
    if source.is_dir():
        files = [p for p in sorted(source.rglob("*")) if p.suffix in SUFFIXES and p.is_file()]
        path, name = hub.model_file(source) or only(files, source), source.resolve().name
    else:
        path, name = source, folder_name(source)
    if is_archive(path):
        return read_archive(path, ignored)
    tensors, other = load(path)
    return Checkpoint(path, name, sha256(path), tensors, other, tuple(ignored))


def folder_name(file):
    """The name of the folder that a file lies in, if that is a model's (geometry in it); else the file's own."""
    parent = file.resolve().parent.name
    return parent if "-" in parent and "x" in parent.split("-", 1)[1] else file.stem


def only(files, where):
    """The one file of a list.

    # Errors
    None, or more than one: which to take is the user's to say.
    """
    if len(files) == 1:
        return files[0]
    expected = "one file of " + ", ".join(f"*{s}" for s in SUFFIXES)
    found = "none" if not files else f"{len(files)}: {some([str(f.name) for f in files])}; name the file itself"
    raise ExportError(f"{where}: expected {expected}; found {found}")


def is_archive(path):
    """Whether a file is a zip that holds checkpoints, not one of PyTorch's own."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ExportError(f"{path}: expected a zip file that is whole; found its directory damaged: {error}") from None
    return not any(n.endswith("data.pkl") for n in names) and any(n.endswith(SUFFIXES) for n in names)


def read_archive(path, ignored=()):
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as scratch:
        member = only([Path(i.filename) for i in archive.infolist() if i.filename.endswith(SUFFIXES) and not i.is_dir()], path)
        info = archive.getinfo(member.as_posix())
        enough_room(scratch, info.file_size, "the unpacked checkpoint")
        file = Path(scratch) / member.name
        try:
            with archive.open(info) as packed, file.open("wb") as out:
                shutil.copyfileobj(packed, out)
        except OSError as error:
            if is_full(error):
                raise full(scratch, "the unpacked checkpoint", info.file_size) from None
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ExportError(f"{path}: expected a zip file that is whole; found {member} damaged: {error}") from None
        name = member.parent.name or path.stem
        tensors, other = load(file, shown=f"{path}/{member}")
    return Checkpoint(path, name, sha256(path), tensors, other, tuple(ignored))


def load(path, shown=None):
    """`(tensors, everything else)` of one file."""
    import torch

    shown = shown or path
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path), {}
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise ExportError(f"{shown}: expected a safetensors file: {error}") from None
    refuse_damage_and_code(path, shown)
    try:
        with torch.serialization.safe_globals(ALLOWED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols; what cannot be read is an error below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ExportError(pickle_trouble(path, shown, str(error))) from None
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, UnicodeDecodeError, TypeError, OSError) as error:
        raise ExportError(no_checkpoint(shown, cut_short(path) or (str(error) if isinstance(error, RuntimeError) else ""))) from None
    if not isinstance(loaded, dict):
        raise ExportError(f"{shown}: expected a dictionary of tensors; found {type(loaded).__name__}")
    state, other = loaded, {}
    for key in STATE_KEYS:
        if isinstance(loaded.get(key), dict):
            state, other = loaded[key], {k: v for k, v in loaded.items() if k != key}
            break
    tensors = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    other |= {k: v for k, v in state.items() if k not in tensors}
    nested = [k for k, v in tensors.items() if v.is_nested]
    if nested:
        raise ExportError(f"{shown}: expected dense tensors; found nested ones: {some(nested)}")
    if not tensors:
        raise ExportError(f"{shown}: expected tensors; found none among {some([str(k) for k in state]) or 'no keys'}")
    return tensors, other


def refuse_damage_and_code(path, shown):
    """# Errors
    A zip file of which a part is not what was written; a pickle that names code, whose names are read and not imported.
    """
    if zipfile.is_zipfile(path) and (where := pickles.damaged(path)):
        raise ExportError(f"{shown}: expected a checkpoint as it was written; found a damaged part: {where}. Copy or download it anew")
    _, found = pickles.pickles(path) or (0, [])
    if foreign := pickles.code(found, {f"{a.__module__}.{a.__qualname__}" for a in ALLOWED}):
        raise ExportError(code_trouble(shown, some(foreign)))


def code_trouble(path, named):
    return (f"{path}: expected tensors alone; the pickle names code, which is never executed: {named}. "
            "Only torch's own tensor types and argparse.Namespace are let through")


def pickle_trouble(path, shown, message):
    """What to tell of a pickle that `weights_only` refuses."""
    marks = ("GLOBAL ", "Unsupported global", "Unsupported class", "Trying to call", "Can only build", "Can only SETITEM", "REDUCE")
    if any(mark in message for mark in marks):
        named = next((line.strip() for line in message.splitlines() if any(m in line for m in marks)), "")
        return code_trouble(shown, named[:200])
    protocol, _ = pickles.pickles(path) or (0, [])
    if protocol > 2:
        return (f"{shown}: expected a pickle of protocol 2, as torch.save writes it; found protocol {protocol}, of which PyTorch reads "
                "little without running code: save it again with pickle_protocol=2")
    # Without torch's advice, which is to have the code run.
    return no_checkpoint(shown, message.partition("WeightsUnpickler error:")[2].strip() if "weights_only" in message else message)


def no_checkpoint(path, why):
    first = (why.splitlines() or [""])[0][:200]
    return f"{path}: expected a PyTorch checkpoint (a pickle of tensors) or .safetensors; it is none" + (f": {first}" if first else "")


def cut_short(path):
    """What to tell of a file that begins as PyTorch's zip files do and has not their end, as after a download that broke off."""
    with path.open("rb") as file:
        begins = file.read(4) == b"PK\x03\x04"
    return f"it begins as one, and ends after {path.stat().st_size} bytes without the directory of a zip file: was it copied whole?" if begins and not zipfile.is_zipfile(path) else ""


def sha256(path):
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
