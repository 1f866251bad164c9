"""False alarms: events at the default thresholds in sound that matches no label, an hour and list of ten."""

import json
from collections import Counter
from dataclasses import dataclass

from . import pipeline, sounds, unrelated
from .progress import each


@dataclass(frozen=True)
class Heard:
    """A stream: its hours, its pieces (`unrelated.Piece`), and (middle in seconds, label) of each event in it."""

    hours: float
    pieces: list
    events: list


def hear(listener, make, count, lists, jobs, identity, what):
    """What is heard of each of `count` streams, of which `make(number)` gives the samples and the pieces."""
    branches = [pipeline.Branch(tuple(ten), "audio-events") for ten in lists]

    def one(number):
        kept = listener.place(branches, f"{identity} {number} pieces")
        if kept and kept.exists():
            seconds, pieces = json.loads(kept.read_text())
            # Only where the lines are gone it is made once more.
            sound = lambda: make(number)[0]
        else:
            samples, pieces = make(number)
            seconds, sound = len(samples) / sounds.RATE, lambda: samples
        lines = listener.hear(sound, branches, f"{identity} {number}")
        if kept and not kept.exists():
            pipeline.keep(kept, [seconds, pieces])
        hours, pieces = seconds / 3600, [unrelated.Piece(*piece) for piece in pieces]
        return Heard(hours, pieces, [((e[0] + e[1]) / 2, e[2]) for part in lines for e in pipeline.events(part)])

    return each(one, range(count), jobs, what)


def rate(heard, lists, of):
    """Events of the labels `of`, in `lists` lists, an hour and list of ten; the hours; and how many of each label."""
    hours = sum(h.hours for h in heard)
    labels = Counter(label for h in heard for _, label in h.events if label in of)
    return sum(labels.values()) / hours / lists, hours, labels


def by_piece(heard, of, key):
    """{what `key` says of a piece: (hours, events)}, most events an hour first; pieces of which it says nothing are left out."""
    seconds, events = Counter(), Counter()
    for h in heard:
        for piece in h.pieces:
            if key(piece):
                seconds[key(piece)] += piece.end - piece.start
                events[key(piece)] += sum(label in of and piece.start <= at < piece.end for at, label in h.events)
    found = {what: (n / 3600, events[what]) for what, n in seconds.items()}
    return dict(sorted(found.items(), key=lambda e: -e[1][1] / e[1][0]))


def interval(events, hours, lists):
    """The exact 95% interval of a Poisson rate, an hour and list."""
    from scipy.stats import chi2

    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return low / hours / lists, chi2.ppf(0.975, 2 * events + 2) / 2 / hours / lists


def streams(folder, seed, minutes, split=None):
    """A function that makes stream `number` of recordings, and one for noise and tones: (samples, pieces)."""
    found = unrelated.kinds(folder, "eval", split)
    if not found:
        return None, lambda number: unrelated.made_up(seed, number, minutes)
    return (
        lambda number: unrelated.stream(found, seed, number, minutes),
        lambda number: unrelated.made_up(seed, number, minutes),
    )
