"""The whole way in miniature, through GStreamer: made-up sounds, the elements, and the report.

Needs GST_PLUGIN_PATH to name the folder of libgstlisten.so; skipped where the elements are not there.
"""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from listen_evaluation import index, pipeline, sounds

HERE = index.HERE


def installed():
    try:
        return subprocess.run(["gst-inspect-1.0", "clapmatch"], capture_output=True).returncode == 0
    except OSError:
        return False


needs_elements = pytest.mark.skipif(not installed(), reason="clapmatch is not installed: set GST_PLUGIN_PATH")


@pytest.fixture
def folder(tmp_path):
    """An index of made-up sounds: a siren-like sweep and pink-like noise, and unrelated tones."""
    rng, rate, rows = np.random.default_rng(5), sounds.RATE, []
    t = np.arange(4 * rate) / rate
    for number in range(3):
        sweep = 0.4 * np.sin(2 * np.pi * (900 + 300 * np.sin(2 * np.pi * (0.4 + 0.1 * number) * t)) * t)
        for label, x in (("siren", sweep), ("rain", 0.1 * rng.standard_normal(len(t)))):
            name = f"{label}{number}.wav"
            sounds.write(tmp_path / name, x.astype(np.float32))
            rows.append(["val", "made_up", name, label])
    sounds.write(tmp_path / "tones.wav", 0.3 * sounds.tones(rng, 3 * rate))
    rows.append(["train", "other", "tones.wav", "tones"])
    with open(tmp_path / "index.csv", "w", newline="") as file:
        csv.writer(file).writerows([["role", "set", "path", "label"], *rows])
    (tmp_path / "unrelated.csv").write_text("path,part,why\ntones.wav,eval,\n")
    return tmp_path


def evaluate(folder, *more):
    line = [sys.executable, "-m", "listen_evaluation", "--data", folder, "--quick", "--scenes", "3", "--clips", "0"]
    line += ["--streams", "1", "--made-up", "1", "--minutes", "0.5", "--captions", "2", "--yamnet", folder / "no"]
    line += [
        "--unrelated",
        folder / "unrelated.csv",
        "--work",
        folder / "work",
        "--report",
        folder / "out" / "report.md",
    ]
    env = dict(os.environ, PYTHONPATH=str(HERE), OMP_NUM_THREADS="1")
    return subprocess.run([*map(str, line), *more], capture_output=True, text=True, timeout=600, env=env)


@needs_elements
def test_a_folder_of_made_up_sounds_gets_a_report(folder):
    done = evaluate(
        folder, "--only", "classification,detection,alarms,captions,unseen", "--unseen", str(folder / "kept")
    )
    assert done.returncode != 0 and "kept" in done.stderr, done.stderr
    done = evaluate(folder, "--only", "classification,detection,alarms,captions")
    assert done.returncode == 0, done.stderr
    text = (folder / "out" / "report.md").read_text()
    found = json.loads((folder / "out" / "report.json").read_text())
    own = found["classification"]["clip"][0]
    assert own["count"] == 6 and own["labels"] == ["rain", "siren"]
    assert set(found["detection"]) == {"6"} and found["detection"]["6"]["scenes"] == 3
    assert found["alarms"]["recordings, labels"]["hours"] == pytest.approx(0.5 / 60)
    assert (
        "## Detection in scenes" in text and "## False alarms" in text and (folder / "out" / "confusion.png").exists()
    )
    # What was heard is not heard again, and gives the same.
    kept = {p: p.stat().st_mtime_ns for p in (folder / "work").rglob("*.json")}
    assert evaluate(folder, "--only", "classification,detection,alarms,captions").returncode == 0
    assert {p: p.stat().st_mtime_ns for p in (folder / "work").rglob("*.json")} == kept
    again = json.loads((folder / "out" / "report.json").read_text())
    assert again["detection"] == found["detection"]


@needs_elements
def test_what_is_not_there_is_said(folder):
    (folder / "siren0.wav").unlink()
    done = evaluate(folder)
    assert done.returncode != 0 and "siren0.wav" in done.stderr
    (folder / "index.csv").unlink()
    done = evaluate(folder)
    assert done.returncode != 0 and "index.csv" in done.stderr


@needs_elements
def test_labels_reach_clapmatch_as_they_are_written(folder):
    labels = ("rain", "a;b", 'the "quoted" \\ one', "siren, or not")
    (scores,) = pipeline.Listener().hear(folder / "rain0.wav", [pipeline.Branch(labels, "audio-scores")])
    assert np.asarray(scores["score"]).shape[1] == 4
    # A label that was not told would be missing, and its cosine -1.
    assert (np.asarray(scores["cosine"]) > -1).all()


@needs_elements
def test_an_error_of_the_pipeline_is_raised_with_its_words(folder):
    with pytest.raises(RuntimeError, match="no-such-package"):
        pipeline.Listener(package=folder / "no-such-package").hear(
            folder / "rain0.wav", [pipeline.Branch(("rain",), "audio-scores")]
        )
