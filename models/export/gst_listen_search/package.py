"""A package as far as search needs it: what it is, whether it knows words."""

import hashlib
import json
from pathlib import Path

from gst_listen_search.errors import SearchError


class Package:
    """`folder`, `manifest`, and `space`: `<id>-<12 hex digits of the manifest's sha256>`, as FORMAT.md has it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        path = self.folder / "manifest.json"
        try:
            data = path.read_bytes()
            self.manifest = json.loads(data)
            found = (self.manifest["format"], self.manifest["version"])
        except (FileNotFoundError, NotADirectoryError):
            raise SearchError(f"{self.folder}: expected a package; there is no manifest.json") from None
        except (ValueError, KeyError, TypeError):
            raise SearchError(f"{path}: expected the JSON of a package's manifest") from None
        if found != ("audio-embedding-package", 1):
            raise SearchError(f"{path}: expected format audio-embedding-package, version 1; found {found}")
        self.space = f"{self.manifest['id']}-{hashlib.sha256(data).hexdigest()[:12]}"

    @property
    def melspec(self):
        """Whether m2dencode takes log-mel frames."""
        return self.manifest["frontend"]["kind"] != "in_graph"

    def output(self):
        """What is indexed where the user does not say: time steps, where they can be compared with text and are the package's own choice."""
        head, clap = self.manifest.get("head"), self.manifest.get("clap")
        steps = self.manifest["window"]["default_output"] == "frames" and (not clap or not head or head["frames"])
        return "frames" if steps else "clip"

    def read(self, name):
        """A file's bytes, compared with its checksum."""
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SearchError(f"{path}: {error.strerror}") from None
        expected = self.manifest["sha256"].get(name)
        if hashlib.sha256(data).hexdigest() != expected:
            raise SearchError(f"{path}: its sha256 is not the manifest's; the file was changed")
        return data

    def tensor(self, name, key):
        from safetensors.numpy import load

        return load(self.read(name))[key]
