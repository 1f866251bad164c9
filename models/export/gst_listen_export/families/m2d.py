"""M2D, M2D-S, M2D-AS, and models fine-tuned on AudioSet (AS-FT): tokens, a vector per time step, a vector per window.

The geometry (80x608p16x16 and so on) stands in the name of the folder that a checkpoint was downloaded as.

A fine-tuned checkpoint has a head with 527 classes; their names come from AudioSet's class_labels_indices.csv
(CC-BY-4.0, Google): --classes class_labels_indices.csv. Its rows are put into the order of the scores, that of the
classes' ids (mid); clapmatch then shows them as labels.
"""

from pathlib import Path

from gst_listen_export import m2d_checkpoint
from gst_listen_export.errors import ExportError

NAME = "m2d"
HELP = "M2D, M2D-S, M2D-AS, and AS-FT with its 527 classes"
URL = "https://github.com/nttcslab/m2d"
HEAD_NORM, HEAD_LAYER = "module.head.norm", "module.head.mlp.mlp.0"
BN_EPS = 1e-5


def add_arguments(parser):
    m2d_checkpoint.add_arguments(parser)
    parser.add_argument("--features", choices=["stacked", "flat"],
                        help="a time step's rows one after the other, or their mean (default: stacked; a head decides)")
    parser.add_argument("--classes", type=Path, metavar="CSV", help="class_labels_indices.csv of AudioSet, for fine-tuned models")


def recognise(checkpoint):
    """What a checkpoint is, in words; None if it is none of this family."""
    encoder, rest = m2d_checkpoint.parts(checkpoint)
    if "patch_embed.proj.weight" not in encoder.tensors or any(k.removeprefix("backbone.").startswith(("audio_proj.", "text_")) for k in checkpoint.tensors):
        return None
    width, _, height, step = encoder.tensors["patch_embed.proj.weight"].shape
    head = rest.tensors.get(f"{HEAD_LAYER}.weight")
    classes = "" if head is None else f", a head with {head.shape[0]} classes on {head.shape[1]} values"
    return f"an M2D encoder: width {width}, patches of {height} bands x {step} frames{classes}"


def required(checkpoint):
    """What the command line needs besides."""
    head = f"{HEAD_LAYER}.weight" in m2d_checkpoint.parts(checkpoint)[1].tensors
    return " ".join(m2d_checkpoint.required(checkpoint) + ["--classes class_labels_indices.csv"] * head)


def read_classes(path, count):
    """Class names in the order of the scores: AudioSet's `mid` sorted ascending, not the file's own order.

    # Errors
    Not such a table, another number of classes, a name twice.
    """
    import csv

    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExportError(f"{path}: expected AudioSet's class_labels_indices.csv, a CSV file in UTF-8: {error}") from None
    if not rows or not {"mid", "display_name"} <= set(rows[0]):
        found = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise ExportError(f"{path}: expected a table with the columns index, mid, display_name; found {found}")
    if len(rows) != count:
        raise ExportError(f"{path}: expected {count} classes, as the head has; found {len(rows)}")
    for line, row in enumerate(rows, 2):
        if not row["mid"] or not row["display_name"]:
            raise ExportError(f"{path}, line {line}: expected a mid and a display_name; found {row['mid']!r} and {row['display_name']!r}")
    rows.sort(key=lambda row: row["mid"])
    names = [row["display_name"].strip() for row in rows]
    for values, what in (([row["mid"] for row in rows], "mid"), (names, "display_name")):
        twice = sorted({v for v in values if values.count(v) > 1})
        if twice:
            raise ExportError(f"{path}: expected each {what} once; found twice: {', '.join(twice)}")
    return names


