"""More recordings out of archives, and what becomes of those without a label."""

import csv
import hashlib
import io
import re
import shutil
import subprocess
import tarfile

import mixes
import numpy as np
import pytest
import soundfile


def archive(path, files):
    """A .tgz of `files` (name, samples at 8 kHz); returns its address and digest."""
    with tarfile.open(path, "w:gz") as out:
        for name, x in files:
            blob = io.BytesIO()
            soundfile.write(blob, x, 8000, format="WAV")
            info = tarfile.TarInfo(name)
            info.size = blob.tell()
            blob.seek(0)
            out.addfile(info, blob)
    return path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest()


def lists(folder, monkeypatch, url, digest, names):
    from listen_training import more

    rows = [["a/b", name, "CC0-1.0", "somebody", "", label] for name, label in names]
    for name, lines in {
        "more.csv": [["archive", "file", "licence", "author", "source", "label"], *rows],
        "more_archives.csv": [["archive", "url", "sha256"], ["a/b", url, digest]],
    }.items():
        with open(folder / name, "w", newline="") as file:
            csv.writer(file).writerows(lines)
    monkeypatch.setattr(more, "HERE", folder)
    return more


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "own").mkdir(parents=True)
    soundfile.write(folder / "own" / "rain.wav", np.full(16000, 0.5), 16000)
    (folder / "index.csv").write_text(
        "role,set,path,label,licence,author,source_url,seconds,freesound_id\ntrain,own,own/rain.wav,rain,CC0,somebody,,1.0,7\n"
    )
    return folder


def test_recordings_are_added_and_those_without_a_label_are_apart(tmp_path, monkeypatch, data):
    from listen_training import data as clips

    tone = np.sin(np.arange(8000) * 0.3)
    url, digest = archive(
        tmp_path / "a.tgz", [("package/a.wav", tone), ("package/b.wav", tone / 2), ("package/c.wav", tone)]
    )
    more = lists(tmp_path, monkeypatch, url, digest, [("package/a.wav", "piano"), ("package/b.wav", "")])
    out = tmp_path / "out"
    assert more.write(out, data) == 2
    names = []
    loaded = clips.load(out, "train", names)
    assert names == ["rain", "piano"] and [row.set for row in loaded.rows] == ["own", more.SET]
    assert len(loaded.waves[1]) == pytest.approx(16000, abs=50), "a second at 8 kHz is a second at 16 kHz"
    rows, waves = clips.unlabelled(out)
    assert [row.path for row in rows] == ["more/a_b/package_b.wav.flac"]
    assert np.abs(waves[0]).max() == pytest.approx(0.9, abs=0.01)


def test_recordings_are_not_added_twice(tmp_path, monkeypatch, data):
    url, digest = archive(tmp_path / "a.tgz", [("a.wav", np.ones(800))])
    more = lists(tmp_path, monkeypatch, url, digest, [("a.wav", "")])
    out = tmp_path / "out"
    more.write(out, data)
    with pytest.raises(RuntimeError, match="it holds `more` already"):
        more.write(tmp_path / "again", out)


def test_a_debian_package_and_a_resource_file_in_it_are_opened(tmp_path, monkeypatch, data):
    if not all(map(shutil.which, ("dpkg-deb", "gresource", "glib-compile-resources"))):
        pytest.skip("needs dpkg-deb, gresource and glib-compile-resources")
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: a\n"
    )
    (root / "usr").mkdir()
    soundfile.write(root / "usr" / "a b.wav", np.ones(800) / 2, 8000)
    soundfile.write(tmp_path / "c.wav", np.ones(1600) / 2, 8000)
    (tmp_path / "r.xml").write_text('<gresources><gresource prefix="/x"><file>c.wav</file></gresource></gresources>')
    target = f"--target={root / 'usr' / 'r.gresource'}"
    subprocess.run(["glib-compile-resources", f"--sourcedir={tmp_path}", target, str(tmp_path / "r.xml")], check=True)
    deb = tmp_path / "a.deb"
    subprocess.run(["dpkg-deb", "-b", str(root), str(deb)], check=True, capture_output=True)
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    more = lists(tmp_path, monkeypatch, deb.as_uri(), digest, [("usr/a b.wav", "rain"), ("x/c.wav", "")])
    out = tmp_path / "out"
    assert more.write(out, data) == 2
    seconds = {row["path"]: float(row["seconds"]) for row in more.read(out / "index.csv")}
    assert seconds["more/a_b/usr_a b.wav.flac"] == pytest.approx(0.1)
    assert seconds["more/a_b/x_c.wav.flac"] == pytest.approx(0.2)


def test_a_package_that_its_mirror_no_longer_has_comes_from_the_snapshot(tmp_path, monkeypatch):
    from listen_training import more

    url, digest = archive(tmp_path / "a.tgz", [("a.wav", np.ones(800))])
    monkeypatch.setattr(more, "DEBIAN", "mirror/")
    monkeypatch.setattr(more, "SNAPSHOT", "")
    gone = url.replace("a.tgz", "mirror/a.tgz")
    assert hashlib.sha256(more.fetch(gone, digest)).hexdigest() == digest
    (tmp_path / "a.tgz").unlink()
    with pytest.raises(RuntimeError, match=f"expected an archive, came: {gone}.*; {url}"):
        more.fetch(gone, digest)


