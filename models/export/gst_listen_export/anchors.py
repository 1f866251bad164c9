"""Figures that were published of a model, computed anew with a package through the pipeline.

Two kinds (models.md 2.4 and 4.3): the accuracy of zero-shot classification on ESC-50, and the cosines of example pairs of
recording and caption. The recordings are the user's; the pipeline (`gst_listen_search.listener`) decodes, resamples and
encodes them, so that what agrees is what will run.
"""

import csv
from dataclasses import dataclass

import numpy as np

from gst_listen_export.errors import ExportError


@dataclass(frozen=True)
class Anchor:
    """A published figure: of which models, `esc50` in % or a mean cosine of `matched` or `unmatched` pairs."""

    models: str
    kind: str
    values: tuple  # several where several checkpoints of the model were published
    tolerance: float
    source: str


PAPER = "M2D-CLAP's README, table 5"
PAIRS = "the six pairs printed beside M2D-CLAP's examples"
ANCHORS = (
    Anchor("M2D-CLAP 2024", "esc50", (75.45,), 0.5, f"{PAPER}; its notebook gives the same with '<class> can be heard'"),
    Anchor("LAION-CLAP", "esc50", (91.0, 90.14, 89.98, 89.25), 0.5, f"{PAPER}, and its own README's larger models"),
    Anchor("MS-CLAP 2023", "esc50", (93.90,), 0.5, PAPER),
    Anchor("M2D-CLAP 2024", "matched", (0.087,), 0.002, PAIRS),
    Anchor("M2D-CLAP 2024", "unmatched", (0.010,), 0.002, PAIRS),
    Anchor("M2D-CLAP 2025", "matched", (0.346,), 0.002, PAIRS),
    Anchor("M2D-CLAP 2025", "unmatched", (0.191,), 0.002, PAIRS),
)
CLIPS = 2000


def models(folder, manifest):
    """The name that `ANCHORS` has for a package's model; None where it has none."""
    if manifest["family"] == "m2d-clap":
        return f"M2D-CLAP {2025 if attends(folder, manifest) else 2024}"
    return {"laion-clap": "LAION-CLAP", "ms-clap": "MS-CLAP 2023"}.get(manifest["family"])


def attends(folder, manifest):
    """Whether a package's head pools by attention, which is M2D-CLAP 2025's; that of 2024 is a mean and two layers.

    # Errors
    No head, or none that can be read.
    """
    import onnx

    path = folder / ((manifest.get("head") or {}).get("file") or "head.onnx")
    try:
        nodes = onnx.load(path, load_external_data=False).graph.node
    except Exception as error:  # protobuf's own
        raise ExportError(f"{path}: expected M2D-CLAP's head, an ONNX graph: {error}") from None
    return any(node.op_type == "Softmax" for node in nodes)


def anchor(folder, manifest, kind):
    """The figure that was published of this package's model, or None."""
    known = models(folder, manifest)
    return next((a for a in ANCHORS if a.kind == kind and a.models == known), None)


def read_csv(path, *columns):
    """# Errors
    No file, columns that are missing, no line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file)
            if not set(lines.fieldnames or []) >= set(columns):
                raise ExportError(f"{path}: expected the columns {', '.join(columns)}; found {', '.join(lines.fieldnames or []) or 'none'}")
            rows = list(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExportError(f"{path}: expected a CSV file in UTF-8: {error}") from None
    except FileNotFoundError:
        raise ExportError(f"{path}: expected a CSV file with the columns {', '.join(columns)}; nothing is there") from None
    if not rows:
        raise ExportError(f"{path}: expected lines; found none")
    return rows


class Ears:
    """Unit vectors of recordings and texts by a package: clip embeddings through the pipeline, and its text tower."""

    def __init__(self, folder, accept):
        from gst_listen_search.listener import Listener
        from gst_listen_search.package import Package
        from gst_listen_search.words import tower

        self.package = Package(folder)
        self.words = tower(self.package)
        properties = "output=clip" + (" accept-license=true" if accept else "")
        self.listener = Listener(folder, self.package.melspec, properties)

    def sound(self, path):
        """The mean of its windows' embeddings: a window as long as the recording is one."""
        times, vectors, _ = self.listener.hear(path)
        if not len(vectors):
            raise ExportError(f"{path}: expected sound; the pipeline gives no embedding")
        mean = vectors.astype(np.float64).mean(axis=0)
        return mean / np.linalg.norm(mean)

    def text(self, text, templates):
        from gst_listen_search.words import embedding

        return embedding(self.words, templates, text)


