#!/usr/bin/env python3
"""How good a package is, measured through the real pipeline: gst-launch-1.0 on each recording of a folder with an index.

    evaluate.py [INDEX_FOLDER [PACKAGE]] [--set esc50] [--role val] [--jobs 2] [--report FILE] [--limit N]

Each clip is decoded, encoded and compared with the names of all labels of the chosen set, given as text; the windows of
a clip are pooled (the mean of the BEST_WINDOWS highest logits of each label), and the label with the highest pooled logit
is the answer. Writes a Markdown report. Needs nothing but Python and the installed elements (GST_PLUGIN_PATH).
"""

import argparse
import concurrent.futures
import csv
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

# Chosen on train rows among 1 to 4.
BEST_WINDOWS = 1


def command(path, labels, package, options):
    """The pipeline of one recording, as gst-launch-1.0 takes it."""
    model = [f"model={package}", "accept-license=true"] if package else []
    text = ";".join(label.replace("\\", "\\\\").replace(";", "\\;") for label in labels)
    return [
        "gst-launch-1.0",
        "-q",
        "filesrc",
        f"location={path}",
        "!",
        "decodebin",
        "!",
        "audioconvert",
        "!",
        "audioresample",
        "!",
        "melspec",
        "!",
        "m2dencode",
        "output=clip",
        *model,
        *options,
        "!",
        "clapmatch",
        f'labels="{text}"',
        "score=calibrated",
        "!",
        "application/x-json,format=audio-scores",
        "!",
        "fdsink",
    ]


def logit(score):
    """The number whose sigmoid is `score`, for scores from 0 to 1 inclusive."""
    score = min(max(score, 1e-12), 1 - 1e-9)
    return math.log(score / (1 - score))