def test_a_row_that_chooses_needs_a_label(data):
    from listen_training import audio

    with open(data / "index.csv", "a") as file:
        file.write("val,own,own/nameless.wav,,CC0,somebody,,1.0,8\n")
    with pytest.raises(SystemExit, match="expected a label in each row of role val, own/nameless.wav has none"):
        audio.read_index(data)


def test_an_archive_that_is_another_is_named_with_both_digests(tmp_path, monkeypatch, data):
    url, digest = archive(tmp_path / "a.tgz", [("a.wav", np.ones(800))])
    more = lists(tmp_path, monkeypatch, url, "0" * 64, [("a.wav", "")])
    with pytest.raises(RuntimeError, match=f"expected sha256 {'0' * 64}, came {digest}"):
        more.write(tmp_path / "out", data)
    assert not (tmp_path / "out" / "index.csv").exists()


def test_a_recording_that_is_not_in_the_archive_is_named(tmp_path, monkeypatch, data):
    url, digest = archive(tmp_path / "a.tgz", [("a.wav", np.ones(800))])
    more = lists(tmp_path, monkeypatch, url, digest, [("a.wav", ""), ("gone.wav", "")])
    with pytest.raises(RuntimeError, match=r"expected 2 recordings, 1 are missing: \['gone.wav'\]"):
        more.write(tmp_path / "out", data)


def test_the_lists_agree_and_name_only_what_may_train():
    from listen_training import audio, more

    archives = {row["archive"]: row for row in more.read(more.HERE / "more_archives.csv")}
    rows = more.read(more.HERE / "more.csv")
    assert {row["archive"] for row in rows} == set(archives)
    assert len({(row["archive"], row["file"]) for row in rows}) == len(rows)
    assert all(len(row["sha256"]) == 64 for row in archives.values())
    assert {row["licence"] for row in rows} <= {"CC0-1.0", "PD", "CC-BY-3.0", "CC-BY-4.0"}
    assert all(audio.permissive(row["licence"]) for row in rows)
    # Who made it, not what it may be used for.
    assert not [
        row
        for row in rows
        if not row["author"] or re.match(r"public.domain|no-copyright|cc0|various", row["author"], re.I)
    ]
    paths = {f"{row['archive']}/{row['file']}".replace("/", "_") for row in rows}
    assert len(paths) == len(rows), "two recordings would be one file"


def test_what_an_unlabelled_sound_is_only_the_teacher_says():
    from listen_training import mixer, probe, targets

    rng = np.random.default_rng(4)
    waves = [rng.standard_normal(32000).astype(np.float32) * 0.2 for _ in range(6)]
    unknown = [np.sin(np.arange(9000) * 0.7).astype(np.float32)]
    draw = mixer.Mixer(waves, [0, 0, 0, 1, 1, 1], [1, 2, 3, 1, 2, 3], [0, 1], rng, bent=1.0, unlabelled=unknown)
    batch = mixes.batch(draw, 60)
    bent = batch["labels"] == mixer.BENT
    assert not (batch["labels"] >= 0).any(), "every main sound is bent or unlabelled"
    nameless = bent & (batch["folds"] == -1)
    assert nameless.any() and (bent & ~nameless).any()
    frame, _, clip, _, _ = targets.targets(batch, 2, np.zeros((2, 2), bool), np.zeros(2, bool), (0, mixer.COLUMNS))
    assert not frame.any() and not clip.any()
    # The probe tells the labels apart; of a sound that need not be any of them it has nothing to say.
    sure = probe.probabilities(mixes.PROBE, batch)[1].any(1)
    assert sure[(bent & ~nameless).any(1)].any() and not sure[~(bent & ~nameless).any(1)].any()


def test_a_run_without_some_labels_hears_no_sound_that_may_be_theirs():
    from listen_training import mixer, unseen

    class Pool:
        def draw(self, rng, count):
            labels = rng.choice([mixer.BENT, mixer.STRANGE, mixer.NONE, 0, 1, 2], (count, 4)).astype(np.int16)
            return {"labels": labels, "was": labels}

    batch = unseen.Without(Pool(), 3, [1], [0]).draw(np.random.default_rng(1), 200)
    assert set(np.unique(batch["was"])) == {mixer.STRANGE, mixer.NONE, 0, 2}
    assert (batch["labels"] == np.where(batch["was"] == 2, 1, batch["was"])).all()


def test_what_goes_on_in_a_row_is_one_clip_a_label_or_anything():
    from listen_training import mixer

    rng = np.random.default_rng(4)
    waves = [rng.standard_normal(8000).astype(np.float32) for _ in range(9)]
    draw = mixer.Mixer(waves, [0, 0, 0, 1, 1, 1, 2, 2, 2], [1] * 9, [0], rng)
    rows = [draw.alike(draw.short) for _ in range(200)]
    again = [picks for picks, same in rows if same]
    assert again and all(len(picks) == 1 for picks in again)
    kinds = {tuple(map(int, picks)) for picks, same in rows if not same}
    assert kinds == {(3, 4, 5), (6, 7, 8), (3, 4, 5, 6, 7, 8)}, "never a clip of a main label"
