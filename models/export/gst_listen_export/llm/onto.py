"""The package that a caption part is put onto: its files, its licence, and what its encoder gives to a projector."""

import re
import shutil

from ..commands.inspect import read_manifest
from .config import LlmError

LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md")


def dims(manifest):
    """The lengths of one vector of `output=clip`, `frames` and `tokens`, as m2dencode gives them; None: not given."""
    out, head = manifest["encoder"]["output"], manifest.get("head")
    kind, dim = out["kind"], out["dim"]
    frame = None
    if kind in ("tokens", "frames"):
        frame = dim * out["freq_rows"] if manifest["frame_embedding"] == "stack_freq" else dim
    clip = dim if frame is None else frame
    if head:
        clip = head["dim"]
        frame = head["dim"] if head["frames"] and frame is not None else frame
    return {"clip": clip, "frames": frame, "tokens": dim if kind == "tokens" else None}


class Base:
    """A package, every file of it as its manifest says.

    # Errors
    No package, a file that is missing or changed, one that has a caption part already.
    """

    def __init__(self, folder):
        from ..checkpoint import sha256

        self.folder, self.manifest = folder, read_manifest(folder)
        if self.manifest.get("captioner"):
            raise LlmError(f"{folder}: expected a package without a caption part (`captioner`), found one")
        files = self.manifest.get("sha256")
        if not isinstance(files, dict):
            raise LlmError(f"{folder}: expected a manifest with `sha256`, found {type(files).__name__}")
        for name, digest in files.items():
            path = folder / name
            if not path.is_file():
                raise LlmError(f"{path}: expected a file of the package, found none")
            if (found := sha256(path)) != digest:
                raise LlmError(f"{path}: expected the sha256 {digest}, found {found}")
        self.files = sorted(files)
        self.bytes = sum((folder / name).stat().st_size for name in self.files)

    def copy(self, package):
        """Copies its files into a package that is being written."""
        for name in self.files:
            package.path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / name, package.path(name))

    def licence(self, args, source):
        """The section `license` of both together: nothing is allowed that one of them does not allow."""
        own = dict(self.manifest["license"])
        model = args.license or "LicenseRef-" + re.sub(r"[^A-Za-z0-9.-]+", "-", source.name)
        if model != own["id"]:
            own["id"] = " AND ".join(f"({i})" if " " in i else i for i in (own["id"], model))
        own["redistributable"] = own["redistributable"] and args.redistributable
        own["commercial_use"] = own["commercial_use"] and args.commercial_use
        return own

    def licence_text(self, args, source):
        """The texts of both licences, one after the other; None where neither has one."""
        name = self.manifest["license"].get("file")
        texts = [(self.folder / name).read_text(encoding="utf-8")] if name else []
        file = args.license_file or next((source / n for n in LICENCES if (source / n).is_file()), None)
        if file:
            texts.append(f"The language model, from {source.name}:\n\n" + file.read_text(encoding="utf-8", errors="replace"))
        return "\n\n----\n\n".join(texts) or None
