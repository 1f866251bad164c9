"""YAMNet as a detector beside the package: what it hears of the same scenes, and how often it is wrong in the same unrelated sound.

Its classes are mapped by hand; a label's score is the mean of three patches. It has no thresholds of its own, so it is shown with
some that are set by hindsight, on the very streams. Each stream is brought near full scale as a whole.
"""

import numpy as np

from . import detect, yamnet

SECONDS = yamnet.HOP / 100  # from one patch to the next
PATCH = yamnet.PATCH / 100
RECALL, RATE = 0.55, 2.0  # of the bar


def curve(scores, labels, mapping, names):
    """[patches, labels]: the mean of three patches of the highest of a label's classes."""
    found = yamnet.by_hand(scores, labels, mapping, names)
    padded = np.pad(found, ((1, 1), (0, 0)), mode="edge")
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def spans(on):
    """(onset, offset) in seconds of patches that are `on`; what one patch parts is one."""
    found = []
    for first, end in np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]]))).reshape(-1, 2).tolist():
        if found and first - found[-1][1] <= 1:
            found[-1][1] = end
        else:
            found.append([first, end])
    return [(first * SECONDS, (end - 1) * SECONDS + PATCH) for first, end in found]


def recall(scenes, labels, thresholds):
    """`scenes`: [(truth, curve)]; the share of true sounds during which their label is at its threshold."""
    heard = [
        detect.Heard(
            "", 0.0, truth, [(*s, k) for i, k in enumerate(labels) for s in spans(x[:, i] >= thresholds[i])], []
        )
        for truth, x in scenes
    ]
    return detect.recall(heard)[0]


def events(curves, label, threshold):
    """How often one label is heard in unrelated sound."""
    return sum(len(spans(x[:, label] >= threshold)) for x in curves)


def own_threshold(curves, label, most):
    """The lowest threshold down to which a label is heard `most` times at most."""
    values = np.unique(np.concatenate([x[:, label] for x in curves]))[::-1]
    lowest = float(values[0]) + 1e-6
    for value in values.tolist():
        if events(curves, label, value) > most:
            break
        lowest = value
    return lowest


def figures(scenes, curves, labels):
    """[(how its thresholds are set, recall, false events an hour and list of ten)]; arguments as above."""
    hours = sum(map(len, curves)) * SECONDS / 3600
    rate = lambda limits: sum(events(curves, i, t) for i, t in enumerate(limits)) / hours / (len(labels) / 10)
    values = np.concatenate([x.ravel() for x in curves])
    every = np.append(np.unique(np.quantile(values, 1 - np.geomspace(1e-6, 0.2, 60))), values.max() + 1e-6)
    shared = [(recall(scenes, labels, same), rate(same)) for same in ([t] * len(labels) for t in every.tolist())]
    out = []
    sharp = [pair for pair in shared if pair[0] >= RECALL]
    if sharp:
        out.append((f"one threshold, so that it hears {100 * RECALL:.0f}%", *min(sharp, key=lambda p: p[1])))
    # At the last nothing is heard in them.
    best = max((pair for pair in shared if pair[1] <= RATE), key=lambda pair: (pair[0], -pair[1]))
    out.append((f"one threshold, so that at most {RATE:.0f} an hour are false", *best))
    for most in (0, 1, 32):
        limits = [own_threshold(curves, i, most) for i in range(len(labels))]
        what = "never false" if most == 0 else "false once" if most == 1 else f"false {most} times"
        out.append(
            (f"each label its own, so that it is {what} in these streams", recall(scenes, labels, limits), rate(limits))
        )
    return out
