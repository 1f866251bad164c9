"""`gst-listen-search`: a folder through the pipeline with the default package, and what is found in it."""
import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from packed import packages
from safetensors import SafetensorError
from safetensors.numpy import save_file

from gst_listen_search import listener, store
from gst_listen_search.errors import RecordingError, SearchError
from gst_listen_search.package import Package
from gst_listen_search.score import Query
from gst_listen_search.spans import spans

REPO = Path(__file__).resolve().parents[3]
DEFAULT = REPO / "models/packages/default"
CLAP = packages() / "m2d-clap-2025-p16x16"
RATE = 16000


def plugin_is_there():
    done = subprocess.run(["gst-inspect-1.0", "m2dencode"], capture_output=True) if shutil.which("gst-inspect-1.0") else None
    return done is not None and done.returncode == 0


# Where GST_PLUGIN_PATH names one, as `./run test-export` does, a missing plugin is a failure and not a reason to skip.
needs_plugin = pytest.mark.skipif(not os.environ.get("GST_PLUGIN_PATH") and not plugin_is_there(),
                                  reason="GStreamer does not find m2dencode: set GST_PLUGIN_PATH to target/debug")


def write_wav(path, samples):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        w.writeframes(np.asarray(samples, "<i2").tobytes())


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """examples/street.flac as samples: a dog from 7.0 to 8.8 s, applause from 11.0 to 14.2, rain from 24 to 29."""
    raw = tmp_path_factory.mktemp("street") / "raw"
    subprocess.run(["gst-launch-1.0", "-q", "filesrc", f"location={REPO / 'examples/street.flac'}", "!", "decodebin", "!", "audioconvert", "!",
                    "audioresample", "!", f"audio/x-raw,format=S16LE,channels=1,rate={RATE}", "!", "filesink", f"location={raw}"], check=True)
    return np.fromfile(raw, "<i2")


