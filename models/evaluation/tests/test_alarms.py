"""False alarms: rates, and on which kinds of sound and which recordings they fall."""

import numpy as np
import pytest

from listen_evaluation import alarms, report, sounds, unrelated

PIECES = [
    unrelated.Piece(0.0, 10.0, "spoken words", ""),
    unrelated.Piece(10.0, 40.0, "long recordings", "whale"),
    unrelated.Piece(40.0, 60.0, "long recordings", "waltz"),
]
HEARD = [
    alarms.Heard(1 / 60, PIECES, [(9.9, "dog"), (10.1, "cow"), (39.0, "cow"), (50.0, "tax form")]),
    alarms.Heard(1 / 60, PIECES[:1], [(61.0, "dog")]),
]


def test_events_are_counted_an_hour_and_list():
    rate, hours, labels = alarms.rate(HEARD, 1, {"dog", "cow"})
    assert hours == pytest.approx(1 / 30) and labels == {"dog": 2, "cow": 2} and rate == pytest.approx(120)


def test_an_event_belongs_to_the_piece_that_it_lies_in():
    kinds = alarms.by_piece(HEARD, {"dog", "cow"}, lambda piece: piece.kind)
    assert kinds == {"spoken words": (pytest.approx(20 / 3600), 1), "long recordings": (pytest.approx(50 / 3600), 2)}
    sources = alarms.by_piece(HEARD, {"dog", "cow"}, lambda piece: piece.name)
    # The worst first; words have no name of their own.
    assert list(sources) == ["whale", "waltz"] and sources["whale"][1] == 2 and sources["waltz"][1] == 0


def test_the_report_names_kinds_and_the_worst_recordings(tmp_path):
    figures = {"rate": 9.0, "low": 8.0, "high": 10.0, "hours": 2.0, "events": 90, "labels": {}, "lists": 5}
    figures |= {"kinds": {"long recordings": (0.5, 80), "spoken words": (1.5, 10)}, "sources": {"whale": (0.25, 60)}}
    lines = report.alarms({"alarms": {"recordings, labels": figures}}, tmp_path)
    assert "| long recordings | 32.00 | 0.50 | 80 |" in lines and "| spoken words | 1.33 | 1.50 | 10 |" in lines
    assert "| whale | 48.00 | 0.25 | 60 |" in lines


def test_a_streams_pieces_say_where_its_recordings_are():
    rng = np.random.default_rng(1)
    made = lambda name, seconds: unrelated.Recording(
        name, rng.uniform(-1, 1, int(seconds * sounds.RATE)).astype(np.float32)
    )
    found = {"spoken words": [[made("a", 0.5), made("b", 0.6)]], "long recordings": [[made("whale", 9)]]}
    samples, pieces = unrelated.stream(found, 3, 0, 2.0)
    assert pieces[0].start == 0 and pieces[-1].end == len(samples) / sounds.RATE == 120
    assert all(a.end == b.start for a, b in zip(pieces, pieces[1:], strict=False))
    assert {(p.kind, p.name) for p in pieces} == {("spoken words", ""), ("long recordings", "whale")}
    loud = lambda piece: sounds.rms(samples[int(piece.start * sounds.RATE) : int(piece.end * sounds.RATE)])
    assert all(loud(p) > 1e-3 for p in pieces[:-1])
