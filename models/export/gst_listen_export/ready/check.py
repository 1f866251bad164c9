"""A graph against its manifest: names, kinds and shapes as the file has them, then what it gives when it is run."""

import numpy as np

from gst_listen_export.errors import ExportError

MAX_VALUES = 1 << 24
"""Longest window that is tried, in values."""
ALONE = 1e-3
"""How far a window's result may be from what it is when other windows are encoded beside it, of its largest value."""


def check_ports(graph, manifest):
    """What the file says of itself.

    # Errors
    Another name, type, number of dimensions, or a fixed dimension of another length.
    """
    takes, gives, out = manifest["encoder"]["input"], manifest["encoder"]["output"], manifest["encoder"]["output"]
    found = graph.input(takes["name"], "encoder.input.name")
    if len(graph.inputs) != 1:
        raise ExportError(f"{graph.path}: expected one input; found {len(graph.inputs)}: {'; '.join(map(str, graph.inputs))}")
    window, bands = manifest["window"], manifest["frontend"].get("n_mels")
    lengths = (window["min_frames"], window["max_frames"])
    places = {"B": None, "1": 1, "F": bands, "T": lengths}
    compare(graph, f"encoder.input.layout {takes['layout']}", found, [places[letter] for letter in takes["layout"]])
    found = graph.output(gives["name"], "encoder.output.name")
    shape = [None, out["dim"]] if out["kind"] in ("clip", "logits") else [None, None, out["dim"]]
    compare(graph, f"encoder.output.kind {out['kind']}, dim {out['dim']}", found, shape)


def compare(graph, key, port, expected):
    """`expected`: a length, a pair from least to most, or None for any."""
    words = ", ".join("any" if e is None else f"{e[0]} to {e[1]}" if isinstance(e, tuple) else str(e) for e in expected)
    if port.kind != "float32" or (port.shape is not None and len(port.shape) != len(expected)):
        raise ExportError(f"{graph.path}: {key}: expected float32 [{words}], found {port}")
    for found, e in zip(port.shape or expected, expected, strict=True):
        if isinstance(found, int) and e is not None and (e if isinstance(e, tuple) else (e, e)) != (found, found):
            raise ExportError(f"{graph.path}: {key}: expected [{words}], found {port}")


