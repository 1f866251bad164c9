"""Writes tracks.json: scores of one label and the events in them by listen_training.scenes.track, which the tracker must agree with.

    cd models/training && python ../zeroshot/tests/make_tracks.py
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))

from listen_training import calibrate, scenes

ON, OFF = 0.8, 0.1


STRENGTHS_PER_FRAME = 8  # every 10 ms


def case(rng, heard):
    """Frames of 80 ms: parts of random height and length, sharp or smeared, a little restless; strengths where sound is `heard`."""
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
    events = [[round(1000 * t) for t in event] for event in scenes.track(score, raw, ON, OFF, edges)]
    strengths = edges.tolist() if heard else []
    return {"score": score.tolist(), "raw": raw.tolist(), "strengths": strengths, "events_ms": events}


def main():
    rng = np.random.default_rng(1)
    cases = [case(rng, heard) for heard in [False] * 40 + [True] * 16]
    Path(__file__).with_name("tracks.json").write_text(json.dumps({"onset": ON, "offset": OFF, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
