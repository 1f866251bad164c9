"""A ready ONNX file that takes log-mel frames or samples, with a manifest that you write.

    gst-listen-export onnx MODEL.onnx --template -o model.toml      # a manifest with comments, and what the graph says of itself
    ... fill it in ...
    gst-listen-export onnx MODEL.onnx --manifest model.toml -o PACKAGE

Files that the manifest names (a head, a text tower, labels, a filterbank) lie beside it and are copied. The graph is run
on the shortest, the default and the longest window, and the self-test is made of what it gives.
"""

from pathlib import Path

from gst_listen_export.errors import ExportError

NAME = "onnx"
HELP = "a ready ONNX file, features or samples in, with a manifest of your own"
SOURCE_HELP = "the ONNX file"


def add_arguments(parser):
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="TOML or JSON, as models/package/FORMAT.md")
    parser.add_argument("--template", action="store_true", help="write a manifest to be filled in to -o, and no package")


def export(args):
    import shutil

    from gst_listen_export.checkpoint import sha256
    from gst_listen_export.onnx_export import open_graph, reduce
    from gst_listen_export.package import PackageWriter, package_id
    from gst_listen_export.ready import check, manifest
    from gst_listen_export.ready.graph import read_graph

    graph = read_graph(args.source)
    if args.template:
        return write_template(args, graph)
    if args.manifest is None:
        raise ExportError("expected --manifest FILE, which says what the graph cannot; `--template -o FILE` writes one to be filled in")
    m = manifest.read_manifest(args.manifest)
    check.check_ports(graph, m)
    beside = manifest.files(args.manifest, m)
    if clash := set(beside) & set(graph.data):
        raise ExportError(f"expected other names than the graph's external data, found {', '.join(sorted(clash))}")
    session = open_graph(args.source)
    most = check.check_runs(session, graph, m)
    described = m["encoder"]["graphs"]["fp32"]
    if most == 1 and described.setdefault("max_batch", 1) != 1:
        raise ExportError(f"encoder.graphs.fp32.max_batch: expected 1, as the graph's windows depend on each other or its batch is 1; found {described['max_batch']}")
    if graph.data:
        described["external_data"] = list(graph.data)
    m["id"] = package_id(args, m["id"])
    m["license"].setdefault("source_sha256", sha256(args.source))
    if args.license_file and m["license"].get("file"):
        raise ExportError(f"--license-file: expected none, as the manifest names {m['license']['file']}")
    room = sum(p.stat().st_size for p in (args.source, *beside.values(), *(args.source.parent / n for n in graph.data)))
    with PackageWriter(args, m, room=room * len(args.precision)) as package:
        shutil.copyfile(args.source, package.path("encoder.onnx"))
        for name, file in (*beside.items(), *((n, args.source.parent / n) for n in graph.data)):
            package.path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, package.path(name))
        model = Whole(package.folder, m)
        check.check_parts(package.folder, m, *model.encoded())
        if len(args.precision) > 1:
            reduced(args, package, m, described, reduce, model.embed)
        package.self_test(model.clip)


def write_template(args, graph):
    from gst_listen_export.ready.template import template

    if args.manifest is not None:
        raise ExportError("--template: expected no --manifest, as it writes one; found both")
    if not graph.inputs:
        raise ExportError(f"{graph.path}: expected an input, found none")
    if args.output.exists() and not args.replace:
        raise ExportError(f"{args.output}: expected nothing there; it exists. --replace replaces it")
    args.output.write_text(template(graph), encoding="utf-8")
    print(f"{args.output}: fill it in, then: gst-listen-export onnx {graph.path} --manifest {args.output} -o PACKAGE")


def reduced(args, package, m, described, reduce, embed):
    """fp16 and int8 beside the graph."""
    from gst_listen_export.feeds import window_feeds

    if described.get("max_batch") == 1 and args.int8 is None and "int8" in args.precision:
        args.int8 = "dynamic"
    graphs = reduce(package.folder, "encoder", args.precision, window_feeds(m, args.sounds, package=package.folder), args.int8 or "static", embed,
                    in_graph=m["frontend"]["kind"] == "in_graph")
    for precision, graph in graphs.items():
        if described.get("max_batch") and precision != "fp32":
            graph["max_batch"] = described["max_batch"]
    package.manifest["encoder"]["graphs"] = graphs | {"fp32": described}


class Whole:
    """The package's graphs, from a normalised window to its embedding."""

    def __init__(self, folder, manifest):
        from gst_listen_export.commands.verify import Model

        self.manifest, self.model = manifest, Model(folder, manifest | {"head": None, "clap": None}, "fp32")
        self.whole = Model(folder, manifest, "fp32") if manifest.get("head") else self.model

    def encoded(self):
        """The encoder's output for noise, and that pooled `[1, D]`."""
        from gst_listen_export.ready.check import feed

        gives = self.manifest["encoder"]["output"]
        y = self.model.encoder.run([gives["name"]], feed(self.manifest, 1, self.manifest["window"]["frames"]))[0]
        found = {}
        if self.manifest["clip_pooling"] != "none" or gives["kind"] in ("clip", "logits"):
            self.model.vectors(y, found)
        return y, found["embedding"][None].astype(y.dtype) if found else None

    def clip(self, window):
        """A window's embedding."""
        from gst_listen_export.feeds import laid_out

        takes, gives = (self.manifest["encoder"][k] for k in ("input", "output"))
        x = window[None] if takes["layout"] == "BT" else laid_out(window, takes["layout"])
        return self.embed(self.whole.encoder.run([gives["name"]], {takes["name"]: x})[0])[0]

    def embed(self, encoded):
        """What the encoder gives for one window, as the package's embedding `[1, D]`."""
        found = {}
        self.whole.vectors(encoded, found)
        return found["embedding"][None]
