"""What there is to hear: the rows of an index, and the committed lists beside this package."""

import csv
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """A clip: its file, its label in words, the set that it belongs to."""

    path: Path
    name: str  # as the index has it
    label: str
    group: str  # the index' `set`
    role: str


def read(folder):
    """All rows of `folder`/index.csv, in its order."""
    file = Path(folder) / "index.csv"
    if not file.exists():
        raise FileNotFoundError(f"{file} is not there: expected a folder with an index (models/training/README.md)")
    with open(file, newline="") as lines:
        table = csv.DictReader(lines)
        missing = {"role", "path", "label"} - set(table.fieldnames or ())
        if missing:
            raise ValueError(
                f"{file}: expected the columns role, path and label; found no {', '.join(sorted(missing))}"
            )
        return [Row(Path(folder) / r["path"], r["path"], words(r["label"]), r.get("set", ""), r["role"]) for r in table]


def words(label):
    """A label as it is typed: `_` counts as a space."""
    return label.replace("_", " ").strip()


def chosen(rows, role, group=None):
    """The rows of `role` and `group`; without a group, of the set that has most rows of that role."""
    of_role = [r for r in rows if r.role == role]
    if group is None and of_role:
        groups = [r.group for r in of_role]
        group = max(sorted(set(groups)), key=groups.count)
    return [r for r in of_role if r.group == group]


def spread(items, count):
    """`count` of `items`, evenly spread; all where `count` is 0 or more than there are."""
    return items if not count or count >= len(items) else [items[i * len(items) // count] for i in range(count)]


def table(name, key, file=None):
    """The table `key` of a committed TOML file (or of `file`)."""
    with open(file or HERE / name, "rb") as opened:
        return tomllib.load(opened)[key]


def lines(name, file=None):
    """The lines of a committed text file (or of `file`), without empty ones."""
    return [line.strip() for line in Path(file or HERE / name).read_text().splitlines() if line.strip()]


def unrelated(folder, part, file=None):
    """The paths of `part` (train or eval) of the committed split that are in `folder`, with their labels."""
    with open(file or HERE / "unrelated.csv", newline="") as opened:
        wanted = {r["path"] for r in csv.DictReader(opened) if r["part"] == part}
    return [r for r in read(folder) if r.name in wanted and r.path.exists()]


def lists_of_ten(labels, seed, size=10):
    """`labels` in a seeded order, cut into lists of ten (the last may be shorter): together they are all labels."""
    import numpy as np

    order = np.random.default_rng([seed, 10]).permutation(len(labels))
    shuffled = [labels[i] for i in order]
    return [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
