"""Who is credited: NOTICE and ATTRIBUTION.csv of what is trained, and where the credits of the default model are installed."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from listen_training import attribution, audio, config, notice

REPO = Path(__file__).resolve().parents[3]
PACKAGES = REPO / "models" / "packages"
CREDITS = ("ATTRIBUTION.csv", "LICENSE.txt", "NOTICE")


def row(path, author="me", set="site", url=""):
    return audio.Row("train", set, path, "pump", "CC0", author, url, "")


def noticed(tmp_path, **changes):
    made = config.Config(teacher=changes.get("teacher", ""))
    made.package.id, made.audio.start = "mine", str(changes.get("start", ""))
    notice.write(tmp_path / "NOTICE", made)
    return (tmp_path / "NOTICE").read_text()


def test_a_notice_names_what_was_used_and_nothing_else(tmp_path):
    plain, taught = noticed(tmp_path), noticed(tmp_path, teacher="yamnet")
    for text in (plain, taught):
        assert text.startswith("mine\n") and "https://www.apache.org/licenses/LICENSE-2.0" in text
        assert "sentence-transformers/all-MiniLM-L6-v2" in text and "UKP Lab" in text and "word pieces" in text
    assert "YAMNet" not in plain and "AudioSet" not in plain
    assert "research/audioset/yamnet), Copyright The TensorFlow Authors" in taught and "AudioSet" in taught


def test_a_package_that_goes_on_keeps_the_notice_of_the_one_before(tmp_path):
    before = (PACKAGES / "default" / "NOTICE").read_text().strip()
    text = noticed(tmp_path, start=PACKAGES / "default", teacher="yamnet")
    assert before in text and "go on from those of the package listen-default" in text
    assert text.count("* YAMNet") == text.count("* all-MiniLM-L6-v2") == 1
    # And the one after it keeps both.
    second = tmp_path / "second"
    second.mkdir()
    (second / "manifest.json").write_text(json.dumps({"id": "mine"}))
    (tmp_path / "NOTICE").rename(second / "NOTICE")
    assert text.strip() in noticed(tmp_path, start=second)


def test_a_package_without_a_notice_is_said_to_have_none(tmp_path):
    start = tmp_path / "start"
    start.mkdir()
    (start / "manifest.json").write_text(json.dumps({"id": "bare"}))
    assert "the package bare, which came without a NOTICE" in noticed(tmp_path, start=start)
    attribution.write(tmp_path / "ATTRIBUTION.csv", [row("a.wav")], start)
    assert "go on; it came without an ATTRIBUTION.csv" in (tmp_path / "ATTRIBUTION.csv").read_text()


def test_a_package_that_goes_on_credits_the_recordings_of_the_one_before_once(tmp_path):
    read = lambda path: list(csv.DictReader(path.read_text().splitlines()))
    before = read(PACKAGES / "default" / "ATTRIBUTION.csv")
    attribution.write(tmp_path / "ATTRIBUTION.csv", [row("b.wav"), row("a.wav")], PACKAGES / "default")
    lines = read(tmp_path / "ATTRIBUTION.csv")
    assert [line["title_or_id"] for line in lines[:2]] == ["a", "b"] and not lines[0]["note"]
    key = lambda line: tuple(line[k] for k in ("author", "title_or_id", "link", "licence", "changes"))
    assert {key(line) for line in before} <= {key(line) for line in lines}
    assert len({key(line) for line in lines}) == len(lines)
    assert all("package listen-default, from which the weights go on" in line["note"] for line in lines[2:])
    # A package after that keeps the note, and credits a recording that trained both by its own line only.
    (tmp_path / "manifest.json").write_text(json.dumps({"id": "mine"}))
    attribution.write(tmp_path / "again.csv", [row("a.wav")], tmp_path)
    again = read(tmp_path / "again.csv")
    assert len(again) == len(lines) and again[2:] == lines[2:]
    assert [line["note"] for line in again[:2]] == ["", "through the package mine, from which the weights go on"]


def test_the_committed_packages_credit_what_the_recipe_would(tmp_path):
    for name in ("default", "judged"):
        text = (PACKAGES / name / "NOTICE").read_text()
        for part in (notice.YAMNET, notice.MINILM, notice.NAMES, notice.LICENCES):
            assert part in text, f"{name}: {part.splitlines()[0]}"
        # What the sums cover stands as it was given out; what it leaves out the NOTICE says.
        assert "placing.safetensors" in text
        assert "NOTICE" not in json.loads((PACKAGES / name / "manifest.json").read_text())["sha256"]
    written = Path(notice.__file__).with_name("weights-license.txt").read_text()
    assert "placing.safetensors" in written and "ATTRIBUTION.csv" in written


def pretended(folder, **programs):
    """`folder` with programs that only say or do what is asked here."""
    folder.mkdir()
    for name, body in programs.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_run_install_brings_the_credits_along(tmp_path):
    target = tmp_path / "target" / "release"
    target.mkdir(parents=True)
    (target / "libgstlisten.so").write_text("the plugin")
    path = pretended(tmp_path / "bin", cargo="echo cargo 1.99.0", dpkg_query="echo installed", gst_inspect_1_0="exit 0")
    (tmp_path / "bin" / "gst-inspect-1-0").rename(tmp_path / "bin" / "gst-inspect-1.0")
    there = {"XDG_DATA_HOME": str(tmp_path / "data"), "CARGO_TARGET_DIR": str(tmp_path / "target")}
    environment = os.environ | there | {"PATH": path, "GST_LISTEN_ONNXRUNTIME": "elsewhere"}
    done = subprocess.run(["sh", REPO / "run", "install"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "gstreamer-1.0" / "plugins" / "libgstlisten.so").read_text() == "the plugin"
    for name in CREDITS:
        installed = tmp_path / "data" / "gst-listen" / "default-model" / name
        assert installed.read_bytes() == (PACKAGES / "default" / name).read_bytes()


@pytest.mark.skipif(not (shutil.which("meson") and shutil.which("ninja")), reason="needs meson and ninja")
def test_meson_installs_the_credits_where_documentation_lies(tmp_path):
    path = pretended(tmp_path / "bin", cargo="echo cargo 1.99.0")
    environment = os.environ | {"PATH": path}
    command = ["meson", "setup", tmp_path / "build", REPO, "--prefix", "/usr"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = subprocess.run(
        ["meson", "introspect", "--installed", tmp_path / "build"], capture_output=True, text=True, check=True
    ).stdout
    installed = set(json.loads(told).values())
    for name in CREDITS:
        assert f"/usr/share/doc/gst-listen/default-model/{name}" in installed
