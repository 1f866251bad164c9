"""False alarms: events at the default thresholds in sound that matches no label, an hour and list of ten."""

from collections import Counter

from . import pipeline, unrelated
from .progress import each


def hear(listener, make, count, hours, lists, jobs, identity, what):
    """`make(number)` gives a stream of `hours`. For each stream: its hours, and a Counter of the labels of events in it."""
    branches = [pipeline.Branch(tuple(ten), "audio-events") for ten in lists]

    def one(number):
        lines = listener.hear(lambda: make(number), branches, f"{identity} {number}")
        return hours, Counter(e[2] for part in lines for e in pipeline.events(part))

    return each(one, range(count), jobs, what)


def rate(heard, lists, of=None):
    """Events an hour and list of ten, and how many of each label; `of`: only these labels, in `lists` lists."""
    hours = sum(h for h, _ in heard)
    labels = Counter()
    for _, found in heard:
        labels.update(found if of is None else {k: n for k, n in found.items() if k in of})
    return sum(labels.values()) / hours / lists, hours, labels


def interval(events, hours, lists):
    """The exact 95% interval of a Poisson rate, an hour and list."""
    from scipy.stats import chi2

    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return low / hours / lists, chi2.ppf(0.975, 2 * events + 2) / 2 / hours / lists


def streams(folder, seed, minutes, split=None):
    """A function that makes stream `number` of recordings, and one for noise and tones."""
    found = unrelated.kinds(folder, "eval", split)
    if not found:
        return None, lambda number: unrelated.made_up(seed, number, minutes)
    return (
        lambda number: unrelated.stream(found, seed, number, minutes),
        lambda number: unrelated.made_up(seed, number, minutes),
    )
