"""The figures on truths made by hand, and scenes that are what they say."""

import numpy as np
import pytest

from listen_evaluation import captions, classify, detect, index, pipeline, scenes, sounds, unrelated

LABELS = ["bell", "dog"]


def heard(found, truth=((1.0, 3.0, "bell"), (5.0, 6.0, "dog")), peak=0.9):
    """A minute in which `found` (onset, offset, label) was heard; curves are 1 where it was, 0 elsewhere."""
    edges = np.round(np.arange(0, 60.01, 0.1), 6)
    middle = (edges[:-1] + edges[1:]) / 2
    values = np.zeros((len(middle), len(LABELS)))
    for onset, offset, label in found:
        values[(middle > onset) & (middle < offset), LABELS.index(label)] = peak
    events = [(*e, peak) for e in found]
    return detect.Heard("a", 60.0, list(truth), events, [(LABELS, edges, values)])


def test_what_is_found_in_time_is_right_and_what_is_late_is_not():
    exact = detect.figures([heard([(1.0, 3.0, "bell"), (5.0, 6.0, "dog")])], LABELS, 1)
    for key in ("event_f1", "onset_f1", "recall", "PSDS1", "PSDS2", "PSDS2, α_ST = 0"):
        assert exact[key] == pytest.approx(1.0, abs=1e-6), key
    # Onset 0.3 s late: outside the collar of 0.2 s.
    late = detect.figures([heard([(1.3, 3.0, "bell"), (5.0, 6.0, "dog")])], LABELS, 1)
    assert (late["event_f1"], late["onset_f1"], late["recall"]) == (0.5, 0.5, 1.0)
    # Offset 0.35 s late: inside a fifth of 2 s for the bell, outside 0.2 s for the dog; onsets are right.
    long = detect.figures([heard([(1.0, 3.35, "bell"), (5.0, 6.35, "dog")])], LABELS, 1)
    assert (long["event_f1"], long["onset_f1"]) == (0.5, 1.0)


