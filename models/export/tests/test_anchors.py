"""`verify --esc50` and `--pairs`: figures computed through the pipeline, and compared with what was published."""
import csv
import json

import numpy as np
import pytest
from packed import packages
from test_search import CLAP, DEFAULT, RATE, needs_plugin, street, write_wav  # noqa: F401

from gst_listen_export import anchors
from gst_listen_export.errors import ExportError

FIXTURES = packages()
LAION_2024 = [(FIXTURES / "m2d-clap-2024", "M2D-CLAP 2024", 75.45), (FIXTURES / "laion-clap", "LAION-CLAP", 91.0)]


@pytest.fixture
def esc50(tmp_path, street):  # noqa: F811
    """ESC-50's folders with four clips: three are what they are called, one is called something else."""
    (tmp_path / "meta").mkdir()
    (tmp_path / "audio").mkdir()
    pieces = [("clapping", 11, 14), ("rain", 24, 27), ("rain", 26, 29), ("clapping", 25, 28)]
    with (tmp_path / "meta/esc50.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["filename", "fold", "target", "category"])
        for k, (name, start, end) in enumerate(pieces):
            write_wav(tmp_path / f"audio/{k}.wav", street[start * RATE : end * RATE])
            lines.writerow([f"{k}.wav", 1, 0, name])
    return tmp_path


@needs_plugin
def test_the_accuracy_is_that_of_the_nearest_text(command, esc50):
    status, said = command("verify", DEFAULT, "--esc50", esc50)
    assert status == 0 and "ESC-50, zero-shot: 75% of 4 clips; published figures are of all 2000" in said, said
    assert "clapping 50%, rain 100%" in said


@needs_plugin
def test_a_published_figure_that_is_not_met_is_told(command, esc50, monkeypatch):
    monkeypatch.setattr(anchors, "CLIPS", 4)
    assert "no published figure is known of listen-default" in command("verify", DEFAULT, "--esc50", esc50)[1]
    for value, status, words in ((75.4, 0, "ok"), (80.0, 1, "DIFFERS")):
        monkeypatch.setattr(anchors, "anchor", lambda *_, v=value: anchors.Anchor("it", "esc50", (10.0, v), 0.5, "a paper"))
        found, said = command("verify", DEFAULT, "--esc50", esc50)
        assert found == status and f"published of it: 10 or {value:g} (± 0.5: a paper): {words}" in said, said


@needs_plugin
def test_pairs_are_cosines_of_recordings_and_captions(command, tmp_path, street):  # noqa: F811
    write_wav(tmp_path / "a.wav", street[11 * RATE : 14 * RATE])
    write_wav(tmp_path / "b.wav", street[24 * RATE : 28 * RATE])
    (tmp_path / "pairs.csv").write_text("file,caption\na.wav,applause\nb.wav,rain\n")
    status, said = command("verify", DEFAULT, "--pairs", tmp_path / "pairs.csv")
    lines = said.splitlines()
    cosines = np.array([[float(c) for c in line.split()] for line in lines[:2]])
    assert status == 0 and cosines[0, 0] > cosines[0, 1] and cosines[1, 1] > cosines[1, 0]
    assert float(lines[2].split(": ")[1].split(";")[0]) == pytest.approx(np.trace(cosines) / 2, abs=2e-4)
    assert float(lines[3].split(": ")[1].split(";")[0]) == pytest.approx((cosines[0, 1] + cosines[1, 0]) / 2, abs=2e-4)
    # The licence is asked for as everywhere, and random weights are not what was published.
    (tmp_path / "pairs.csv").write_text("file,caption\na.wav,dog\nb.wav,siren\n")
    assert "must be accepted" in command("verify", CLAP, "--pairs", tmp_path / "pairs.csv")[1]
    status, said = command("verify", CLAP, "--pairs", tmp_path / "pairs.csv", "--accept-license")
    assert status == 1 and "published of M2D-CLAP 2025: 0.346 (± 0.002" in said and "DIFFERS" in said, said


def test_files_that_are_none_are_refused(command, tmp_path):
    (tmp_path / "pairs.csv").write_text("path,text\n")
    assert "expected the columns file, caption; found path, text" in command("verify", DEFAULT, "--pairs", tmp_path / "pairs.csv")[1]
    (tmp_path / "pairs.csv").write_bytes(b"file,caption\n\xff\x00")
    assert "expected a CSV file in UTF-8" in command("verify", DEFAULT, "--pairs", tmp_path / "pairs.csv")[1]
    (tmp_path / "pairs.csv").write_text("file,caption\na.wav,dog\n")
    assert "expected two pairs or more; found 1" in command("verify", DEFAULT, "--pairs", tmp_path / "pairs.csv")[1]
    assert "meta/esc50.csv: expected a CSV file" in command("verify", DEFAULT, "--esc50", tmp_path)[1]
    status, said = command("verify", FIXTURES / "m2d-608p16x16", "--esc50", tmp_path)
    assert status == 1 and "expected a package that compares sound with text" in said


@pytest.mark.parametrize("package, name, value", LAION_2024, ids=lambda v: getattr(v, "name", ""))
def test_a_package_is_held_to_its_own_models_figure(package, name, value):
    known = anchors.anchor(package, json.loads((package / "manifest.json").read_text()), "esc50")
    assert known.models == name and known.values[0] == value
    assert anchors.anchor(CLAP, json.loads((CLAP / "manifest.json").read_text()), "esc50") is None


@pytest.mark.parametrize("name, year", [("m2d-clap-2024", 2024), ("m2d-clap-2025-p16x16", 2025), ("m2d-clap-2025-p80x2", 2025)])
@pytest.mark.parametrize("scale", [None, 20.0])
def test_the_years_of_m2d_clap_are_told_apart_by_the_head(name, year, scale):
    """Either checkpoint may have a logit scale, or have none."""
    manifest = json.loads((FIXTURES / name / "manifest.json").read_text())
    manifest["clap"]["logit_scale"] = scale
    assert anchors.models(FIXTURES / name, manifest) == f"M2D-CLAP {year}"
    assert anchors.anchor(FIXTURES / name, manifest, "matched").values == ((0.087,) if year == 2024 else (0.346,))


def test_a_head_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "head.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match="head.onnx: expected M2D-CLAP's head"):
        anchors.models(tmp_path, {"family": "m2d-clap", "head": {"file": "head.onnx"}})
