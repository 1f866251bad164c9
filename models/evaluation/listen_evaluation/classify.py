"""Which of all labels a clip is: accuracy and precision of scores per clip and label, however they were made."""

import math
from dataclasses import dataclass

import numpy as np

from .pipeline import Branch
from .progress import each


@dataclass(frozen=True)
class Result:
    """Accuracies in [0, 1] of `count` clips."""

    count: int
    top1: float
    low: float
    high: float
    top3: float
    mean_precision: float
    per_label: dict  # label: (right, of, average precision)
    confusion: np.ndarray  # [truth, said]
    labels: list


def interval(hits, count):
    """Wilson's 95% interval of a share."""
    z, p = 1.959964, hits / count
    middle, half = p + z * z / (2 * count), z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


def average_precision(scores, truth):
    """Mean over the true ones of the precision at their rank; equal scores count as ranked last."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], truth[i]))
    hits, total = 0, 0.0
    for rank, i in enumerate(order, 1):
        if truth[i]:
            hits += 1
            total += hits / rank
    return total / hits if hits else float("nan")


def area(scores, truth):
    """Area under the ROC curve; equal scores count half."""
    from scipy.stats import rankdata

    ranks, truth = rankdata(scores), np.asarray(truth, bool)
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return float("nan")
    return (float(ranks[truth].sum()) - positive * (positive + 1) / 2) / (positive * negative)


def judge(scores, truth, labels):
    """`scores` [clips, labels]; `truth`: a label a clip."""
    scores, own = np.asarray(scores, float), np.array([labels.index(t) for t in truth])
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = order[:, 0] == own
    low, high = interval(int(hits.sum()), len(own))
    confusion, per = np.zeros((len(labels), len(labels)), int), {}
    for t, s in zip(own, order[:, 0], strict=True):
        confusion[t, s] += 1
    for i, label in enumerate(labels):
        mine = own == i
        if mine.any():
            per[label] = (int(hits[mine].sum()), int(mine.sum()), average_precision(scores[:, i], mine))
    return Result(
        count=len(own),
        top1=float(hits.mean()),
        low=low,
        high=high,
        top3=float((order[:, :3] == own[:, None]).any(axis=1).mean()),
        mean_precision=float(np.mean([p for _, _, p in per.values()])),
        per_label=per,
        confusion=confusion,
        labels=labels,
    )


def best(found):
    """A number per label of a clip: its highest score; where scores (four decimals) are equal, the cosine decides."""
    score, cosine = np.asarray(found["score"], float), np.asarray(found["cosine"], float)
    if not len(score):
        raise RuntimeError("no window of scores came out")
    return score.max(axis=0) + 1e-5 * cosine.max(axis=0)


def hear(listener, rows, wordings, jobs, output, what):
    """[wordings][clips, labels]: each of `wordings` is a list with a text per label; one pass of the encoder for all."""
    listener = listener.with_properties(*listener.properties, f"output={output}")
    # A label's score does not depend on the others of its list.
    texts = list(dict.fromkeys(text for one in wordings for text in one))
    branch = Branch(tuple(texts), "audio-scores")

    def one(row):
        (found,) = listener.hear(row.path, [branch], f"{row.path.resolve()} {row.path.stat().st_mtime_ns}")
        return best(found)

    heard = np.stack(each(one, rows, jobs, what))
    return [heard[:, [texts.index(text) for text in one]] for one in wordings]
