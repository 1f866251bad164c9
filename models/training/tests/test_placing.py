"""What places onsets and offsets learns it, is written and read, and refuses too little."""

import numpy as np

from listen_training import calibrate, placing, scenes


def scene(rng):
    """Scores that rise half a second after a sound begins and fall after it ends, strong changes there, stronger ones elsewhere."""
    columns = 125
    begun, ended = int(rng.integers(200, 350)), int(rng.integers(500, 700))
    strengths = rng.uniform(0, 0.12, (2, columns * placing.COLUMN))
    for kind in (0, 1):
        strengths[kind, rng.choice(np.arange(50, 900), 8, replace=False)] = rng.uniform(1.5, 3, 8)
    strengths[0, begun], strengths[1, ended] = 1.0, 1.0
    raw = np.full(columns, 0.02)
    late, gone = begun + int(rng.integers(20, 60)), ended + int(rng.integers(10, 40))
    raw[begun // 8 : late // 8], raw[late // 8 : ended // 8], raw[ended // 8 : gone // 8] = 0.2, 0.95, 0.3
    raw = np.clip(raw + rng.normal(0, 0.01, columns), 0, 1)
    groups = scenes.groups(calibrate.smoothed(raw, 0.3), 0.6, 0.1)
    return groups, tuple(strengths), raw, [(begun * placing.FRAME, ended * placing.FRAME)]


def share(chosen, many):
    """Of the events in `many` scenes those whose onset and offset are right."""
    right = []
    for _, strengths, raw, ((onset, offset),) in many:
        found = scenes.track(calibrate.smoothed(raw, 0.3), raw, 0.6, 0.1, strengths, chosen)
        right += [[abs(a - onset) < 0.1, abs(b - offset) < 0.1] for a, b in found]
    return np.mean(right, axis=0)


def test_it_learns_which_change_is_the_sounds_own_and_is_the_same_when_read_again(tmp_path):
    rng = np.random.default_rng(4)
    chosen = placing.learn([scene(rng) for _ in range(600)], seed=1)
    others = [scene(rng) for _ in range(150)]
    learnt, strongest = share(chosen, others), share(None, others)
    assert (learnt > 0.9).all() and (learnt > strongest + 0.2).all(), (learnt, strongest)
    chosen.save(tmp_path / "placing.safetensors")
    again = placing.Placing.open(tmp_path / "placing.safetensors")
    # Written as float16.
    assert np.abs(share(again, others) - learnt).max() < 0.02
    assert [len(network) for network in again.networks] == [3, 3]


def test_of_too_few_events_nothing_is_learnt():
    rng = np.random.default_rng(5)
    assert placing.learn([scene(rng) for _ in range(20)], seed=1) is None


def test_nothing_is_a_moment_that_is_not_known_yet_or_too_long_ago():
    strengths, raw = (np.zeros(800), np.zeros(800)), np.full(100, 0.5)
    strengths[0][[60, 300, 404]] = 1.0
    frames, told = placing.moments(placing.ONSET, strengths, raw, 400, 0, 51)
    assert frames.tolist() == [300, 404] and told.shape == (2, placing.TOLD + 2 * placing.AROUND)
    assert placing.moments(placing.ONSET, strengths, raw, 400, 0, 50)[0].tolist() == [300]
    assert placing.moments(placing.ONSET, strengths, raw, 400, 320, 50) is None
    assert placing.moments(placing.OFFSET, strengths, raw, 400, 0, 50) is None
    # Nothing counts that is more than eight seconds before what is known, the reference neither.
    strengths = (np.zeros(1600), np.zeros(1600))
    strengths[0][[700, 900]] = 1.0
    frames, told = placing.moments(placing.ONSET, strengths, np.full(200, 0.5), 400, 0, 200)
    assert frames.tolist() == [900] and np.isclose(told[0, 4], 1.0)
