"""The committed adapt.toml, from the package that is given out, on a few sounds of a site: only its sizes are smaller here."""

import csv
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.signal import lfilter

HERE = Path(__file__).resolve().parents[1]
DEFAULT = HERE.parent / "packages" / "default"
SIZES = {
    "": {"threads": 1},
    "pool": {"shards": 1, "workers": 2, "rendered": 2},
    "audio": {"steps": 2, "batch": 16, "start": str(DEFAULT)},
    "package": {"scenes": 6, "unrelated_streams": 1, "placed": 8},
}


def toml(tables):
    """A TOML file of {table: {key: value}}."""
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]"] if name else []
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def smaller(path):
    """The configuration of `path` with SIZES."""
    read = tomllib.loads(path.read_text())
    tables = {"": {key: value for key, value in read.items() if not isinstance(value, dict)}}
    tables |= {key: value for key, value in read.items() if isinstance(value, dict)}
    for name, table in SIZES.items():
        unknown = set(table) - set(tables[name]) - {"scenes", "unrelated_streams", "placed", "rendered"}
        assert not unknown, f"{path} has no longer {unknown}"
        tables[name] |= table
    assert tables[""]["teacher"] == "" and tables["audio"]["weight_stay"] > 0
    return toml(tables)


def sound(kind, rng):
    """Two seconds of a pump, a bell and a rattle."""
    t = np.arange(32000) / 16000
    if kind == "my pump":
        x = (
            sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (48, 96, 190, 380))
            * (1 + np.sin(2 * np.pi * 6 * t))
            / 8
        )
    elif kind == "machine bell":
        x = (
            sum(np.sin(2 * np.pi * f * rng.uniform(0.98, 1.02) * t) for f in (880, 2430, 4100))
            * np.exp(-3 * (t % 0.5))
            / 4
        )
    else:
        x = rng.standard_normal(len(t)) * (np.sin(2 * np.pi * rng.uniform(7, 12) * t) > 0.3) * 0.3
    return (x + 0.002 * rng.standard_normal(len(t))).astype(np.float32)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    import soundfile

    folder = tmp_path_factory.mktemp("site")
    rng = np.random.default_rng(5)
    with open(folder / "index.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["role", "set", "path", "label", "licence", "author", "source_url", "seconds", "freesound_id"])
        for kind in ("my pump", "machine bell", "loose rattle"):
            for number in range(8):
                name = f"{kind.replace(' ', '-')}-{number}.flac"
                soundfile.write(folder / name, sound(kind, rng), 16000)
                out.writerow(["val" if number >= 6 else "train", "mine", name, kind, "CC0", "me", "", "2.0", ""])
    return train(folder, folder / "package")


def train(folder, out):
    """The package `out` of `folder` with the committed configuration, smaller."""
    (folder / "adapt.toml").write_text(smaller(HERE / "adapt.toml"))
    command = [sys.executable, "-m", "listen_training", "--config", str(folder / "adapt.toml"), "--data", str(folder)]
    done = subprocess.run([*command, "--out", str(out)], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def noise_and_tones():
    """A minute of hiss, gusts and rumbling, hum, beeps, sweeps, steady and stepping tones, six seconds each."""
    rng, n = np.random.default_rng(8), 6 * 16000
    t = np.arange(n) / 16000
    tone = lambda hertz: 0.3 * np.sin(2 * np.pi * np.cumsum(hertz * np.ones(n)) / 16000)
    pink = lambda a: (x := lfilter([1], [1, -a], rng.standard_normal(n))) / np.abs(x).max() * 0.6
    parts = [
        0.03 * rng.standard_normal(n),
        0.3 * rng.standard_normal(n) * (t % 1 < 0.2),
        pink(0.95) * (t % 2 < 0.5),
        pink(0.9) * (t % 1.5 < 0.7),
        pink(0.995),
        sum(tone(50.0 * k) / k for k in (1, 2, 3, 5)),
        tone(1000) * (t % 1 < 0.3),
        tone(300 + 1000 * (t % 2)),
        tone(500 + 700 * (t % 3)),
        tone(200 * (1 + np.floor(t * 2) % 5)),
    ]
    return (np.concatenate(parts) + 0.001 * rng.standard_normal(10 * n)).astype(np.float32)


def events(folder, labels, samples):
    """{label: how many events} in `samples`, as the package's own scores, smoothing and thresholds make them."""
    from listen_training import audio, calibrate, package, scenes, settle

    runner, result = package.Runner(folder), settle.result_of(folder)
    vectors = runner.text(labels, result.templates)
    score = calibrate.scores(scenes.frames(runner, audio.log_mel(samples, np.float32)) @ vectors.T, vectors, result)
    score = calibrate.smoothed(score, result.smoothing)
    on, off = result.threshold, result.offset_threshold
    return {label: n for k, label in enumerate(labels) if (n := len(scenes.groups(score[:, k], on, off)))}


NONSENSE = (
    "tax form",
    "blue paint",
    "zzxqy",
    "meaning of life",
    "insurance contract",
    "the number seven",
    "loyalty",
    "qwerty uiop",
)


def test_an_adapted_package_is_silent_where_the_default_is(adapted):
    labels = json.loads((DEFAULT / "manifest.json").read_text())["label_embeddings"]["labels"]
    asked, heard = [*labels, *NONSENSE], noise_and_tones()
    assert len(heard) == 60 * 16000
    assert events(DEFAULT, asked, heard) == {}, "a package that hears something there is no measure"
    assert events(adapted, asked, heard) == {}


def test_an_adapted_package_keeps_the_background_and_the_thresholds(adapted):
    old, new = (json.loads((folder / "manifest.json").read_text())["clap"] for folder in (DEFAULT, adapted))
    assert new == old
    before, after = (load_file(str(folder / "calibration.safetensors"))["background"] for folder in (DEFAULT, adapted))
    assert len(after) >= len(before) and np.array_equal(after[: len(before)], before)
    assert (adapted / "placing.safetensors").read_bytes() == (DEFAULT / "placing.safetensors").read_bytes()
    figures = json.loads((adapted.with_name("package.work") / "figures.json").read_text())
    assert figures["settings"]["threshold"] == old["default_threshold"] and 0.9 < figures["cosine_to_start"] <= 1


def test_an_adapted_package_credits_what_it_goes_on_from(adapted):
    assert (DEFAULT / "NOTICE").read_text().strip() in (adapted / "NOTICE").read_text()
    lines = (adapted / "ATTRIBUTION.csv").read_text().splitlines()
    before = (DEFAULT / "ATTRIBUTION.csv").read_text().splitlines()
    assert len(lines) == len(set(before)) + 18
    assert lines[1].startswith("me,loose-rattle-0,")


def test_ordinary_sound_comes_to_the_background_and_can_only_raise_the_threshold(adapted):
    import soundfile

    # From its checkpoint and its mixes: only what is made of them differs.
    folder = adapted.parent
    shutil.copytree(folder / "package.work", folder / "with-ordinary.work")
    minutes, rng = 11, np.random.default_rng(2)
    hall = lfilter([1], [1, -0.97], rng.standard_normal(minutes * 60 * 16000)) * 0.02
    soundfile.write(folder / "hall.flac", hall.astype(np.float32), 16000)
    with open(folder / "index.csv", "a", newline="") as file:
        csv.writer(file).writerow(["train", "ordinary", "hall.flac", "", "CC0", "me", "", str(60 * minutes), ""])
    made = train(folder, folder / "with-ordinary")
    old, new = (json.loads((package / "manifest.json").read_text())["clap"] for package in (DEFAULT, made))
    assert new["default_threshold"] >= old["default_threshold"]
    assert new | {"default_threshold": 0} == old | {"default_threshold": 0}
    before, after = (load_file(str(package / "calibration.safetensors"))["background"] for package in (DEFAULT, made))
    assert len(after) == len(before) * 5 // 4 and np.array_equal(after[: len(before)], before)
    assert "me,hall," in (made / "ATTRIBUTION.csv").read_text()
    tried = json.loads((folder / "with-ordinary.work" / "settings.json").read_text())
    assert min(setting["threshold"] for setting in tried) == old["default_threshold"]


@pytest.mark.parametrize(
    ("start", "stay", "minutes", "holds"),
    [
        ("", 2.0, 0, False),
        (DEFAULT, 2.0, 0, True),
        (DEFAULT, 2.0, 60, True),
        (DEFAULT, 0.0, 9, True),
        (DEFAULT, 0.0, 11, False),
    ],
)
def test_what_the_package_says_of_scores_holds_unless_nothing_holds_the_audio_side(start, stay, minutes, holds):
    from listen_training import config, held

    made = config.Config()
    made.audio.start, made.audio.weight_stay = str(start), stay
    assert held.holds(made, [np.zeros(16000 * 60, np.float32)] * minutes) == holds


def test_ordinary_sound_is_cut_into_pieces_and_is_not_unknown(tmp_path):
    import soundfile

    from listen_training import data

    rng = np.random.default_rng(1)
    rows = [("ordinary", "long.flac", "", 30), ("ordinary", "short.flac", "", 2), ("other", "unknown.flac", "", 3)]
    rows += [("ordinary", "named.flac", "bell", 3)]
    with open(tmp_path / "index.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["role", "set", "path", "label", "licence"])
        for name, path, label, seconds in rows:
            soundfile.write(tmp_path / path, 0.1 * rng.standard_normal(16000 * seconds), 16000)
            out.writerow(["train", name, path, label, "CC0"])
    found, pieces = data.ordinary(tmp_path)
    assert [row.path for row in found] == ["long.flac", "short.flac"]
    # 30 seconds are three pieces and one of six; two are one.
    assert [round(len(piece) / 16000) for piece in pieces] == [8, 8, 8, 6, 2]
    assert [row.path for row in data.unlabelled(tmp_path)[0]] == ["unknown.flac"]
    assert data.load(tmp_path, "train", []).rows[0].path == "named.flac"
