"""ATTRIBUTION.csv: who made the recordings that the weights were trained on."""

import csv
from pathlib import Path


def write(path, rows):
    """One line a recording: author, title or id, link, licence, what was changed."""
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["author", "title_or_id", "link", "licence", "changes"])
        for r in sorted(rows, key=lambda r: (r.set, r.path)):
            title = f"freesound {r.freesound_id} ({Path(r.path).stem})" if r.freesound_id else Path(r.path).stem
            out.writerow([r.author, title, r.source_url, r.licence, "resampled to 16 kHz mono"])
