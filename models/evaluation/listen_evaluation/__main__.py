"""Measures a package through GStreamer's elements and writes a report.

    python -m listen_evaluation [PACKAGE] --data FOLDER [--quick]

Without PACKAGE the one compiled into the plugin is measured. FOLDER holds an index.csv as models/training takes it.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import index, measure, pipeline, report, speed
from .progress import say

PARTS = ("classification", "detection", "alarms", "captions", "speed")
# Which output's accuracy counts.
PRIMARY = "clip"


def arguments():
    beside = index.HERE.parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(prog="listen_evaluation", description=__doc__.split("\n")[0])
    parser.add_argument("package", nargs="?", type=Path, help="package folder (none: the one compiled into the plugin)")
    parser.add_argument("--data", type=Path, default=beside / "sounds", help="folder with index.csv and its recordings")
    parser.add_argument(
        "--quick", action="store_true", help="a part of the clips and scenes: for choosing, not for publishing"
    )
    parser.add_argument("--only", default=None, help=f"parts, separated by commas: {', '.join(PARTS)}, unseen")
    parser.add_argument(
        "--report", type=Path, default=Path("evaluation/report.md"), help="its pictures and numbers go beside it"
    )
    parser.add_argument(
        "--work", type=Path, default=None, help="folder of what was heard already (none: in the temporary one)"
    )
    parser.add_argument("--set", default=None, help="set of the index (none: the one with most rows of the role)")
    parser.add_argument("--role", default="val", help="rows that judge")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="pipelines at a time")
    parser.add_argument("--seed", type=int, default=2026, help="of lists, scenes and streams")
    parser.add_argument("--plugin-path", default=None, help="folder of libgstlisten.so (none: GST_PLUGIN_PATH)")
    parser.add_argument(
        "--yamnet", type=Path, default=beside / "yamnet", help="folder of YAMNet: measured beside where it is there"
    )
    parser.add_argument(
        "--unrelated", type=Path, default=None, help="another split of unrelated sound than unrelated.csv"
    )
    parser.add_argument(
        "--unseen", nargs="?", const="", default=None, metavar="FILE", help="labels kept out of the training"
    )
    parser.add_argument("--backends", default="template", help="backends of llmcaption, separated by commas")
    parser.add_argument("--minutes", type=float, default=None, help="length of a stream of unrelated sound")
    for field in dataclasses.fields(measure.Size):
        if field.type is int:
            parser.add_argument(
                f"--{field.name.replace('_', '-')}", type=int, default=None, help="instead of what the mode says"
            )
    return parser


def plain(value):
    """Results as JSON can hold them."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


def default_package(space):
    """The folder of the package that is compiled in, if it is the repository's."""
    folder = index.HERE.parent / "packages" / "default"
    return folder if (folder / "manifest.json").exists() and speed.space(folder) == space else None


def describe(package):
    """Default settings as the manifest has them."""
    if not package:
        return "those compiled in"
    manifest = json.loads((package / "manifest.json").read_text())
    window, clap = manifest["window"], manifest.get("clap", {})
    return (
        f"window {window['frames']} frames, hop {window['default_hop_frames']}, output {window.get('default_output', 'clip')}, "
        f"threshold {clap.get('default_threshold')}, offset threshold {clap.get('default_offset_threshold')}"
    )


def versions():
    names = ("numpy", "sed_eval", "sed_scores_eval", "scikit-learn")
    said = subprocess.run(["gst-launch-1.0", "--version"], capture_output=True, text=True).stdout.splitlines()
    return ", ".join(
        [said[1] if len(said) > 1 else "GStreamer ?", *(f"{n} {importlib.metadata.version(n)}" for n in names)]
    )


