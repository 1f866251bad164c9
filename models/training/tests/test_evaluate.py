"""The figures of the evaluation, on numbers whose answers are known."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import evaluate


def test_a_clip_is_the_mean_of_its_best_windows_per_label():
    assert evaluate.pool([[1, 9], [2, 0], [3, 0], [4, 0]], best=3) == [3.0, 3.0]
    assert evaluate.pool([[1, 2]], best=3) == [1.0, 2.0]


def test_the_interval_holds_the_share_and_shrinks_with_the_count():
    low, high = evaluate.interval(70, 100)
    assert low < 0.7 < high
    tight = evaluate.interval(700, 1000)
    assert tight[1] - tight[0] < high - low


def test_precision_is_one_when_all_that_is_meant_comes_first():
    assert evaluate.average_precision([0.9, 0.8, 0.1], [True, True, False]) == 1.0
    assert evaluate.average_precision([0.9, 0.8], [False, True]) == 0.5


def test_the_report_counts_hits_and_names_confusions():
    rows = [({"label": "dog"}, [1, 0, 0]), ({"label": "door_knock"}, [1, 0.5, 0]), ({"label": "rain"}, [0, 0, 1])]
    text, top1 = evaluate.report(rows, ["dog", "door knock", "rain"], {})
    assert abs(top1 - 2 / 3) < 1e-9
    assert "| door knock | dog | 1 |" in text
    assert "| top-3 | 100.0% |" in text


def test_labels_with_semicolons_are_escaped():
    line = evaluate.command("a.flac", ["a;b", "c"], None, [])
    assert 'labels="a\\;b;c"' in line
