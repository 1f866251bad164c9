"""YAMNet: the int8 TensorFlow Lite file that takes log-mel frames `[1, 96, 64]` and gives AudioSet's 521 classes.

The graph is rebuilt operator by operator as ONNX QDQ, without TensorFlow; its scores are LiteRT's to the bit. Models that take
samples (`[15600]`) are another file. `--classes` names the classes: `yamnet_class_map.csv` (columns index, mid, display_name).
"""

import csv

NAME = "yamnet"
HELP = "YAMNet: 521 classes, from its int8 .tflite file"
SOURCE_HELP = "the .tflite file that takes log-mel frames"

FRAMES, HOP = 96, 48
APACHE = {"id": "Apache-2.0", "redistributable": True, "commercial_use": True, "accept_required": False}


def add_arguments(parser):
    from pathlib import Path

    parser.add_argument("--classes", type=Path, metavar="CSV", help="the class map (default: the only *class_map*.csv beside the source)")


def class_map(file, count, source):
    """Names in the order of the scores.

    # Errors
    No such file, other columns, another number of classes, indices out of order, a name twice.
    """
    from gst_listen_export.errors import ExportError

    if file is None:
        beside = sorted(source.absolute().parent.glob("*class_map*.csv"))
        if len(beside) != 1:
            raise ExportError(f"{source}: expected one *class_map*.csv beside it; found {len(beside)}: say --classes FILE")
        file = beside[0]
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            rows, columns = list(reader), reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExportError(f"{file}: expected a CSV file in UTF-8: {error}") from None
    if not {"index", "display_name"} <= set(columns):
        raise ExportError(f"{file}: expected the columns index, mid, display_name; found {', '.join(columns) or 'none'}")
    if [row["index"] for row in rows] != [str(i) for i in range(count)]:
        raise ExportError(f"{file}: expected the indices 0 to {count - 1} in order, one a class; found {len(rows)} rows "
                          f"from {rows[0]['index'] if rows else 'none'} to {rows[-1]['index'] if rows else 'none'}")
    names = [(row["display_name"] or "").strip() for row in rows]
    for name in names:
        if not name or names.count(name) > 1 or "\n" in name:
            raise ExportError(f"{file}: expected a name for each class, each once; found {name!r} {names.count(name)} times")
    return names


def export(args):
    from gst_listen_export import frontend, onnx_export, tflite
    from gst_listen_export.checkpoint import sha256
    from gst_listen_export.errors import ExportError
    from gst_listen_export.package import PackageWriter, package_id

    source = args.source
    if not source.is_file():
        raise ExportError(f"{source}: expected a .tflite file; found {'a folder' if source.is_dir() else 'nothing'}")
    if args.precision != ["fp32"]:
        raise ExportError(f"--precision {','.join(args.precision)}: this family's graph is the file's own int8; there is no other")
    file = tflite.File(source)
    graph = tflite.Rebuilt(file)
    front_end = frontend.YAMNET
    if (graph.frames, graph.bands) != (FRAMES, front_end["n_mels"]):
        raise ExportError(f"{source}: expected an input of {FRAMES} frames of {front_end['n_mels']} bands; found {graph.frames} x {graph.bands}")
    classes = graph.outputs.get("scores", 0)
    names = class_map(args.classes, classes, source)
    manifest = {
        "id": package_id(args, source.stem),
        "family": "yamnet",
        "description": f"YAMNet: {classes} classes of AudioSet, int8.",
        "license": APACHE | {"source_sha256": sha256(source)},
        "audio": frontend.audio(front_end),
        "frontend": front_end,
        "normalize": {"kind": "none"},
        "window": frontend.window(FRAMES, min_frames=FRAMES, multiple_of=1, max_frames=FRAMES, hop=HOP, short_pad="silence", edge="rolling"),
        "encoder": {
            "graphs": {"int8": {"file": "encoder.onnx"}},
            "input": {"name": "lms", "layout": "B1TF"},
            "output": {"name": "scores", "kind": "logits", "dim": classes, "freq_rows": 1, "frames_per_column": 0},
        },
        "frame_embedding": "none",
        "clip_pooling": "none",
        # The scores come out of the graph's own sigmoid, in steps of 1/256.
        "tagger": {"activation": "none", "labels": "labels.txt"},
    }
    with PackageWriter(args, manifest, room=source.stat().st_size * 2) as package:
        graph.save(package.path("encoder.onnx"))
        package.save_text("labels.txt", "\n".join(names) + "\n")
        session = onnx_export.open_session(package.path("encoder.onnx"))
        package.self_test(lambda window: session.run(["scores"], {"lms": window[None, None]})[0][0])