def tagger(rest, dim, rows, features):
    """`(module, features)` of a fine-tuned head; the batch norm before its layer is folded into it.

    # Errors
    A width that is neither one token's nor a column's, or not that of `--features`.
    """
    import torch

    from gst_listen_export.checkpoint import take

    count, width = rest.shape(f"{HEAD_LAYER}.weight", "classes", "values")
    possible = {dim: "flat", dim * rows: "stacked"} if rows > 1 else {dim: features or "stacked"}
    if width not in possible:
        expected = " or ".join(f"{w} ({f})" for w, f in possible.items())
        raise ExportError(f"{rest.path}: {HEAD_LAYER}.weight: expected {expected} inputs; found {width}")
    if features not in (None, possible[width]):
        raise ExportError(f"--features {features}: the head takes {width} values, which are the {possible[width]} features")
    w = take(rest, {f"{HEAD_NORM}.running_mean": (width,), f"{HEAD_NORM}.running_var": (width,), f"{HEAD_LAYER}.weight": (count, width),
                    f"{HEAD_LAYER}.bias": (count,)}, what="a head fine-tuned on AudioSet")
    mean, var, weight, bias = (w[k].double() for k in (f"{HEAD_NORM}.running_mean", f"{HEAD_NORM}.running_var", f"{HEAD_LAYER}.weight", f"{HEAD_LAYER}.bias"))
    weight = weight / torch.sqrt(var + BN_EPS)
    linear = torch.nn.Linear(width, count)
    linear.weight.data, linear.bias.data = weight.float(), (bias - weight @ mean).float()
    return linear.eval(), possible[width]


def export(args):
    import torch

    from gst_listen_export import onnx_export
    from gst_listen_export.checkpoint import read, take
    from gst_listen_export.package import NTT_EVALUATION, PackageWriter, licence, package_id

    checkpoint = read(args.source, args.ignore)
    shape = m2d_checkpoint.geometry(args.geometry or checkpoint.name)
    part, rest = m2d_checkpoint.parts(checkpoint)
    module, stats = m2d_checkpoint.encoder(part, shape)
    dim = module.norm.weight.shape[0]
    fine_tuned = f"{HEAD_LAYER}.weight" in rest.tensors
    if fine_tuned:
        linear, features = tagger(rest, dim, shape.rows, args.features)
        if args.classes is None:
            raise ExportError(f"{checkpoint.path}: has a head with {linear.out_features} classes: --classes class_labels_indices.csv names them")
        names = read_classes(args.classes, linear.out_features)
    else:
        take(rest, {}, what="an M2D encoder")  # nothing but training-only tensors beside it
        if args.classes is not None:
            raise ExportError(f"--classes: expected a head ({HEAD_LAYER}.weight) in {checkpoint.path}; there is none")
        features = args.features or "stacked"
    mode = "stack_freq" if features == "stacked" else "mean_freq"
    manifest = {"id": package_id(args, checkpoint.name), "family": "m2d", "license": licence(NTT_EVALUATION, checkpoint, URL)}
    manifest |= m2d_checkpoint.sections(shape, stats, dim, args, mode)
    size = sum(p.numel() * 4 for p in module.parameters())
    with PackageWriter(args, manifest, room=size * len(args.precision)) as package:
        m2d_checkpoint.write_encoder(module, shape, manifest, package, args)
        if fine_tuned:
            width = linear.in_features
            onnx_export.export(linear, [(torch.randn(b, width),) for b in (2, 1, 5)], package.path("tagger.onnx"), ["clip"], ["logits"],
                               {"clip": {0: "batch"}, "logits": {0: "batch"}})
            package.save_text("labels.txt", "".join(f"{name}\n" for name in names))
            package.save_text("ATTRIBUTION.txt", "labels.txt: names of AudioSet's classes (class_labels_indices.csv), Google, CC-BY-4.0, "
                              "https://research.google.com/audioset; here in the order of their ids.\n")
            package.manifest["tagger"] = {"file": "tagger.onnx", "input": "clip", "output": "logits", "activation": "sigmoid", "labels": "labels.txt"}
        package.self_test(m2d_checkpoint.clip(module, shape, features == "stacked"))
