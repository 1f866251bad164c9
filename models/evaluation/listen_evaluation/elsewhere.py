"""Recordings that nobody of this project chose: sounds that Debian's packages carry, as a folder for the evaluation.

    python -m listen_evaluation.elsewhere FOLDER

fetches the packages of `elsewhere.csv` (apt-get download: nothing is installed) and writes FOLDER/index.csv and
FOLDER/unrelated.csv. They only judge: their licences differ, and nothing of them is kept in this repository.
"""

import argparse
import csv
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

from . import index, sounds

SOUNDS = (".ogg", ".wav")


def rcc(path):
    """Name and content of each sound in a Qt resource file (.rcc): a tree of names, sizes and offsets, big-endian."""
    data = Path(path).read_bytes()
    magic, version, tree, content, names = struct.unpack_from(">4sIIII", data)
    if magic != b"qres":
        raise ValueError(f"{path}: expected a Qt resource file (qres), it begins with {magic!r}")
    size = 14 if version < 2 else 22

    def walk(node, before):
        at = tree + node * size
        name, flags = struct.unpack_from(">IH", data, at)
        if node:
            length = struct.unpack_from(">H", data, names + name)[0]
            start = names + name + 6  # behind the length and the name's hash
            before = before + "/" + data[start : start + 2 * length].decode("utf-16-be")
        if flags & 2:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, before)
        elif before.endswith(SOUNDS):
            offset = struct.unpack_from(">I", data, at + 10)[0]
            length = struct.unpack_from(">I", data, content + offset)[0]
            found = data[content + offset + 4 : content + offset + 4 + length]
            yield before.lstrip("/"), zlib.decompress(found[4:]) if flags & 1 else found

    yield from walk(0, "")


def cat(path):
    """Name (its number) and content of each sound in OpenTTD's .cat: offsets and lengths, then a name and a RIFF file each."""
    data = Path(path).read_bytes()
    for number in range((struct.unpack_from("<I", data)[0] & 0x7FFFFFFF) // 8):
        offset, length = struct.unpack_from("<II", data, 8 * number)
        offset &= 0x7FFFFFFF
        start = offset + 1 + data[offset]  # behind the name and its length
        yield f"{number:02d}.wav", data[start : start + length]


UNPACK = {".rcc": rcc, ".cat": cat}


def fetch(package, folder):
    """Downloads and unpacks a Debian package into `folder`; returns all sounds in it by name."""
    with tempfile.TemporaryDirectory() as temporary:
        # The download's own user may have no right to the folder.
        os.chmod(temporary, 0o777)
        done = subprocess.run(["apt-get", "download", "-q", package], cwd=temporary, capture_output=True, text=True)
        files = list(Path(temporary).glob("*.deb"))
        if done.returncode or len(files) != 1:
            raise RuntimeError(f"apt-get download {package} failed: {done.stderr.strip()[-300:]}")
        subprocess.run(["dpkg", "-x", files[0], folder], check=True)
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix in SOUNDS and path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
        elif path.suffix in UNPACK:
            found |= dict(UNPACK[path.suffix](path))
    return found


def pick(found, wanted, package):
    """The only sound whose path ends with `wanted`; or, where that ends with /, all below a folder of that name."""
    names = [n for n in found if ("/" + n).endswith("/" + wanted) or (wanted.endswith("/") and "/" + wanted in "/" + n)]
    if not names or (len(names) > 1 and not wanted.endswith("/")):
        raise RuntimeError(
            f"{package} has {len(names)} sounds {wanted}: expected one (another version of the package?)"
        )
    return sorted(names)


def write(out, rows):
    """Writes the sounds of `rows` (package, file, label; no label: unrelated) and the two lists."""
    import soundfile

    out = Path(out)
    labelled, unrelated, packages = [], [], {}
    for row in rows:
        packages.setdefault(row["package"], []).append(row)
    for package, wanted in packages.items():
        with tempfile.TemporaryDirectory() as temporary:
            found = fetch(package, temporary)
        for row in wanted:
            for name in pick(found, row["file"], package):
                path = out / package / (name.replace("/", "_").rsplit(".", 1)[0] + ".flac")
                path.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as raw:
                    raw.write(found[name])
                    raw.flush()
                    x = sounds.read(Path(raw.name))
                # Nothing that is judged is shorter than a second.
                x = np.pad(x, (0, max(0, sounds.RATE - len(x))))
                soundfile.write(path, np.clip(x, -1, 1), sounds.RATE)
                entry = (str(path.relative_to(out)), row["label"])
                (labelled if row["label"] else unrelated).append(entry)
    with open(out / "index.csv", "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["role", "set", "path", "label", "licence"])
        lines.writerows(["val", "elsewhere", path, label, "only judges"] for path, label in labelled)
        lines.writerows(["eval-only", "unrelated", path, "", "only judges"] for path, _ in unrelated)
    with open(out / "unrelated.csv", "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "part", "why"])
        lines.writerows([path, "eval", ""] for path, _ in unrelated)
    return len(labelled), len(unrelated)


def main():
    parser = argparse.ArgumentParser(prog="listen_evaluation.elsewhere", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with open(index.HERE / "elsewhere.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        labelled, unrelated = write(args.out, rows)
    except (OSError, RuntimeError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"elsewhere: {error}")
    print(f"{labelled} labelled and {unrelated} unrelated recordings in {args.out}")
    print(
        f"python -m listen_evaluation --data {args.out} --unrelated {args.out}/unrelated.csv --only classification,alarms"
    )


if __name__ == "__main__":
    main()