def esc50(ears, folder, progress=lambda done, of: None):
    """`(accuracy in %, clips, accuracy of each class)` of ESC-50 as it is unpacked: `meta/esc50.csv` and `audio/*.wav`.

    The class whose text is nearest by the cosine, with the package's own prompts; no calibration.
    """
    rows = read_csv(folder / "meta" / "esc50.csv", "filename", "category")
    names = sorted({r["category"] for r in rows})
    texts = np.stack([ears.text(n.replace("_", " "), ears.package.manifest["clap"]["prompt_templates"]) for n in names])
    right = {n: [] for n in names}
    with ears.listener:
        for done, row in enumerate(rows):
            progress(done, len(rows))
            best = names[int((texts @ ears.sound(folder / "audio" / row["filename"])).argmax())]
            right[row["category"]].append(best == row["category"])
    flat = [r for of in right.values() for r in of]
    return 100 * float(np.mean(flat)), len(rows), {n: 100 * float(np.mean(r)) for n, r in right.items()}


def pairs(ears, path):
    """Cosines `[recordings, captions]` of the lines of a CSV file `file,caption`; captions are embedded as they stand."""
    rows = read_csv(path, "file", "caption")
    if len(rows) < 2:
        raise ExportError(f"{path}: expected two pairs or more; found {len(rows)}")
    captions = np.stack([ears.text(r["caption"], ["{}"]) for r in rows])
    with ears.listener:
        sounds = np.stack([ears.sound(path.parent / r["file"]) for r in rows])
    return sounds @ captions.T


def compare(folder, manifest, kind, found, what):
    """`(whether it agrees, or None where nothing was published, a line for people)`."""
    known = anchor(folder, manifest, kind)
    if known is None:
        return None, f"{what}: {found:.4g}; no published figure is known of {manifest['id']}"
    ok = min(abs(found - value) for value in known.values) <= known.tolerance
    values = " or ".join(f"{v:g}" for v in known.values)
    return ok, f"{what}: {found:.4g}; published of {known.models}: {values} (± {known.tolerance:g}: {known.source}): {'ok' if ok else 'DIFFERS'}"


def check_esc50(manifest, ears, folder, progress):
    """Lines for people, and whether something differs."""
    accuracy, clips, classes = esc50(ears, folder, progress)
    weak = sorted(classes, key=classes.get)[:5]
    lines = [f"weakest classes: {', '.join(f'{n} {classes[n]:.0f}%' for n in weak)}"]
    if clips != CLIPS:
        return [f"ESC-50, zero-shot: {accuracy:.4g}% of {clips} clips; published figures are of all {CLIPS}", *lines], False
    ok, line = compare(ears.package.folder, manifest, "esc50", accuracy, "ESC-50, zero-shot, % of 2,000 clips")
    return [line, *lines], ok is False


def check_pairs(manifest, ears, path):
    cosines = pairs(ears, path)
    matched = np.eye(len(cosines), dtype=bool)
    lines, differs = ["  ".join(f"{c:7.4f}" for c in row) for row in cosines], False
    for kind, value in (("matched", cosines[matched].mean()), ("unmatched", cosines[~matched].mean())):
        ok, line = compare(ears.package.folder, manifest, kind, float(value), f"mean cosine of {kind} pairs")
        lines.append(line)
        differs |= ok is False
    return lines, differs
