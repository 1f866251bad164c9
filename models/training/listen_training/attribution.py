"""ATTRIBUTION.csv: who made the recordings that the weights were trained on."""

import csv
import json
from pathlib import Path

COLUMNS = ["author", "title_or_id", "link", "licence", "changes", "note"]


def write(path, rows, start=None):
    """One line a recording: author, title or id, link, licence, what was changed; then those of the package `start`, which the
    weights go on from, with a note that says so."""
    lines = []
    for r in sorted(rows, key=lambda r: (r.set, r.path)):
        title = f"freesound {r.freesound_id} ({Path(r.path).stem})" if r.freesound_id else Path(r.path).stem
        lines.append([r.author, title, r.source_url, r.licence, "resampled to 16 kHz mono", ""])
    if start:
        # A recording that trained both is its own.
        known = {tuple(line[:4]) for line in lines}
        lines += [line for line in of_package(start) if tuple(line[:4]) not in known]
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        out.writerows(lines)


def of_package(folder):
    """The lines of a package that weights go on from, once each; those that it had from another package keep their note."""
    folder = Path(folder)
    id, path = json.loads((folder / "manifest.json").read_text())["id"], folder / "ATTRIBUTION.csv"
    note = f"through the package {id}, from which the weights go on"
    if not path.is_file():
        return [["", f"the package {id}", "", "", "", f"{note}; it came without an ATTRIBUTION.csv"]]
    with open(path, newline="") as file:
        found = [[row.get(key) or "" for key in COLUMNS] for row in csv.DictReader(file)]
    return list({tuple(line): [*line[:5], line[5] or note] for line in found}.values())
