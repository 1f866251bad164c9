"""Captions of what was mixed: a small grammar of clauses (`captions.toml`)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

LONG = 2.5  # seconds from which on one unbroken sound is told as going on
FAR, NEAR = -9.0, 3.0  # dB to the other sounds, from which on a sound is told as far or near


@dataclass(frozen=True)
class Heard:
    """A sound in a mix: its label, where it sounds as [(onset, offset)] in seconds, and its level in dB to the others."""

    label: str
    spans: tuple
    level: float = 0.0


def table():
    """The grammar."""
    with open(Path(__file__).with_name("captions.toml"), "rb") as file:
        return tomllib.load(file)


def pick(rng, items):
    """One of `items`."""
    return items[int(rng.integers(len(items)))]


def clause(heard, grammar, rng):
    """What one sound is told as. A label that the grammar does not know is told by its name."""
    count = len(heard.spans)
    known = grammar["labels"].get(heard.label, grammar["typed"])
    seconds = max(b - a for a, b in heard.spans)
    if seconds >= LONG:
        text = pick(rng, known["on"])
    elif count > 1:
        times = grammar["joins"]["times"]
        text = pick(rng, known["often"]).replace("{times}", pick(rng, times[str(min(count, max(map(int, times))))]))
    else:
        text = pick(rng, known["once"])
    text = text.replace("{label}", heard.label)
    # Only what is clearly so, and not always.
    where = "far" if heard.level <= FAR else "near" if heard.level >= NEAR else None
    if where and rng.random() < 0.5:
        text += " " + pick(rng, grammar["joins"][where])
    return text


def overlap(a, b):
    """Whether two sounds share at least a fifth of the shorter one's time from its first onset to its last offset."""
    (a0, a1), (b0, b1) = ((h.spans[0][0], h.spans[-1][1]) for h in (a, b))
    return min(a1, b1) - max(a0, b0) >= 0.2 * min(a1 - a0, b1 - b0)


def sentence(sounds, grammar, rng):
    """A caption of `sounds` in the order of their onsets; that it is something where there are none.

    Raises `ValueError` where a sound has no spans.
    """
    for s in sounds:
        if not s.spans:
            raise ValueError(f"captions: {s.label} has no spans, expected at least one")
    told = sorted(sounds, key=lambda s: s.spans[0][0])
    if not told:
        return capital(pick(rng, grammar["nothing"]["texts"]))
    text, last = clause(told[0], grammar, rng), told[0]
    for number, s in enumerate(told[1:]):
        joins = grammar["joins"]["overlap" if overlap(last, s) else "sequence"]
        # Behind the first join, only forms that keep what was told in front.
        joins = [j for j in joins if number == 0 or j.startswith("{a}")]
        text = pick(rng, joins).replace("{a}", "\0").replace("{b}", clause(s, grammar, rng)).replace("\0", text)
        last = s
    return capital(text)


def capital(text):
    """A sentence of `text`."""
    return text[0].upper() + text[1:] + "."
