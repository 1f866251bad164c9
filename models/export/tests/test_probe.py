"""Linear probes: trained on what the pipeline wrote to disk, and heard as labels of `clapmatch`."""
import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from extras import needed
from packed import packages
from test_search import DEFAULT, RATE, needs_plugin, program, write_wav

needed("sklearn")
DATA = Path(__file__).resolve().parents[4] / "shared/data/sounds"
BYOLA = packages() / "byol-a-v1"
needs_hearts = pytest.mark.skipif(not (DATA / "index.csv").is_file(), reason=f"the heart and lung recordings are not in {DATA}")


def drone(rng, low, seconds=4):
    """A hum of harmonics at some 150 Hz, or at some 900 Hz, in a little noise: no two are the same."""
    t, pitch = np.arange(seconds * RATE) / RATE, (150 if low else 900) * rng.uniform(0.9, 1.1)
    x = sum(rng.uniform(0.3, 1) * np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) for k in (1, 2, 3))
    return 3000 * (x + 0.1 * rng.standard_normal(len(t)))


@pytest.fixture(scope="module")
def drones(tmp_path_factory):
    """Eight recordings of each, their labels, and one that nobody trained on: a low drone, then a high one."""
    folder, rng = tmp_path_factory.mktemp("drones"), np.random.default_rng(7)
    (folder / "sounds").mkdir()
    lines = ["recording,label"]
    for k in range(16):
        write_wav(folder / f"sounds/{k}.wav", drone(rng, k % 2 == 0))
        lines.append(f"{k}.wav,{('low drone', 'high drone')[k % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    write_wav(folder / "unheard.wav", np.concatenate([drone(rng, True, 8), drone(rng, False, 8)]))
    return folder


def indexed(place, sounds, package, *more):
    status, _, errors = program("index", sounds, "--model", package, "-o", place, "--quiet", "--accept-license", *more)
    assert status == 0, errors
    return place


def scores(package, recording, labels):
    """`[(middle of the window in s, {label: (score, cosine)})]` that clapmatch prints."""
    line = ["gst-launch-1.0", "-q", "filesrc", f"location={recording}", "!", "decodebin", "!", "audioconvert", "!", "audioresample", "!", "melspec", "!",
            "m2dencode", f"model={package}", "accept-license=true", "!", "clapmatch", *([f'labels="{labels}"'] if labels else []), "!",
            "application/x-json,format=audio-scores", "!", "fdsink"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    windows = [json.loads(w) for w in done.stdout.splitlines() if w.startswith("{")]
    return [((w["start_timestamp"] + w["end_timestamp"]) / 2e9, {s["label"]: (s["score"], s.get("cosine")) for s in w["scores"]}) for w in windows]


@needs_plugin
# A package with words and time steps, whose classifier clapmatch runs; one without words, whose classifier the encoder's side runs.
@pytest.mark.parametrize("package", [DEFAULT, BYOLA], ids=lambda p: p.name)
def test_a_probe_s_classes_are_labels_of_clapmatch(tmp_path, command, drones, package):
    index = indexed(tmp_path / "index", drones / "sounds", package)
    out = tmp_path / "drones.pkg"
    status, said = command("probe", package, index, "--labels", drones / "labels.csv", "-o", out)
    assert status == 0 and "balanced accuracy 100.0% (chance: 50.0%)" in said and "low drone: 8 of 8 recordings" in said, said
    assert command("verify", out)[0] == 0
    heard = scores(out, drones / "unheard.wav", "HIGH_drone;low drone")
    assert {name for _, s in heard for name in s} == {"HIGH_drone", "low drone"}
    right = [(s["low drone"][0] > 0.5) == (at < 8) for at, s in heard if abs(at - 8) > 2]
    assert len(right) > 8 and np.mean(right) > 0.95
    assert all(abs(s["low drone"][0] + s["HIGH_drone"][0] - 1) < 1e-3 for _, s in heard)  # softmax of two
    # Without labels they are all listened for.
    assert {name for _, s in scores(out, drones / "unheard.wav", None) for name in s} == {"low drone", "high drone"}


@needs_plugin
def test_classes_and_words_stand_in_one_list(tmp_path, command, drones):
    index = indexed(tmp_path / "index", drones / "sounds", DEFAULT)
    out = tmp_path / "drones.pkg"
    assert command("probe", DEFAULT, index, "--labels", drones / "labels.csv", "-o", out)[0] == 0
    both, words = (scores(p, drones / "unheard.wav", f"{classes}siren") for p, classes in ((out, "low drone;"), (DEFAULT, "")))
    # A word's score is what it is without the probe, and has a cosine; a class has none.
    assert [s["siren"] for _, s in both] == [s["siren"] for _, s in words]
    assert all(s["siren"][1] is not None and s["low drone"][1] is None for _, s in both)
    alone = scores(out, drones / "unheard.wav", "low drone")
    assert [s["low drone"][0] for _, s in both] == [s["low drone"][0] for _, s in alone]


@needs_plugin
def test_a_recording_may_have_many_classes_or_none(tmp_path, command, drones):
    index = indexed(tmp_path / "index", drones / "sounds", DEFAULT)
    lines = ["recording,label,start,end", *(f"{k}.wav,{'hum;low' if k % 2 == 0 else ('hum' if k % 4 == 1 else '')},0,3.5" for k in range(16))]
    (tmp_path / "l.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "p.pkg"
    status, said = command("probe", DEFAULT, index, "--labels", tmp_path / "l.csv", "--multi-label", "-o", out)
    assert status == 0 and "low: 8 of 8 with it, 8 of 8 without it are right" in said, said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["tagger"]["activation"] == "sigmoid" and (out / "classes.txt").read_text() == "hum\nlow\n"


@needs_plugin
def test_what_no_probe_can_be_made_of_is_refused_by_name(tmp_path, command, drones):
    index, labels, out = indexed(tmp_path / "index", drones / "sounds", DEFAULT), tmp_path / "l.csv", tmp_path / "out"
    out.mkdir()

    def refused(text, *words, package=DEFAULT):
        labels.write_text(text)
        status, said = command("probe", package, index, "--labels", labels, "-o", out / "p.pkg")
        assert status == 1 and all(w in said for w in words), said
        assert list(out.iterdir()) == []

    good = (drones / "labels.csv").read_text()
    refused("file,class\n", "expected the columns recording, label", "class, file")
    refused(good + "nowhere.wav,low drone\n", "nowhere.wav is not indexed")
    refused("recording,label\n0.wav,a\n2.wav,a\n", "two classes", "found a")
    refused("recording,label\n0.wav,a\n1.wav,b\n2.wav,b\n", "class 'a'", "found 1 and 2")
    # Two recordings of one patient are one.
    refused("recording,label,group\n0.wav,a,p\n2.wav,a,p\n1.wav,b,q\n3.wav,b,r\n", "class 'a'", "found 1 and 2")
    refused("recording,label,start,end\n0.wav,a,3,1\n", "line 2", "found 3 to 1")
    refused("recording,label,start,end\n0.wav,a,soon,1\n", "line 2", "in seconds")
    refused("recording,label\n", "expected lines")
    refused(good, "holds embeddings of space listen-default-", package=BYOLA)
    refused(good, "it has a tagger already", package=packages() / "m2d-as-ft-1001p16x16")


@needs_plugin
@needs_hearts
def test_murmurs_are_found_in_heart_sounds(tmp_path, command):
    """The `eval-only` recordings of a manikin's heart and lungs: normal or murmur, judged on positions it did not hear."""
    with (DATA / "index.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["set"] == "hls_cmds"]
    lines = ["recording,label"]
    (tmp_path / "sounds").mkdir()
    for row in rows:
        name = Path(row["path"]).name
        (tmp_path / "sounds" / name).symlink_to(DATA / row["path"])
        place, _, kind = row["label"].partition(": ")
        lines.append(f"{name},{'lung' if place == 'lung' else 'murmur' if 'Murmur' in kind else 'heart'}")
    (tmp_path / "hearts.csv").write_text("\n".join(lines) + "\n")
    index = indexed(tmp_path / "index", tmp_path / "sounds", DEFAULT, "--output", "clip")
    out = tmp_path / "hearts.pkg"
    status, said = command("probe", DEFAULT, index, "--labels", tmp_path / "hearts.csv", "-o", out)
    assert status == 0, said
    # It is 80.6%; chance is a third.
    assert float(said.split("balanced accuracy ")[1].split("%")[0]) > 60, said
    heard = scores(out, DATA / "hls_cmds/LS_M_W_LUA.flac", "murmur;lung;dog barking")
    assert np.mean([s["lung"][0] > 0.5 for _, s in heard]) > 0.8
