"""Trains a linear probe on the embeddings of a package, and writes the package with it as a classifier.

    gst-listen-search index ~/Hearts --model m2d.pkg -o hearts.index
    gst-listen-export probe m2d.pkg hearts.index --labels hearts.csv -o hearts.pkg
    gst-launch-1.0 … ! melspec ! m2dencode model=hearts.pkg ! clapmatch labels="murmur" ! fdsink

LABELS is a CSV file with the columns `recording` (as the index names it) and `label`; `start` and `end` in seconds where
only a stretch is meant, `group` (a patient, a place) where several recordings must not be parted between training and
test. The probe is judged on recordings that it was not trained on, then trained on all. PROBES.md tells more.
"""

import shutil
from pathlib import Path

from gst_listen_export.errors import ExportError

NAME = "probe"
HELP = "train a linear classifier on a package's embeddings, and add it"


def add_arguments(parser):
    parser.add_argument("package", type=Path, help="the package that made the embeddings")
    parser.add_argument("index", type=Path, help="folder that gst-listen-search index wrote")
    parser.add_argument("--labels", type=Path, required=True, help="CSV file: recording, label, and start, end, group")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the new package")
    parser.add_argument("--multi-label", action="store_true", help="a recording has any number of classes, with ; between; scores are a sigmoid each")
    parser.add_argument("--c", type=float, default=1.0, metavar="C", help="scikit-learn's C: smaller is smoother (default: 1)")
    parser.add_argument("--id", help="id of the new package (default: the package's, with -probe)")
    parser.add_argument("--description", help="one sentence for people")
    parser.add_argument("--replace", action="store_true", help="replace the package if it is there")


def run(args):
    from gst_listen_export import probe
    from gst_listen_export.commands.inspect import read_manifest
    from gst_listen_search.package import Package

    manifest = read_manifest(args.package)
    if manifest.get("tagger"):
        raise ExportError(f"{args.package}: expected a package without classes; it has a tagger already")
    if not args.c > 0:
        raise ExportError(f"--c: expected a number above 0; found {args.c:g}")
    dim = clip_dim(manifest)
    lines = probe.read_labels(args.labels, args.multi_label)
    data = probe.examples(args.index, Package(args.package).space, dim, lines, args.multi_label)
    found, truth = probe.judge(data, args.c, args.multi_label)
    if not len(found):
        raise ExportError("expected recordings enough to keep some apart for a test; found too few of each class")
    accuracy, words = probe.report(found, truth, data.classes, args.multi_label)
    chance = 0.5 if args.multi_label else 1 / len(data.classes)
    print(f"{len(data.x)} embeddings of {len(data.recordings)} recordings; those not trained on, {len(found)} in all:")
    print("\n".join(words))
    print(f"balanced accuracy {100 * accuracy:.1f}% (chance: {100 * chance:.1f}%)")
    weights = probe.train(data, slice(None), args.c, args.multi_label)
    write(args, manifest, weights, data.classes, accuracy, len(data.recordings))
    print(f"{args.output}: clapmatch labels=\"{';'.join(data.classes)}\"")


def clip_dim(manifest):
    """Length of what `output=clip` gives."""
    if manifest.get("head"):
        return manifest["head"]["dim"]
    out = manifest["encoder"]["output"]
    return out["dim"] * (out["freq_rows"] if manifest["frame_embedding"] == "stack_freq" else 1)


def write(args, manifest, weights, classes, accuracy, recordings):
    """The package with `tagger.onnx` and `classes.txt`."""
    from gst_listen_export import probe
    from gst_listen_export.package import PackageWriter, package_id

    args.license_file, names = None, manifest["sha256"]
    for name in ("tagger.onnx", "classes.txt"):
        if name in names:
            raise ExportError(f"{args.package}: expected no {name}; it has one")
    of = manifest.get("description") or manifest["id"]
    what = f"{of} With a probe for {len(classes)} classes: balanced accuracy {100 * accuracy:.1f}% over {recordings} recordings, each judged untrained."
    tagger = {"file": "tagger.onnx", "input": "embedding", "output": "logits", "activation": "sigmoid" if args.multi_label else "softmax", "labels": "classes.txt"}
    new = manifest | {"id": package_id(args, manifest["id"][:58] + "-probe"), "description": what, "tagger": tagger}
    with PackageWriter(args, new, room=sum((args.package / n).stat().st_size for n in names)) as package:
        for name in names:
            package.path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(args.package / name, package.path(name))
        probe.save_graph(package.path("tagger.onnx"), *weights)
        package.save_text("classes.txt", "".join(f"{c}\n" for c in classes))
        check(package.path("tagger.onnx"), weights)


def check(path, weights):
    """The graph against NumPy."""
    import numpy as np

    from gst_listen_export.onnx_export import open_session

    x = np.random.default_rng(0).standard_normal((3, weights[0].shape[1])).astype(np.float32)
    expected, found = x @ weights[0].T + weights[1], open_session(path).run(["logits"], {"embedding": x})[0]
    worst = np.abs(found - expected).max() / max(1.0, np.abs(expected).max())
    if not worst <= 1e-4:
        raise ExportError(f"{path.name}: expected what NumPy gives within 1e-4; the graph differs by {worst:.1e}")