def feed(manifest, batch, length, seed=0):
    """Noise as the encoder takes it."""
    layout, bands = manifest["encoder"]["input"]["layout"], manifest["frontend"].get("n_mels")
    shape = [{"B": batch, "1": 1, "F": bands, "T": length}[letter] for letter in layout]
    return {manifest["encoder"]["input"]["name"]: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


def rows(manifest, length):
    """Vectors of a window of so many frames; None for kinds that give one."""
    out = manifest["encoder"]["output"]
    return None if out["kind"] in ("clip", "logits") else out["freq_rows"] * (length // out["frames_per_column"])


def run(session, manifest, graph, batch, length):
    """What a window gives.

    # Errors
    The graph does not take it, or gives another shape or numbers that are none.
    """
    out, unit = manifest["encoder"]["output"], "samples" if manifest["frontend"]["kind"] == "in_graph" else "frames"
    what = f"{graph.path}: a window of {length} {unit}, {batch} at a time"
    try:
        found = session.run([out["name"]], feed(manifest, batch, length))[0]
    except Exception as error:  # ONNX Runtime's own, of no common kind
        raise ExportError(f"{what}: expected the graph to take it (window.min_frames, frames, max_frames); it says: {str(error).strip().splitlines()[-1]}") from None
    count = rows(manifest, length)
    expected = [batch, out["dim"]] if count is None else [batch, count, out["dim"]]
    # A front end of the graph's own may have one step more, of samples beyond the last whole one.
    more = unit == "samples" and count is not None and list(found.shape) == [batch, count + out["freq_rows"], out["dim"]]
    if list(found.shape) != expected and not more:
        raise ExportError(f"{what}: expected {expected} for kind {out['kind']}, dim {out['dim']}, freq_rows {out['freq_rows']}, "
                          f"frames_per_column {out['frames_per_column']}; found {list(found.shape)}")
    if not np.isfinite(found).all():
        raise ExportError(f"{what}: expected finite numbers, found {np.count_nonzero(~np.isfinite(found))} others")
    return found


def check_runs(session, graph, manifest):
    """Runs the shortest, the default and the longest window; gives the largest batch that the graph takes (1), or None for any."""
    w = manifest["window"]
    size = manifest["frontend"].get("n_mels", 1)
    for length in sorted({w["min_frames"], w["frames"], w["max_frames"]}):
        if length == w["frames"] or length * size <= MAX_VALUES:
            run(session, manifest, graph, 1, length)
    batch = (graph.input(manifest["encoder"]["input"]["name"], "encoder.input.name").shape or (None,))[0]
    if isinstance(batch, int) and batch > 1:
        raise ExportError(f"{graph.path}: expected a batch that is free, or 1; found {batch}")
    if batch == 1:
        return 1
    name, out = manifest["encoder"]["input"]["name"], manifest["encoder"]["output"]["name"]
    try:
        together = run(session, manifest, graph, 2, w["frames"])
    except ExportError:
        return 1
    both = feed(manifest, 2, w["frames"])[name]
    alone = np.concatenate([session.run([out], {name: both[i : i + 1]})[0] for i in range(2)])
    return None if np.abs(alone - together).max() <= ALONE * max(1.0, float(np.abs(alone).max())) else 1


def check_parts(folder, manifest, encoded, pooled):
    """Head, tagger and text tower of a package that is being written, run on what the encoder gives.

    # Errors
    Names that the graphs do not have, another length of what they give.
    """
    m, clip = manifest, pooled
    if head := m.get("head"):
        clip = part(folder, "head", head, {head["input"]: encoded if head["takes"] == "all" else pooled}, head["dim"])
    if clap := m.get("clap"):
        size = clip.shape[-1]
        if clap["dim"] != size:
            raise ExportError(f"clap.dim: expected {size}, as sound is embedded, found {clap['dim']}")
    tagger = m.get("tagger")
    if tagger:
        names = (folder / tagger["labels"]).read_text(encoding="utf-8").splitlines()
        if tagger.get("file"):
            part(folder, "tagger", tagger, {tagger["input"]: clip}, len(names))
        elif len(names) != m["encoder"]["output"]["dim"]:
            raise ExportError(f"tagger.labels: expected {m['encoder']['output']['dim']} lines, one a class; found {len(names)}")
    if (text := m.get("text")) and clap:
        length = text["max_length"] if text["pad"] == "max_length" else 4
        ids = np.full((1, length), text["pad_id"], np.int64)
        feeds = dict(zip(text["inputs"], (ids, np.ones_like(ids)), strict=False))
        part(folder, "text", text, feeds, clap["dim"])


def part(folder, key, section, feeds, dim):
    """What a graph beside the encoder gives; its last dimension must be `dim`."""
    from .graph import read_graph

    graph = read_graph(folder / section["file"])
    for name in feeds:
        graph.input(name, f"{key}.{'inputs' if key == 'text' else 'input'}")
    graph.output(section["output"], f"{key}.output")
    from gst_listen_export.onnx_export import open_session

    try:
        found = open_session(graph.path).run([section["output"]], feeds)[0]
    except Exception as error:  # ONNX Runtime's own
        shapes = ", ".join(f"{n} {list(v.shape)}" for n, v in feeds.items())
        raise ExportError(f"{key}.file: expected a graph that takes {shapes}; it says: {str(error).strip().splitlines()[-1]}") from None
    if found.shape[-1] != dim:
        raise ExportError(f"{key}.file: expected {dim} values of each, found {list(found.shape)}")
    return found
