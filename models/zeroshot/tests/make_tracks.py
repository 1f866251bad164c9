"""Writes tracks.json: scores of one label and the events in them by listen_training.scenes.track, which the tracker must agree with.

    cd models/training && python ../zeroshot/tests/make_tracks.py
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))

from listen_training import calibrate, placing, scenes

ON, OFF = 0.8, 0.1


STRENGTHS_PER_FRAME = 8  # every 10 ms


def networks(rng):
    """Small ones that take the stronger, nearer and better heard of moments, more or less."""
    wide, narrow, told = 6, 3, placing.TOLD + 2 * placing.AROUND
    layers = []
    for outs, ins in ((wide, told), (narrow, wide), (1, narrow)):
        layers.append([rng.normal(0, 1 / np.sqrt(ins), (outs, ins)).round(3), rng.normal(0, 0.3, outs).round(3)])
    return [[value.astype(np.float32) for value in pair] for pair in layers]


def case(rng, heard, chosen=None):
    """Frames of 80 ms: parts of random height and length, sharp or smeared, a little restless; strengths where sound is `heard`.

    `chosen`: what places onsets and offsets.
    """
    raw = np.concatenate([np.full(rng.integers(1, 14), rng.choice([0, 0, 0.05, 0.3, 0.9, 1])) for _ in range(16)])
    raw = np.convolve(raw, np.ones(k := rng.integers(1, 5)) / k)[: len(raw)]
    raw = np.clip(raw + rng.normal(0, 0.03, len(raw)), 0, 1).round(5)
    score = calibrate.smoothed(raw, rng.choice([0.0, 0.1, 0.2])).round(5)
    # Silence, so that what sounds ends.
    raw, score = (np.append(x, np.zeros(12)) for x in (raw, score))
    edges = None
    if heard:
        # A few strong edges among many weak ones.
        count = STRENGTHS_PER_FRAME * len(raw)
        strong = rng.random((2, count)) < 0.02
        edges = np.where(strong, rng.uniform(0.2, 3, (2, count)), rng.uniform(0, 0.4, (2, count))).round(2)
    events = [[round(1000 * t) for t in event] for event in scenes.track(score, raw, ON, OFF, edges, chosen)]
    strengths = edges.tolist() if heard else []
    told = {"score": score.tolist(), "raw": raw.tolist(), "strengths": strengths, "events_ms": events}
    return told | ({"placed": True} if chosen else {})


def main():
    rng = np.random.default_rng(1)
    cases = [case(rng, heard) for heard in [False] * 40 + [True] * 16]
    chosen = placing.Placing([networks(rng), networks(rng)])
    cases += [case(rng, True, chosen) for _ in range(12)]
    known = {
        name: [[value.astype(float).round(3).tolist() for value in pair] for pair in layers]
        for name, layers in zip(placing.NAMES, chosen.networks, strict=True)
    }
    file = {"onset": ON, "offset": OFF, "placing": known, "cases": cases}
    Path(__file__).with_name("tracks.json").write_text(json.dumps(file) + "\n")


if __name__ == "__main__":
    main()