def program(*argv, env=None):
    """Runs the program as a user does, with a PyTorch that cannot be imported; gives (exit status, all that it said)."""
    code = ("import sys; sys.modules['torch'] = None\n"
            "from gst_listen_search.cli import main; main()")
    environment = os.environ | {"PYTHONPATH": str(REPO / "models/export")} | (env or {})
    done = subprocess.run([sys.executable, "-c", code, *map(str, argv)], capture_output=True, text=True, env=environment, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory, street):
    """Three recordings, made of pieces: silence and applause, silence and rain, a text that calls itself a recording."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "deep").mkdir()
    quiet = np.zeros(6 * RATE, np.int16)
    write_wav(folder / "hall.wav", np.concatenate([quiet, street[11 * RATE : 14 * RATE], quiet]))
    write_wav(folder / "deep/my \"garden\".wav", np.concatenate([quiet, quiet, street[24 * RATE : 29 * RATE]]))
    (folder / "broken.mp3").write_text("<html>not found</html>")
    (folder / "notes.txt").write_text("no recording")
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory, folder):
    place = tmp_path_factory.mktemp("index") / "index"
    status, said, errors = program("index", folder, "--model", DEFAULT, "-o", place)
    assert status == 0, errors
    assert "2 indexed, 0 unchanged, 1 could not be read" in said
    assert "broken.mp3: skipped: " in errors
    return place


@needs_plugin
@pytest.mark.parametrize("sentence, file, begin, end", [("applause", "hall.wav", 6.0, 9.0), ("rain", 'deep/my "garden".wav', 12.0, 17.0)])
def test_a_sentence_finds_its_file_and_seconds(index, sentence, file, begin, end):
    status, said, errors = program("find", index, sentence, "--top", "1")
    assert status == 0, errors
    name, first, last, score = said.rstrip("\n").split("\t")
    assert name == file and 0 < float(score) <= 1
    overlap = min(float(last), end) - max(float(first), begin)
    assert overlap > 0.5 * max(float(last) - float(first), end - begin), said
    lines = program("find", index, sentence, "--json", "--score", "cosine")[1].splitlines()
    scores = [json.loads(line)["score"] for line in lines]
    assert scores == sorted(scores, reverse=True) and 1 < len(scores) <= 10 and json.loads(lines[0])["file"] == file


@needs_plugin
def test_the_embeddings_are_documented_tensors(index, folder):
    files = store.files(index)
    assert len(files) == 2
    for path in files:
        about = store.about(path)
        times, vectors = store.read(path)
        seconds = 15 if about.recording == "hall.wav" else 17
        assert about.space == Package(DEFAULT).space and about.package == "listen-default"
        assert (about.output, about.step_ns) == ("frames", 80_000_000)
        assert vectors.shape == (len(times), 256) and vectors.dtype == np.float32
        # Every second is there once: ends meet starts, from the beginning to the end.
        assert times[0, 0] == 0 and (times[1:, 0] == times[:-1, 1]).all()
        assert abs(times[-1, 1] - seconds * 10**9) < 80_000_000
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-3


def clapmatch(package, recording, label):
    """`[(start, end, score)]` of clapmatch, a window each."""
    line = ["gst-launch-1.0", "-q", "filesrc", f"location={recording}", "!", "wavparse", "!", "audioconvert", "!", "melspec", "!", "m2dencode",
            f"model={package}", "accept-license=true", "!", "clapmatch", "smoothing=0", f'labels="{label}"', "!", "application/x-json,format=audio-scores", "!", "fdsink"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    windows = [json.loads(w) for w in done.stdout.splitlines() if w.startswith("{")]
    return [(w["start_timestamp"], w["end_timestamp"], w["scores"][0]["score"]) for w in windows]


@needs_plugin
@pytest.mark.parametrize("package, label, uncalibrated", [(DEFAULT, "rain", False), (DEFAULT, "a dog that barks", False), (CLAP, "dog", False),
                                                          (CLAP, "dog", True), (CLAP.with_name("m2d-clap-2024"), "dog", True)])
def test_scores_are_clapmatch_s(tmp_path, folder, package, label, uncalibrated):
    """Calibrated; and as distances to background labels, with and without the model's own scale."""
    if uncalibrated:
        package = Path(shutil.copytree(package, tmp_path / "package"))
        manifest = json.loads((package / "manifest.json").read_text())
        del manifest["clap"]["calibration"]
        (package / "manifest.json").write_text(json.dumps(manifest))
    place = tmp_path / "index"
    status, _, errors = program("index", folder, "--model", package, "-o", place, "--quiet", "--accept-license")
    assert status == 0, errors
    query = Query(Package(package), label)
    times, vectors = store.read(store.place(place, "hall.wav"))
    ours = np.array([query.score(v) for v in query.logits(vectors)])
    theirs = clapmatch(package, folder / "hall.wav", label)
    assert len(theirs) > 3
    compared = 0
    for start, end, score in theirs:
        inside = ours[(times[:, 0] >= start) & (times[:, 1] <= end)]
        if len(inside):
            compared += 1
            assert abs(inside.max() - score) < 2e-3, (start, inside.max(), score)
    assert compared > 3


@needs_plugin
def test_what_is_indexed_and_unchanged_is_left_alone(tmp_path, folder):
    mine = shutil.copytree(folder, tmp_path / "mine")
    place, listen = tmp_path / "index", lambda: program("index", mine, "--model", DEFAULT, "-o", place)
    assert "2 indexed, 0 unchanged, 1 could not be read" in listen()[1]
    before = {p: p.stat().st_mtime_ns for p in store.files(place)}
    assert "0 indexed, 2 unchanged" in listen()[1]
    assert {p: p.stat().st_mtime_ns for p in store.files(place)} == before
    write_wav(mine / "hall.wav", np.zeros(2 * RATE))
    (mine / 'deep/my "garden".wav').unlink()
    status, said, _ = listen()
    assert "1 indexed, 0 unchanged, 1 could not be read" in said and 'my "garden".wav: is gone' in said
    assert [store.about(p).recording for p in store.files(place)] == ["hall.wav"]
    # Other windows are another index.
    assert "1 indexed" in program("index", mine, "--model", DEFAULT, "-o", place, "--output", "clip")[1]