def make_task(args):
    rows = index.read(args.data)
    judging = index.chosen(rows, args.role, args.set)
    if not judging:
        sys.exit(f"evaluate: {args.data / 'index.csv'} has no row of role {args.role} and set {args.set or '(any)'}")
    missing = [r.name for r in judging if not r.path.exists()]
    if missing:
        sys.exit(
            f"evaluate: {len(missing)} recordings of the index are not there, the first is {args.data / missing[0]}"
        )
    work = args.work or Path(tempfile.gettempdir()) / f"listen-evaluation-{os.getuid()}"
    work.mkdir(parents=True, exist_ok=True)
    package = args.package.resolve() if args.package else None
    listener = pipeline.Listener(package, args.plugin_path, registry=str(work / "registry.bin"))
    who = pipeline.identity(listener)
    cache = work / "-".join([who["space"], who["plugin"].split()[-1]])
    cache.mkdir(exist_ok=True)
    listener = dataclasses.replace(listener, cache=cache)
    size = measure.QUICK if args.quick else measure.FULL
    size = dataclasses.replace(
        size,
        **{f.name: v for f in dataclasses.fields(size) if f.type is int and (v := getattr(args, f.name)) is not None},
    )
    labels = sorted({r.label for r in judging})
    task = measure.Task(
        listener, args.data, judging, rows, labels, args.seed, args.jobs, size, work, split=args.unrelated
    )
    if args.minutes:
        task.minutes = args.minutes
    return task, who


def main():
    args = arguments().parse_args()
    parts = args.only.split(",") if args.only else [*PARTS, *(["unseen"] if args.unseen is not None else [])]
    unknown = sorted(set(parts) - {*PARTS, "unseen"})
    if unknown:
        sys.exit(f"evaluate: --only {','.join(unknown)}: expected {', '.join(PARTS)} or unseen")
    try:
        evaluate(args, parts)
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        sys.exit(f"evaluate: {error}")


def evaluate(args, parts):
    """Measures `parts` and writes the report."""
    task, who = make_task(args)
    package = task.listener.package or default_package(who["space"])
    say(
        f"{who['space']}, plugin {who['plugin']}: {len(task.rows)} clips of {len(task.labels)} labels; kept in {task.work}"
    )
    began, found = time.monotonic(), {"primary": PRIMARY}
    teacher = bool(args.yamnet) and (args.yamnet / "yamnet_spectra_in.tflite").exists()
    if "classification" in parts:
        found["classification"] = measure.classification(task)
        found["fresh wordings"] = measure.fresh_wordings(task, PRIMARY)
        if teacher:
            found["peers"] = measure.peers(task, args.yamnet)
    if "detection" in parts:
        found["detection"] = measure.detection(task)
    if "alarms" in parts:
        found["alarms"] = measure.false_alarms(task)
    if teacher and "detection" in parts and "alarms" in parts:
        found["peer detection"] = measure.peer_detection(task, args.yamnet)
    if "unseen" in parts:
        found["unseen"] = measure.unseen(task, args.unseen or None)
    if "captions" in parts:
        found["captions"] = {backend: measure.captioning(task, backend) for backend in args.backends.split(",")}
    if "speed" in parts:
        found["speed"] = measure.speed_and_size(task, package)
    facts = {
        "command": "`" + shlex.join(["python", "-m", "listen_evaluation", *sys.argv[1:]]) + "`",
        "mode": ("**quick: for choosing, not for publishing**" if args.quick else "full")
        + f", {dataclasses.asdict(task.size)}",
        "package": f"{who['id']}, `{who['space']}`"
        + (f", in `{task.listener.package}`" if task.listener.package else ", compiled in"),
        "family": json.loads((package / "manifest.json").read_text()).get("family", "") if package else "unknown",
        "default settings": describe(package),
        "plugin": who["plugin"],
        "recordings": f"{len(task.rows)} of role {args.role} and set {task.rows[0].group}, index and split `{task.data}`",
        "versions": versions(),
        "took": f"{time.monotonic() - began:.0f} s with {args.jobs} pipelines at a time (what was heard before is not heard again)",
    }
    text = report.write(found, facts, args.report)
    args.report.with_suffix(".json").write_text(json.dumps(plain({"facts": facts, **found}), indent=1))
    print("\n".join(text.splitlines()[: 12 + len(report.summary(found))]))
    say(f"written to {args.report}")


if __name__ == "__main__":
    main()