def listen(path, labels, package, options, by):
    """The windows of one recording: a list of lists with a number per label; an error of the pipeline is raised."""
    done = subprocess.run(command(path, labels, package, options), capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{path}: gst-launch-1.0 ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    index, windows = {label: i for i, label in enumerate(labels)}, []
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            continue
        row = [float("-inf")] * len(labels)
        for entry in json.loads(line).get("scores", []):
            value = entry.get("cosine") if by == "cosine" else logit(entry["score"])
            row[index[entry["label"]]] = float("-inf") if value is None else value
        windows.append(row)
    if not windows:
        raise RuntimeError(f"{path}: no window came out: {done.stderr.strip()[-2000:]}")
    return windows


def pool(windows, best=BEST_WINDOWS):
    """A number per label: the mean of its `best` highest windows."""
    return [sum(sorted(column, reverse=True)[:best]) / min(best, len(column)) for column in zip(*windows, strict=True)]


def interval(hits, count):
    """Wilson's 95% interval of a share."""
    z, p = 1.959964, hits / count
    middle, half = p + z * z / (2 * count), z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


def average_precision(scores, truth):
    """Area under precision and recall of one label over all clips."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits, total = 0, 0.0
    for rank, i in enumerate(order, 1):
        if truth[i]:
            hits += 1
            total += hits / rank
    return total / hits if hits else float("nan")


def rows_of(folder, chosen_set, role):
    """The rows of the index to be heard."""
    with open(folder / "index.csv", newline="") as file:
        return [r for r in csv.DictReader(file) if r["role"] == role and (not chosen_set or r["set"] == chosen_set)]


def report(results, labels, facts):
    """The Markdown report of (row, pooled numbers) pairs."""
    hits = top3 = 0
    per, confused = {label: [0, 0] for label in labels}, {}
    for row, pooled in results:
        order = sorted(range(len(labels)), key=lambda i: -pooled[i])
        own = labels.index(row["label"].replace("_", " "))
        hits += order[0] == own
        top3 += own in order[:3]
        per[labels[own]][0] += order[0] == own
        per[labels[own]][1] += 1
        if order[0] != own:
            pair = (labels[own], labels[order[0]])
            confused[pair] = confused.get(pair, 0) + 1
    count = len(results)
    low, high = interval(hits, count)
    precision = [
        average_precision([p[i] for _, p in results], [r["label"].replace("_", " ") == label for r, _ in results])
        for i, label in enumerate(labels)
        if per[label][1]
    ]
    lines = [
        "# How good the package is",
        "",
        *(f"- {k}: {v}" for k, v in facts.items()),
        "",
        "| measure | value |",
        "|---|---|",
        f"| top-1 of {len(labels)} labels given as text | {100 * hits / count:.1f}% (95% interval {100 * low:.1f} to {100 * high:.1f}) |",
        f"| top-3 | {100 * top3 / count:.1f}% |",
        f"| mAP | {sum(precision) / len(precision):.3f} |",
        "",
        "| label | right | of | top-1 |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {label} | {a} | {b} | {100 * a / b:.0f}% |"
        for label, (a, b) in sorted(per.items(), key=lambda e: e[1][0] / max(1, e[1][1]))
        if b
    ]
    lines += ["", "Most frequent confusions (said instead):", "", "| sound | said | times |", "|---|---|---|"]
    lines += [f"| {a} | {b} | {n} |" for (a, b), n in sorted(confused.items(), key=lambda e: -e[1])[:15]]
    return "\n".join(lines) + "\n", hits / count


def main():
    here = Path(__file__).resolve()
    beside = here.parents[3] / "shared" / "data" / "sounds"
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, default=beside, help="folder with index.csv and the recordings it names"
    )
    parser.add_argument(
        "package", nargs="?", type=Path, help="package folder (without: the one compiled into the plugin)"
    )
    parser.add_argument("--set", default=None, help="set of the index (without: esc50 where there is one, else all)")
    parser.add_argument("--role", default="val")
    parser.add_argument("--by", choices=("score", "cosine"), default="score", help="what clips are ranked by")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="pipelines at a time")
    parser.add_argument("--limit", type=int, default=0, help="only this many clips, evenly spread")
    parser.add_argument("--report", type=Path, default=Path("evaluation.md"))
    args = parser.parse_args()
    if not (args.folder / "index.csv").exists():
        sys.exit(
            f"evaluate: {args.folder / 'index.csv'} is not there; name a folder with an index (models/training/README.md)"
        )
    rows = rows_of(args.folder, args.set, args.role)
    if args.set is None and any(r["set"] == "esc50" for r in rows):
        rows = [r for r in rows if r["set"] == "esc50"]
    if not rows:
        sys.exit(f"evaluate: no row of role {args.role} and set {args.set or 'any'} in {args.folder / 'index.csv'}")
    labels = sorted({r["label"].replace("_", " ") for r in rows})
    if args.limit and args.limit < len(rows):
        rows = [rows[i * len(rows) // args.limit] for i in range(args.limit)]
    package = args.package.resolve() if args.package else None
    options = ["intra-op-threads=1", "workers=1"]
    began, results, seconds = time.monotonic(), [], 0.0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as jobs:
        hear = lambda r: (r, pool(listen(args.folder / r["path"], labels, package, options, args.by)))
        for number, result in enumerate(jobs.map(hear, rows), 1):
            results.append(result)
            seconds += float(result[0].get("seconds") or 0)
            if sys.stderr.isatty() or number % 50 == 0 or number == len(rows):
                print(
                    f"\r{number} of {len(rows)} clips",
                    end="" if sys.stderr.isatty() else "\n",
                    file=sys.stderr,
                    flush=True,
                )
    took = time.monotonic() - began
    facts = {
        "package": package or "the one compiled into the plugin",
        "recordings": f"{len(rows)} of role {args.role}, {seconds:.0f} s, in {args.folder.resolve()}",
        "way": f"gst-launch-1.0, one pipeline per file, output=clip, score=calibrated, best {BEST_WINDOWS} windows per label, ranked by {args.by}",
        "speed": f"{took:.0f} s with {args.jobs} pipelines at a time: {seconds / took:.0f} x real time, start of process and model included",
    }
    text, top1 = report(results, labels, facts)
    args.report.write_text(text)
    print(text)
    print(f"top-1 {100 * top1:.1f}%, written to {args.report}", file=sys.stderr)


if __name__ == "__main__":
    main()