def test_silence_and_false_events_cost():
    silent = detect.figures([heard([])], LABELS, 1)
    assert (silent["event_f1"], silent["recall"], silent["false_per_hour"]) == (0.0, 0.0, 0.0)
    false = detect.figures([heard([(1.0, 3.0, "bell"), (5.0, 6.0, "dog"), (20.0, 21.0, "bell")])], LABELS, 2)
    # One in a minute, two lists; the bell's F1 is 2 / 3.
    assert false["false_per_hour"] == 30.0
    assert false["event_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert false["PSDS2"] < 1.0


def test_classes_count_alike_in_psds_with_a_penalty_for_spread():
    one = detect.psds([heard([(1.0, 3.0, "bell")])], LABELS)
    assert one["PSDS2, α_ST = 0"] == pytest.approx(0.5)
    assert one["PSDS2"] == pytest.approx(0.0, abs=1e-9)


def test_what_begins_elsewhere_is_not_within():
    part = detect.within(heard([(1.0, 3.0, "bell"), (5.0, 6.0, "dog")]), [(4.0, 10.0)])
    assert (part.truth, [e[:3] for e in part.found], part.seconds) == ([(5.0, 6.0, "dog")], [(5.0, 6.0, "dog")], 6.0)


def test_scores_of_overlapping_windows_count_where_they_are_new():
    found = {"start": [0.0, 1.0, 2.0], "end": [3.0, 4.0, 5.0], "score": [[0.1], [0.2], [0.3]]}
    edges, values = pipeline.curve(found, 5.5)
    assert edges.tolist() == [0.0, 3.0, 4.0, 5.5]
    assert values[:, 0].tolist() == [0.1, 0.2, 0.3]


def test_classification_is_counted():
    scores = [[3, 2, 1], [3, 2, 1], [1, 2, 3], [1, 3, 2]]
    result = classify.judge(scores, ["a", "b", "c", "b"], ["a", "b", "c"])
    assert (result.top1, result.top3, result.count) == (0.75, 1.0, 4)
    assert result.low < 0.75 < result.high
    assert result.per_label["b"][:2] == (1, 2)
    assert result.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_precision_and_area_know_their_extremes():
    assert classify.average_precision([0.9, 0.8, 0.1], [True, True, False]) == 1.0
    assert classify.average_precision([0.9, 0.8], [False, True]) == 0.5
    # All scores alike say nothing.
    assert classify.average_precision([0.5, 0.5], [True, False]) == 0.5
    assert classify.area([0.9, 0.8, 0.1], [True, True, False]) == 1.0
    assert classify.area([0.1, 0.8, 0.9], [True, False, False]) == 0.0
    assert classify.area([0.5, 0.5, 0.5], [True, False, False]) == 0.5
    low, high = classify.interval(70, 100)
    assert low < 0.7 < high


def test_captions_name_what_their_words_say():
    names = captions.Names(
        {"clock tick": ["clock*"], "clock alarm": ["alarm clock*"], "dog": ["dog*", "bark*"], "hen": ["hen"]}
    )
    assert names("An alarm clock rings, then a dog barks.") == {"clock alarm", "dog"}
    assert names("Then a Clock ticks.") == {"clock tick"}
    assert captions.judge({"dog", "clock tick"}, ["dog", "clock tick"]) == (True, True)
    assert captions.judge({"dog", "hen"}, ["dog", "clock tick"]) == (False, True)
    assert captions.judge({"dog", "hen", "clock tick"}, ["dog", "clock tick"]) == (False, True)
    assert captions.judge(set(), ["dog", "clock tick"]) == (False, False)


def burst(seconds, at, length, loud=0.5):
    """Silence with a tone in it."""
    x = np.zeros(int(seconds * sounds.RATE), np.float32)
    n = int(length * sounds.RATE)
    start = int(at * sounds.RATE)
    x[start : start + n] += loud * np.sin(2 * np.pi * 500 * np.arange(n) / sounds.RATE).astype(np.float32)
    return x


def test_the_truth_follows_its_rule():
    assert sounds.active(burst(5, 1, 2)) == [pytest.approx((1.0, 3.0))]
    # A gap of 0.4 s is joined, one of 0.6 s is not.
    assert len(sounds.active(burst(5, 1, 1) + burst(5, 2.4, 1))) == 1
    assert len(sounds.active(burst(5, 1, 1) + burst(5, 2.6, 1))) == 2
    # 0.05 s is dropped, and so is what is 40 dB down; what is 20 dB down is not.
    assert len(sounds.active(burst(5, 1, 1) + burst(5, 4, 0.05))) == 1
    assert len(sounds.active(burst(5, 1, 1) + burst(5, 4, 0.5, 0.005))) == 1
    assert len(sounds.active(burst(5, 1, 1) + burst(5, 4, 0.5, 0.05))) == 2
    assert sounds.active(np.zeros(sounds.RATE, np.float32)) == []


def clips():
    return [scenes.Clip(label, label, burst(2, 0, 2), [(0.0, 2.0)]) for label in ("dog", "bell", "rain", "wind")]


@pytest.mark.parametrize("snr", [0, 6, 12])
def test_scenes_have_the_level_that_they_say(snr):
    alone = [plan for plan in scenes.plans(clips(), 12, 3, recordings=False) if len(plan.placed) == 1]
    assert alone
    for plan in alone:
        scene = scenes.render(plan, snr)
        onset, offset, _ = scene.truth[0]
        plain = scenes.background(plan.background, np.random.default_rng(plan.seed), len(scene.samples), ())
        at = slice(int(onset * sounds.RATE), int(offset * sounds.RATE))
        scale = float(np.dot(scene.samples[:800], plain[:800]) / np.dot(plain[:800], plain[:800]))
        clip = scene.samples[at] - scale * plain[at]
        assert 20 * np.log10(sounds.rms(clip) / sounds.rms(scale * plain[at])) == pytest.approx(snr, abs=0.1)


def test_the_same_seed_makes_the_same_scenes_and_another_one_others():
    one, again, other = (scenes.stream(scenes.plans(clips(), 3, seed, False), 6)[0] for seed in (1, 1, 2))
    assert np.array_equal(one.samples, again.samples) and one.truth == again.truth
    assert one.truth != other.truth
    assert np.array_equal(unrelated.made_up(1, 0, 0.2)[0], unrelated.made_up(1, 0, 0.2)[0])


def test_two_sound_scenes_are_half_in_sequence_and_half_overlapping():
    plans = scenes.two_sound_plans(clips(), 20, 5, False)
    for plan in plans:
        (first, second), apart = plan.placed, abs(plan.placed[0].above - plan.placed[1].above)
        assert (second.at < first.at + first.clip.seconds) == (plan.kind == "overlap")
        assert apart <= 6 and first.clip.label != second.clip.label
    assert sum(p.kind == "overlap" for p in plans) == 10


def test_five_lists_of_ten_are_all_labels():
    labels = [f"l{i}" for i in range(50)]
    lists = index.lists_of_ten(labels, 1)
    assert [len(ten) for ten in lists] == [10] * 5
    assert sorted(label for ten in lists for label in ten) == sorted(labels)
    assert lists == index.lists_of_ten(labels, 1) != index.lists_of_ten(labels, 2)


def test_a_package_without_a_decoder_is_not_measured_as_if_it_had_one(tmp_path):
    (tmp_path / "manifest.json").write_text('{"id": "deaf"}')
    listener = pipeline.Listener(tmp_path)
    captions.check(listener, "template")
    with pytest.raises(ValueError, match="`captioner`"):
        captions.check(listener, "local")
    (tmp_path / "manifest.json").write_text('{"captioner": {}}')
    captions.check(listener, "local")
