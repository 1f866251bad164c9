"""YAMNet as a detector beside the package, on curves made by hand."""

import numpy as np
import pytest

from listen_evaluation import peer, report, yamnet

LABELS = ["bell", "dog"]


def curve(*high):
    """A minute's curve; `high`: (first patch, behind the last, label, value)."""
    out = np.full((125, 2), 0.01)
    for first, end, label, value in high:
        out[first:end, label] = value
    return out


def test_patches_at_the_threshold_are_spans_and_one_below_does_not_part_them():
    on = np.zeros(20, bool)
    on[[2, 3, 5, 9]] = True
    assert np.allclose(peer.spans(on), [(2 * 0.48, 5 * 0.48 + 0.96), (9 * 0.48, 9 * 0.48 + 0.96)])
    assert peer.spans(np.zeros(0, bool)) == []


def test_a_label_has_the_mean_of_three_patches_of_its_highest_class():
    scores = np.zeros((4, yamnet.CLASSES), np.float32)
    scores[1, 0], scores[2, 1] = 0.9, 0.6
    found = peer.curve(scores, LABELS, {"bell": ["a", "b"]}, ["a", "b"])
    assert found[:, 0] == pytest.approx([0.3, 0.5, 0.5, 0.2]) and not found[:, 1].any()


def test_thresholds_by_hindsight_say_what_hearing_costs():
    # The bell is surer in truth than in unrelated sound, the dog is not.
    truth = [(4.8, 9.6, "bell"), (30.0, 36.0, "dog")]
    scenes = [(truth, curve((10, 20, 0, 0.8), (62, 75, 1, 0.4)))]
    strange = [curve((10, 12, 0, 0.5), (30, 33, 1, 0.7)), curve((50, 52, 1, 0.6))]
    own = [peer.own_threshold(strange, label, 0) for label in range(2)]
    assert own == pytest.approx([0.5, 0.7], abs=1e-5) and peer.own_threshold(strange, 1, 1) == 0.7
    assert [peer.events(strange, 1, t) for t in (0.65, 0.55, 0.8)] == [1, 2, 0]
    assert peer.recall(scenes, LABELS, own) == 0.5
    shown = {how: (heard, rate) for how, heard, rate in peer.figures(scenes, strange, LABELS)}
    never = next(value for how, value in shown.items() if "never" in how)
    assert never == (0.5, 0.0)
    once = next(value for how, value in shown.items() if "false once" in how)
    assert once == (0.5, pytest.approx(2 / (250 * 0.48 / 3600) / 0.2))
    few = next(value for how, value in shown.items() if "an hour are false" in how)
    assert few == (0.5, 0.0)
    # To hear both, one threshold below 0.4 has all three events of two minutes and a fifth of a list.
    everything = next(value for how, value in shown.items() if "hears 55%" in how)
    assert everything[0] == 1.0 and everything[1] == pytest.approx(3 / (250 * 0.48 / 3600) / 0.2)


def test_the_report_shows_it_beside_the_packages_own_figures(tmp_path):
    heard = {"rate": 18.6, "low": 16.5, "high": 20.9, "hours": 3.0, "events": 279, "labels": {}}
    found = {"alarms": {"recordings, labels": heard}, "detection": {6: {"recall": 0.577}}}
    alone = "\n".join(report.alarms(found, tmp_path))
    assert "| 18.60 | 16.50 to 20.90 |" in alone and "57.7%" in alone and "YAMNet" not in alone
    found["peer detection"] = [("one threshold", 0.56, 225.04), ("each label its own", 0.305, 0.0)]
    lines = report.alarms(found, tmp_path)
    assert "| one threshold | 56.0% | 225.04 |" in lines and "| each label its own | 30.5% | 0.00 |" in lines
