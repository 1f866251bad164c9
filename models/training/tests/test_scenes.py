"""Events of scores, and what the frames near an edge weigh."""

import json
from pathlib import Path

import numpy as np

from listen_training import placing, scenes, targets

TRACKS = Path(__file__).parents[2] / "zeroshot" / "tests" / "tracks.json"


def test_events_are_those_that_the_tracker_is_held_against():
    file = json.loads(TRACKS.read_text())
    layers = lambda name: [[np.array(value, np.float32) for value in pair] for pair in file["placing"][name]]
    chosen = placing.Placing([layers("onset"), layers("offset")])
    assert sum("placed" in case for case in file["cases"]) > 10
    for case in file["cases"]:
        edges = np.array(case["strengths"]) if case["strengths"] else None
        score, raw = np.array(case["score"]), np.array(case["raw"])
        events = scenes.track(score, raw, file["onset"], file["offset"], edges, chosen if "placed" in case else None)
        assert [[round(1000 * t) for t in event] for event in events] == case["events_ms"]


def test_an_event_lies_where_the_sound_itself_begins_and_ends():
    pause = np.zeros(12)
    score = np.concatenate([pause, [0.3, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.3], pause])
    rng = np.random.default_rng(3)
    level = np.full(8 * len(score), 0.01)
    level[60:180] = 0.1  # 0.6 to 1.8 s; the score says 1.04 to 1.6 s
    mel = np.log(level[:, None] ** 2 * rng.uniform(0.5, 2, (len(level), 80)))
    ((onset, offset),) = scenes.track(score, score, 0.8, 0.1, scenes.strengths(mel))
    assert abs(onset - 0.6) < 0.015 and abs(offset - 1.8) < 0.015
    ((early, late),) = scenes.track(score, score, 0.8, 0.1)
    assert np.allclose((early, late), (13 * scenes.COLUMN, 20 * scenes.COLUMN))


def test_an_event_lies_between_the_steepest_steps():
    pause = np.zeros(12)
    smeared = np.concatenate([pause, [0.2, 0.3, 0.3, 0.9, 0.9, 0.9, 0.9, 0.3, 0.3, 0.2], pause])
    (event,) = scenes.track(smeared, smeared, 0.8, 0.1)
    assert np.allclose(event, (15 * scenes.COLUMN, 19 * scenes.COLUMN))


def test_frames_near_a_beginning_or_an_end_are_marked():
    on = np.zeros(40, bool)
    on[10:30] = True
    marked = np.flatnonzero(targets.edges(on))
    assert marked.tolist() == [
        *range(10 - targets.EDGE, 10 + targets.EDGE),
        *range(30 - targets.EDGE, 30 + targets.EDGE),
    ]
    assert not targets.edges(np.zeros(40, bool)).any() and not targets.edges(np.ones(40, bool)).any()