@needs_plugin
def test_an_index_that_was_interrupted_goes_on_where_it_was(tmp_path, street):
    mine, place = tmp_path / "mine", tmp_path / "index"
    mine.mkdir()
    for k in range(8):
        write_wav(mine / f"{k}.wav", np.concatenate([street, street, street[k * RATE :]]))
    argv = ["index", str(mine), "--model", str(DEFAULT), "-o", str(place)]
    code = "from gst_listen_search.cli import main; main()"
    started = subprocess.Popen([sys.executable, "-c", code, *argv], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(REPO / "models/export")})
    assert b"embeddings" in started.stdout.readline()
    started.terminate()
    assert started.wait(20) == 143
    started.stdout.close()
    done = len(store.files(place))
    assert 1 <= done < 8 and not list(place.glob(".*"))
    before = {p: p.stat().st_mtime_ns for p in store.files(place)}
    status, said, errors = program(*argv)
    assert status == 0 and f"{8 - done} indexed, {done} unchanged" in said, errors
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())


@needs_plugin
def test_another_package_is_refused_by_both_names(index, folder):
    status, _, errors = program("index", folder, "--model", CLAP, "-o", index, "--accept-license")
    assert status == 1 and Package(DEFAULT).space in errors and Package(CLAP).space in errors
    status, _, errors = program("find", index, "dog", "--model", CLAP)
    assert status == 1 and Package(DEFAULT).space in errors and Package(CLAP).space in errors


@needs_plugin
def test_a_sentence_of_which_nothing_is_known_is_refused(index):
    status, said, errors = program("find", index, "☃☃")
    assert status == 1 and "no part of it is known" in errors and said == ""


@needs_plugin
def test_a_folder_with_nothing_that_can_be_heard(tmp_path, folder):
    bad = tmp_path / "bad"
    bad.mkdir()
    index = lambda: program("index", bad, "--model", DEFAULT, "-o", tmp_path / "index")
    status, _, errors = index()
    assert status == 1 and "expected recordings" in errors
    (bad / "a.wav").write_bytes((folder / "hall.wav").read_bytes()[:20])
    Path(os.fsdecode(os.fsencode(bad) + b"/\xff.wav")).write_bytes(b"")
    status, _, errors = index()
    assert status == 1 and "a.wav: skipped" in errors and "none of its 2 recordings could be read" in errors
    assert "skipped: its name is not UTF-8" in errors
    assert program("index", bad / "no", "--model", DEFAULT, "-o", tmp_path / "index")[2].count("nothing is there") == 1
    assert "expected an index" in program("find", bad, "dog")[2]
    assert "there is no manifest.json" in program("index", folder, "--model", bad, "-o", tmp_path / "index")[2]


@needs_plugin
def test_the_licence_must_be_accepted(tmp_path, folder):
    status, _, errors = program("index", folder, "--model", CLAP, "-o", tmp_path / "index")
    assert status == 1 and "must be accepted" in errors


