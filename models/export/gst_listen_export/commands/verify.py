"""Compares a package with reference vectors that a licensed user made with the original program, and reports.

Each reference is a safetensors file with `samples` [N] (mono, in [-1, 1], at the package's rate) and one or more of
`log_mel` [T, F], `tokens` [N, D] (frequency-major), `frames` [T, D], `embedding` [D] of the whole recording. REFERENCES is such a file or a
folder of them. Without REFERENCES the package's own self-test is run.

Passed: log-mel within 1e-3 (the original's float32 transform is that far from float64 where it is nearly silent), and a
cosine of at least 0.9999 for each vector. The recording must not be longer than the package's longest window.

    gst-listen-export verify clap2024.pkg --esc50 ~/ESC-50-master --pairs examples.csv --accept-license

also computes published figures through the pipeline, with recordings that you have: the zero-shot accuracy on ESC-50 (as
unpacked: meta/esc50.csv, audio/), and the mean cosines of example pairs (a CSV file with the columns file, caption).
"""

import sys
from pathlib import Path

from gst_listen_export.errors import ExportError

NAME = "verify"
HELP = "compare a package with reference vectors, or with its own self-test"
MIN_COSINE = 0.9999
MAX_LOG_MEL = 1e-3
KNOWN = {"samples", "log_mel", "tokens", "frames", "embedding"}


def add_arguments(parser):
    parser.add_argument("package", type=Path)
    parser.add_argument("references", type=Path, nargs="?", help="a safetensors file, or a folder of them")
    parser.add_argument("--precision", help="graph to run (default: fp32, or the most exact that the package has)")
    parser.add_argument("--esc50", type=Path, metavar="FOLDER", help="ESC-50 as it is unpacked: zero-shot accuracy, against what was published")
    parser.add_argument("--pairs", type=Path, metavar="CSV", help="pairs of file and caption: their cosines, against what was published")
    parser.add_argument("--accept-license", action="store_true", help="agree to the package's licence (for --esc50 and --pairs)")


def run(args):
    """1 where anything differs by more than it may."""
    from gst_listen_export.commands.inspect import faults, read_manifest

    manifest = read_manifest(args.package)
    if wrong := faults(args.package, manifest):
        raise ExportError(f"{args.package}: {'; '.join(wrong)}")
    if args.esc50 or args.pairs:
        return published(args, manifest)
    files = references(args.package, manifest, args.references)
    model = Model(args.package, manifest, args.precision)
    failed = 0
    for file in files:
        tensors = read_reference(file)
        found = model.all(tensors["samples"])
        for name in sorted(tensors.keys() - {"samples"}):
            ok, words = compare(name, tensors[name], found.get(name))
            failed += not ok
            print(f"{file}: {name}: {'ok' if ok else 'DIFFERS'}: {words}")
    if args.references is None and (manifest.get("captioner") or {}).get("self_test"):
        failed += not verify_captions(args.package, manifest)
    print(f"{args.package}: {'everything agrees' if not failed else f'{failed} do not agree'}")
    return 1 if failed else 0


def verify_captions(package, manifest):
    """Whether a language model in the package says its self-test's tokens."""
    from gst_listen_export.llm.self_test import repeat

    expected, found = repeat(package, manifest)
    print(f"{package}: captions: {'ok' if expected == found else 'DIFFERS'}: expected the tokens {expected}, found {found}")
    return expected == found


def published(args, manifest):
    """1 where a published figure is not met."""
    from gst_listen_export import anchors
    from gst_listen_search.errors import SearchError

    differs, lines = False, []
    try:
        if args.pairs:
            lines, differs = anchors.check_pairs(manifest, anchors.Ears(args.package, args.accept_license), args.pairs)
            print("\n".join(lines))
        if args.esc50:
            lines, other = anchors.check_esc50(manifest, anchors.Ears(args.package, args.accept_license), args.esc50, told)
            differs |= other
            print("\n".join(lines))
    except SearchError as error:
        raise ExportError(str(error)) from None
    return 1 if differs else 0


def told(done, of):
    """On a terminal, how far it is."""
    if sys.stderr.isatty():
        print(f"\r  {done} of {of}\r", end="", file=sys.stderr, flush=True)


def references(package, manifest, path):
    if path is None:
        test = manifest.get("self_test")
        if not test:
            raise ExportError(f"{package}: has no self-test; give a file of reference vectors")
        return [package / test["file"]]
    if not path.exists():
        raise ExportError(f"{path}: expected a safetensors file or a folder of them; nothing is there")
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise ExportError(f"{path}: expected *.safetensors; found none")
    return files


