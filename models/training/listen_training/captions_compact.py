"""The evidence as labels and times alone (`models/captioner/EVIDENCE.md`), as `models/captioner` tells it a decoder."""

from dataclasses import dataclass

MOST_KINDS, MOST_TIMES, MOST_NAME, LATEST = 8, 8, 40, 999


@dataclass(frozen=True)
class Event:
    """What a detector reported: times in seconds of the stream, `offset` None while it goes on, the peak score."""

    label: str
    onset: float
    offset: float | None
    score: float = 1.0


def name_of(label):
    """A name of lower-case words in which nothing can be taken for a time or a mark."""
    plain = "".join(c if c.isalnum() or c in "'-" else " " for c in label.lower())
    name = ""
    for word in plain.split():
        between = "-" if word.isnumeric() else " " if name else ""
        if len(name) + len(between) + len(word) > MOST_NAME:
            break
        name += between + word
    return name or "sound"


def tenths(seconds, start):
    """Whole tenths of a second since `start`, as nanoseconds are rounded."""
    ns = max(0, round(seconds * 1e9) - round(start * 1e9))
    return min(LATEST, (ns + 50_000_000) // 100_000_000)


def compact(events, start, now):
    """The form for events in the order in which they came: `dog barking 0 8 15 21 , rain 5 +`; "" without any."""
    kinds = {}
    for number, event in enumerate(sorted(events, key=lambda e: e.onset)):
        kinds.setdefault(name_of(event.label), []).append((number, event))
    peak = {name: max(e.score for _, e in found) for name, found in kinds.items()}
    # Of equals the earlier stays.
    kept = set(sorted(kinds, key=lambda name: -peak[name])[:MOST_KINDS])
    told = []
    for name, found in kinds.items():
        if name in kept:
            words = [name]
            for _, event in found[:MOST_TIMES]:
                gone = event.offset is not None and event.offset <= now
                words += [str(tenths(event.onset, start))]
                words += [str(tenths(max(event.offset, event.onset), start)) if gone else "+"]
            told.append(" ".join(words))
    return " , ".join(told)