def test_a_decoder_that_crashes_or_hangs_costs_its_recording(tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    monkeypatch.setattr(listener, "python", lambda: sys.executable)
    monkeypatch.setattr(listener, "WORKER", worker)
    for code, words in (("import os; os.abort()", "signal 6"), ("import time; time.sleep(60)", "nothing came out of it for 0.5 s")):
        worker.write_text(code)
        with listener.Listener(DEFAULT, True, "", stalled=0.5) as one:
            for _ in range(2):  # the second gets a process of its own
                with pytest.raises(RecordingError, match=words):
                    one.hear("x.wav")


def about(**change):
    told = {"recording": "a.wav", "space": "s-1", "package": "s", "size": 1, "mtime_ns": 2, "encoder": "output=clip", "output": "clip", "step_ns": 0}
    return store.Recording(**told | change)


def test_an_interrupted_write_leaves_what_was_there(tmp_path, monkeypatch):
    times, vectors = np.array([[0, 5], [5, 9]]), np.eye(2, 3, dtype=np.float32)
    store.write(tmp_path, about(), times, vectors)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write(tmp_path, about(size=7), times + 1, vectors)
    (path,) = tmp_path.iterdir()
    found = store.read(path)
    assert store.about(path) == about() and np.array_equal(found[0], times) and np.array_equal(found[1], vectors)


def test_a_writer_that_wraps_what_the_system_says_is_understood(tmp_path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(store, "save_file", full)
    with pytest.raises(SearchError, match=r"expected to write 0.0 MB; [0-9.]+ MB are free there: .*No space left"):
        store.write(tmp_path, about(), np.array([[0, 5]]), np.eye(1, 3))
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_process_are_no_embeddings(tmp_path):
    left = tmp_path / f"{store.PARTIAL}999999999-x.safetensors"
    left.write_bytes(b"half")
    mine = tmp_path / f"{store.PARTIAL}{os.getpid()}-x.safetensors"
    mine.write_bytes(b"half")
    assert store.files(tmp_path) == []
    store.tidy(tmp_path)
    assert not left.exists() and mine.exists()


@pytest.mark.parametrize("tensors, metadata, words", [
    ({"embeddings": np.zeros((2, 3))}, None, "expected gst-listen-embeddings version 1"),
    ({"embeddings": np.zeros((2, 3)), "start": np.zeros(2, np.int64), "end": np.zeros(2, np.int64)}, {"version": "2"}, "version 2"),
    ({"embeddings": np.zeros((2, 3)), "start": np.zeros(3, np.int64), "end": np.zeros(2, np.int64)}, {}, r"found \[2, 3\], \[3\], \[2\]"),
    ({"embeddings": np.full((2, 3), np.nan), "start": np.zeros(2, np.int64), "end": np.zeros(2, np.int64)}, {}, "finite"),
])
def test_files_that_are_no_embeddings_are_refused(tmp_path, tensors, metadata, words):
    path = tmp_path / "a.safetensors"
    save_file(tensors, path, metadata=None if metadata is None else about().metadata() | metadata)
    with pytest.raises(SearchError, match=words):
        store.about(path)
        store.read(path)


def steps(count):
    return np.stack([np.arange(count), np.arange(count) + 1], axis=1) * 10


def test_stretches_are_peaks_with_their_flanks():
    #        0  1  2  3  4  5  6  7  8  9
    values = np.array([0, 0, 5, 9, 6, 0, 0, 4, 0, 0.0])
    assert spans(steps(10), values, 1000, 5)[:2] == [(20, 50, 9.0), (70, 80, 4.0)]
    # No longer than asked for, none twice, at most so many.
    assert spans(steps(10), values, 20, 1) == [(30, 50, 9.0)]
    assert spans(steps(10), values[:0], 1000, 5) == []


def test_a_dip_parts_no_stretch_and_a_gap_does():
    values = np.array([0, 0, 0, 0, 9, 4, 8, 0, 0, 0.0])
    assert spans(steps(10), values, 1000, 1) == [(40, 70, 9.0)]
    times = steps(10)
    times[6:] += 500
    assert spans(times, values, 1000, 2) == [(40, 50, 9.0), (560, 570, 8.0)]


def test_windows_that_overlap_are_told_once():
    times = np.stack([np.arange(10) * 10, np.arange(10) * 10 + 40], axis=1)
    found = spans(times, np.array([0, 0, 0, 9, 8.9, 0, 0, 0, 3, 0.0]), 40, 10)
    assert found[0] == (30, 70, 9.0)
    assert all(a[1] <= b[0] or b[1] <= a[0] for i, a in enumerate(found) for b in found[:i])