def read_reference(file):
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise ExportError(f"{file}: expected a safetensors file: {error}") from None
    unknown = sorted(tensors.keys() - KNOWN)
    if unknown or "samples" not in tensors or len(tensors) < 2:
        raise ExportError(f"{file}: expected `samples` and one or more of log_mel, tokens, frames, embedding; found {', '.join(sorted(tensors)) or 'nothing'}")
    if tensors["samples"].ndim != 1:
        raise ExportError(f"{file}: samples: expected [N]; found {list(tensors['samples'].shape)}")
    return tensors


def compare(name, expected, found):
    """`(whether it is near enough, how near it is)`."""
    import numpy as np

    if found is None:
        return False, "the package does not give it"
    expected, found = expected.astype(np.float64), np.asarray(found, np.float64)
    if expected.shape != found.shape:
        return False, f"expected {list(expected.shape)}, the package gives {list(found.shape)}"
    worst = float(np.abs(expected - found).max())
    if name == "log_mel":
        return worst <= MAX_LOG_MEL, f"largest difference {worst:.1e}"
    a, b = np.atleast_2d(expected), np.atleast_2d(found)
    cosines = (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-30)
    return bool(cosines.min() >= MIN_COSINE), f"smallest cosine {cosines.min():.6f}, largest difference {worst:.1e}"


class Model:
    """A package run by ONNX Runtime as FORMAT.md says."""

    def __init__(self, folder, manifest, precision):
        graphs = manifest["encoder"]["graphs"]
        precision = precision or next((p for p in ("fp32", "bf16", "fp16", "int8") if p in graphs), "fp32")
        if precision not in graphs:
            raise ExportError(f"{folder}: expected a graph of precision {precision}; it has {', '.join(graphs)}")
        self.folder, self.manifest = folder, manifest
        self.encoder = self._open(graphs[precision]["file"])
        self.head = self._open(manifest["head"]["file"]) if manifest.get("head") else None

    def _open(self, name):
        from gst_listen_export.onnx_export import open_graph

        return open_graph(self.folder / name)

    def all(self, samples):
        """`log_mel`, `tokens`, `frames` and `embedding` of a recording, as far as the package gives them."""
        import numpy as np

        from gst_listen_export import logmel
        from gst_listen_export.feeds import laid_out
        from gst_listen_export.package import condition

        m, found = self.manifest, {}
        x = condition(samples, m["audio"])
        in_graph = m["frontend"]["kind"] == "in_graph"
        if not in_graph:
            x = found["log_mel"] = logmel.log_mel(m["frontend"], x, self.folder)
        if not m["window"]["min_frames"] <= len(x) <= m["window"]["max_frames"]:
            raise ExportError(f"the recording has {len(x)} {'samples' if in_graph else 'frames'}; the package takes "
                              f"{m['window']['min_frames']} to {m['window']['max_frames']}")
        seconds = (1 if in_graph else m["frontend"]["hop_length"]) / m["audio"]["sample_rate"]
        x = logmel.normalize(x, m["normalize"], seconds).astype(np.float32)
        feed = x[None] if in_graph else laid_out(x, m["encoder"]["input"]["layout"])
        y = self.encoder.run([m["encoder"]["output"]["name"]], {m["encoder"]["input"]["name"]: feed})[0]
        self.vectors(y, found)
        return found

    def vectors(self, y, found):
        import numpy as np

        m, out = self.manifest, self.manifest["encoder"]["output"]
        clip = y[0]
        if out["kind"] == "tokens":
            rows, major = out["freq_rows"], out["order"] == "f_major"
            grid = y[0].reshape(rows, -1, out["dim"]) if major else y[0].reshape(-1, rows, out["dim"]).transpose(1, 0, 2)
            found["tokens"] = grid.reshape(-1, out["dim"])
            stacked = m["frame_embedding"] == "stack_freq"
            found["frames"] = grid.transpose(1, 0, 2).reshape(grid.shape[1], -1) if stacked else grid.mean(axis=0)
        elif out["kind"] == "frames":
            found["frames"] = y[0]
        if "frames" in found and m["clip_pooling"] != "none":
            frames = found["frames"]
            clip = frames.mean(axis=0) + (frames.max(axis=0) if m["clip_pooling"] == "mean_plus_max_time" else 0)
        if self.head:
            h = m["head"]
            clip = self.head.run([h["output"]], {h["input"]: y if h["takes"] == "all" else clip[None]})[0][0]
        found["embedding"] = clip / np.linalg.norm(clip) if m.get("clap") else clip
