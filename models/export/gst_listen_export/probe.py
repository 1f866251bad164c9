"""A linear classifier on embeddings: logistic regression, judged on recordings that it was not trained on, as an ONNX graph.

scikit-learn trains it; standardisation is folded into its weights, so that the graph is one `Gemm` [B, D] → [B, classes].
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gst_listen_export.errors import ExportError

FOLDS = 5
SEED = 0


@dataclass
class Examples:
    """Rows of embeddings with what they are labelled."""

    x: np.ndarray  # [N, D]
    y: np.ndarray  # [N, classes], 0 or 1
    recording: np.ndarray  # [N] place in `recordings`
    recordings: list
    groups: list  # of each recording: what must not be parted between training and test
    classes: list


@dataclass(frozen=True)
class Labelled:
    """A line of the CSV file: a stretch of a recording and its classes."""

    recording: str
    classes: tuple
    start: float
    end: float
    group: str


def read_labels(path, multi):
    """Lines of `recording,label[,start,end][,group]`; with `multi` a label is classes with `;` between, or none.

    # Errors
    Other columns, a line without recording or label, times that are none.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file)
            columns = set(lines.fieldnames or [])
            if not columns >= {"recording", "label"} or not columns <= {"recording", "label", "start", "end", "group"} or ("start" in columns) != ("end" in columns):
                raise ExportError(f"{path}: expected the columns recording, label and, if you like, start, end, group; found {', '.join(sorted(columns)) or 'none'}")
            rows = list(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExportError(f"{path}: expected a CSV file in UTF-8: {error}") from None
    found = []
    for number, row in enumerate(rows, 2):
        label = (row["label"] or "").strip()
        classes = tuple(c.strip() for c in label.split(";") if c.strip()) if multi else (label,)
        if not row["recording"] or (not multi and not label):
            raise ExportError(f"{path}, line {number}: expected a recording and a label; found {row['recording']!r}, {label!r}")
        try:
            start, end = (float(row.get(k) or d) for k, d in (("start", "0"), ("end", "inf")))
        except ValueError:
            raise ExportError(f"{path}, line {number}: expected start and end in seconds; found {row['start']!r}, {row['end']!r}") from None
        if not 0 <= start < end:
            raise ExportError(f"{path}, line {number}: expected 0 <= start < end; found {start:g} to {end:g}")
        found.append(Labelled(row["recording"], classes, start, end, row.get("group") or row["recording"]))
    if not found:
        raise ExportError(f"{path}: expected lines; found none")
    return found


def examples(index, space, dim, labels, multi):
    """What the labels say of the embeddings of an index.

    # Errors
    A recording that is not indexed, embeddings of another package or length, a class of a single group.
    """
    from gst_listen_search import store
    from gst_listen_search.errors import SearchError

    try:
        told = store.read_index(index)
        if told["space"] != space:
            raise ExportError(f"{index}: holds embeddings of space {told['space']}; the package has {space}")
        names = sorted({c for line in labels for c in line.classes})
        if len(names) < (1 if multi else 2):
            raise ExportError(f"expected {'one class' if multi else 'two classes'} or more; found {', '.join(names) or 'none'}")
        parts, recordings, groups = [], [], []
        for line in labels:
            path = store.place(index, line.recording)
            if not path.exists():
                raise ExportError(f"{index}: {line.recording} is not indexed")
            if store.about(path).space != space:
                raise ExportError(f"{path}: is of space {store.about(path).space}; expected {space}")
            times, vectors = store.read(path)
            middle = times.mean(axis=1) / 1e9
            inside = vectors[(middle >= line.start) & (middle < line.end)] if len(vectors) else vectors
            if len(inside) and inside.shape[1] != dim:
                raise ExportError(f"{path}: embeddings have {inside.shape[1]} values; the package's clip embedding has {dim}: index with --output clip")
            if line.recording not in recordings:
                recordings.append(line.recording)
                groups.append(line.group)
            if len(inside):
                y = np.tile([[c in line.classes for c in names]], (len(inside), 1))
                parts.append((inside, y, np.full(len(inside), recordings.index(line.recording))))
    except SearchError as error:
        raise ExportError(str(error)) from None
    if not parts:
        raise ExportError(f"{index}: no embedding lies in what the labels name")
    x, y, recording = (np.concatenate(p) for p in zip(*parts, strict=True))
    found = Examples(x.astype(np.float64), y.astype(int), recording, recordings, groups, names)
    for c, name in enumerate(names):
        of = {groups[r] for r in np.unique(recording[found.y[:, c] == 1])}
        rest = {groups[r] for r in np.unique(recording[found.y[:, c] == 0])}
        if len(of) < 2 or len(rest) < 2:
            raise ExportError(f"class {name!r}: expected two recordings (groups) with it and two without, to judge the probe by; found {len(of)} and {len(rest)}")
    return found


def train(data, rows, c, multi):
    """`(W [classes, D], b [classes])` on the rows: the logits of softmax, or of a sigmoid each with `multi`."""
    from sklearn.linear_model import LogisticRegression

    x, y = data.x[rows], data.y[rows]
    mean, std = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    # A recording counts as one, however long it is.
    counts = np.bincount(data.recording[rows], minlength=len(data.recordings))
    weight = 1.0 / counts[data.recording[rows]]
    fit = lambda target: LogisticRegression(C=c, max_iter=2000, class_weight="balanced").fit((x - mean) / std, target, sample_weight=weight * len(x) / weight.sum())
    if multi:
        models = [fit(y[:, k]) for k in range(y.shape[1])]
        w, b = np.concatenate([m.coef_ for m in models]), np.concatenate([m.intercept_ for m in models])
    else:
        model = fit(y.argmax(axis=1))
        w, b = model.coef_, model.intercept_
        if len(w) == 1:  # of two classes scikit-learn keeps the difference of their logits
            w, b = np.concatenate([-w, w]) / 2, np.concatenate([-b, b]) / 2
    w = w / std
    return w, b - w @ mean


def scores(w, b, x, multi):
    z = x @ w.T + b
    if multi:
        return 1 / (1 + np.exp(-np.clip(z, -700, 700)))
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def judge(data, c, multi):
    """Scores of each recording by a probe that did not hear its group, `[recordings, classes]`, and its true classes."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    groups = np.array(data.groups)[data.recording]
    folds = min(FOLDS, len(set(data.groups)))
    if multi:
        split = GroupKFold(folds, shuffle=True, random_state=SEED).split(data.x, groups=groups)
    else:
        target = data.y.argmax(axis=1)
        fewest = min(len(set(groups[target == k])) for k in range(len(data.classes)))
        split = StratifiedGroupKFold(min(folds, fewest), shuffle=True, random_state=SEED).split(data.x, target, groups)
    found = np.full(data.y.shape, np.nan)
    for training, test in split:
        seen = data.y[training]
        if seen.min(axis=0).any() or not seen.max(axis=0).all():
            continue  # a class of which this fold's training has all or nothing
        found[test] = scores(*train(data, training, c, multi), data.x[test], multi)
    heard = [r for r in range(len(data.recordings)) if np.isfinite(found[data.recording == r]).all() and (data.recording == r).any()]
    mean = lambda values: np.array([values[data.recording == r].mean(axis=0) for r in heard])
    return mean(found), mean(data.y.astype(float)) >= 0.5


def report(found, truth, classes, multi):
    """`(balanced accuracy over recordings, lines for people)`."""
    lines, recalls = [], []
    if multi:
        for k, name in enumerate(classes):
            hit, free = (found[truth[:, k], k] >= 0.5), (found[~truth[:, k], k] < 0.5)
            recalls.append((hit.mean() + free.mean()) / 2)
            lines.append(f"  {name}: {hit.sum()} of {len(hit)} with it, {free.sum()} of {len(free)} without it are right")
    else:
        best, true = found.argmax(axis=1), truth.argmax(axis=1)
        for k, name in enumerate(classes):
            of = best[true == k]
            recalls.append((of == k).mean())
            others = ", ".join(f"{(of == j).sum()} as {classes[j]}" for j in range(len(classes)) if j != k and (of == j).any())
            lines.append(f"  {name}: {(of == k).sum()} of {len(of)} recordings" + (f"; {others}" if others else ""))
    return float(np.mean(recalls)), lines


def save_graph(path, w, b):
    """`embedding` [B, D] → `logits` [B, classes]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", k]) for n, k in (("embedding", w.shape[1]), ("logits", w.shape[0]))]
    weights = [numpy_helper.from_array(w.astype(np.float32), "weight"), numpy_helper.from_array(b.astype(np.float32), "bias")]
    node = helper.make_node("Gemm", ["embedding", "weight", "bias"], ["logits"], transB=1)
    graph = helper.make_graph([node], "probe", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="gst-listen-export")
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)
