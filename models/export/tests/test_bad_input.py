"""What is wrong with what a user gave is said in one sentence, and nothing is left behind."""
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import vit
from cases import byol_a
from weights import save

FIXED = ("--normalize", "fixed", "--mean", "-7", "--std", "4")


@pytest.fixture
def small(tmp_path):
    """A BYOL-A checkpoint; `small(change)` writes it changed."""

    def write(change=None, name="byola.pth"):
        w = byol_a.weights(1, 3, 4, 8)
        if change:
            change(w)
        return save(w, tmp_path / "in" / name)

    return write


def refused(command, tmp_path, source, *expected, rest=FIXED, family="byol-a"):
    """The export ends with 1, says all of `expected`, and leaves nothing beside the place of the package."""
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    status, said = command(family, source, "-o", out / "p.pkg", *rest)
    assert status == 1, said
    for words in expected:
        assert words in said, said
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name, content", [("a.pth", b"RIFF nonsense"), ("a.pth", b""), ("a.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}"),
                                           ("a.pt", b"\x80\x04]q\x00.")])
def test_a_file_that_is_no_checkpoint(command, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(command, tmp_path, tmp_path / name, name, "expected")


def test_a_text_named_as_a_checkpoint(command, tmp_path):
    (tmp_path / "a.pth").write_text("<html>not found</html>")
    refused(command, tmp_path, tmp_path / "a.pth", "a.pth", "it is none")


def test_a_download_that_broke_off(command, tmp_path, small):
    source = small()
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    refused(command, tmp_path, source, "byola.pth", f"ends after {source.stat().st_size} bytes", "copied whole")


def test_a_text_of_no_letters_that_pickles_know(command, tmp_path):
    (tmp_path / "a.pth").write_text("root:x:0:0:root:/root:/bin/bash\n")
    status, said = command("byol-a", tmp_path / "a.pth", "-o", tmp_path / "p", *FIXED)
    assert status == 1 and said.rstrip().endswith("it is none"), said


def test_nobody_is_told_to_have_code_run(command, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(40))
    status, said = command("byol-a", tmp_path / "a.pth", "-o", tmp_path / "p", *FIXED)
    assert status == 1 and "it is none" in said and "weights_only" not in said, said


def test_nothing_there_and_too_many(command, tmp_path, small):
    refused(command, tmp_path, tmp_path / "none", "nothing is there")
    small()
    small(name="other.pth")
    refused(command, tmp_path, tmp_path / "in", "found 2", "byola.pth, other.pth")


def test_a_missing_tensor(command, tmp_path, small):
    refused(command, tmp_path, small(lambda w: w.pop("features.5.running_var")), "features.5.running_var [4]", "not there")


def test_a_tensor_that_is_neither_known_nor_training_only(command, tmp_path, small):
    source = small(lambda w: w.update({"surprise.weight": np.zeros((2, 3))}))
    refused(command, tmp_path, source, "surprise.weight [2, 3]", "unknown")
    status, said = command("byol-a", source, "-o", tmp_path / "out" / "p.pkg", *FIXED, "--ignore", "surprise.*")
    assert status == 0, said


def test_a_wrong_shape(command, tmp_path, small):
    refused(command, tmp_path, small(lambda w: w.update({"fc.3.bias": np.zeros(9)})), "fc.3.bias must be [8] and is [9]")
    refused(command, tmp_path, small(lambda w: w.update({"features.0.weight": np.zeros((4, 1, 5, 5))})), "[C, 1, 3, 3]", "[4, 1, 5, 5]")


def test_a_value_that_is_no_number(command, tmp_path, small):
    refused(command, tmp_path, small(lambda w: w["fc.0.bias"].__setitem__(0, np.nan)), "not finite", "fc.0.bias")


def m2d(tmp_path, folder="m2d_vit_base-80x96p16x16", **change):
    w = vit.weights(3, 96, 16, 16)
    w.update(change)
    save(w, tmp_path / folder / "checkpoint-1.pth", "model")
    return tmp_path / folder


def test_a_folder_name_without_geometry(command, tmp_path):
    refused(command, tmp_path, m2d(tmp_path, "download"), "geometry", "80x608p16x16", rest=(), family="m2d")
    status, said = command("m2d", tmp_path / "download", "-o", tmp_path / "out" / "p.pkg", "--geometry", "80x96p16x16")
    assert status == 0, said


def test_a_model_given_to_another_family(command, tmp_path):
    refused(command, tmp_path, m2d(tmp_path), "expected M2D-CLAP's head", "gst-listen-export m2d", rest=(), family="m2d-clap")
    refused(command, tmp_path, m2d(tmp_path), "BYOL-A")


@pytest.mark.parametrize("name, words", [("m2d-80x96p16x16p44k-x", "p44k"), ("m2d-64x96p16x16-x", "64 bands"), ("m2d-80x96p32x16-x", "32x16")])
def test_a_geometry_that_no_model_has(command, tmp_path, name, words):
    refused(command, tmp_path, m2d(tmp_path, name), words, "expected", rest=(), family="m2d")


def test_a_geometry_that_is_not_the_tensors(command, tmp_path):
    refused(command, tmp_path, m2d(tmp_path, "m2d-80x608p16x16-x"), "pos_embed must be [1, 191, 64] and is [1, 31, 64]", rest=(), family="m2d")


def test_a_head_without_names_and_names_of_another_count(command, tmp_path):
    head = {f"module.head.norm.{k}": np.ones(320) for k in ("running_mean", "running_var")}
    head |= {"module.head.mlp.mlp.0.weight": np.ones((3, 320)), "module.head.mlp.mlp.0.bias": np.ones(3)}
    folder = tmp_path / "m2d-80x96p16x16-AS-FT"
    save({f"module.ar.runtime.backbone.{k}": v for k, v in vit.weights(3, 96, 16, 16).items()} | head, folder / "weights_1.pth")
    refused(command, tmp_path, folder, "--classes", "3 classes", rest=(), family="m2d")
    (tmp_path / "c.csv").write_text('index,mid,display_name\n0,/m/2,"two"\n1,/m/1,"one"\n')
    refused(command, tmp_path, folder, "expected 3 classes", "found 2", rest=("--classes", tmp_path / "c.csv"), family="m2d")
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    refused(command, tmp_path, folder, "mid, display_name", rest=("--classes", tmp_path / "c.csv"), family="m2d")
    (tmp_path / "c.csv").write_text("index,mid,display_name\n0,/m/2,two\n1\n2,/m/3,three\n")
    refused(command, tmp_path, folder, "c.csv, line 3: expected a mid", rest=("--classes", tmp_path / "c.csv"), family="m2d")
    for content in (bytes(range(256)), "index,mid,display_name\n0,/m/1,\u00e9\n".encode("latin-1")):
        (tmp_path / "c.csv").write_bytes(content)
        refused(command, tmp_path, folder, "c.csv: expected", "a CSV file in UTF-8", rest=("--classes", tmp_path / "c.csv"), family="m2d")


def test_no_disk_space(command, tmp_path, small, monkeypatch):
    source, usage = small(), shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    refused(command, tmp_path, source, "MB are free", "needs")


def test_a_disk_that_fills_up_while_writing(command, tmp_path, small, monkeypatch):
    source = small()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(command, tmp_path, source, "No space left")


def test_a_writer_that_wraps_what_the_system_says(command, tmp_path, small, monkeypatch):
    """safetensors has errors of its own, without a number and without a place."""
    import safetensors.numpy

    source = small()

    def full(*_):
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    refused(command, tmp_path, source, f"{tmp_path / 'out'}: No space left while the package was written", "it needs about", "MB are free in")


def can_mount():
    """Whether a small disk of one's own can be had, in a namespace of one's own."""
    return shutil.which("unshare") is not None and subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no disk of one's own can be mounted here")
@pytest.mark.parametrize("kilobytes", [8, 20, 28, 64])
def test_a_disk_that_is_full_in_earnest(tmp_path, small, kilobytes):
    source, disk = small(), tmp_path / "disk"
    disk.mkdir()
    program = "import gst_listen_export.package as p; p.enough_room = lambda *_: None; from gst_listen_export.cli import main; main()"
    script = f'mount -t tmpfs -o size={kilobytes}k none {disk} && "$@"; status=$?; ls -A {disk}; exit $status'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-c", program, "byol-a", source, "-o", disk / "p.pkg", *FIXED],
                          env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr, done.stderr
    assert f"{disk}: No space left while the package was written; it needs about" in done.stderr and f"MB are free in {disk}" in done.stderr


def test_what_is_there_is_not_overwritten(command, tmp_path, small):
    source, out = small(), tmp_path / "p.pkg"
    assert command("byol-a", source, "-o", out, *FIXED)[0] == 0
    before = (out / "manifest.json").read_bytes()
    status, said = command("byol-a", source, "-o", out, *FIXED[:-1], "5")
    assert status == 1 and "--replace" in said and (out / "manifest.json").read_bytes() == before
    assert command("byol-a", source, "-o", out, *FIXED[:-1], "5", "--replace")[0] == 0
    assert (out / "manifest.json").read_bytes() != before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    (tmp_path / "mine").mkdir()
    assert command("byol-a", source, "-o", tmp_path / "mine", *FIXED, "--replace")[0] == 1


def writing(source, out):
    """A run that has begun to write, and waits."""
    program = ("import time, gst_listen_export.package as p\n"
               "def wait(*_): print('writing', flush=True); time.sleep(60)\n"
               "p.PackageWriter.self_test = wait\n"
               "from gst_listen_export.cli import main; main()")
    root = Path(__file__).resolve().parents[1]
    started = subprocess.Popen([sys.executable, "-c", program, "byol-a", str(source), "-o", str(out / "p.pkg"), *FIXED],
                               stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)})
    assert started.stdout.readline() == b"writing\n"
    assert [p.name for p in out.iterdir() if not p.name.startswith(".")] == []
    return started


def test_an_interrupted_write_leaves_nothing(tmp_path, small):
    """Ended while it writes: no package, and after SIGTERM no half of one either."""
    source, out = small(), tmp_path / "out"
    out.mkdir()
    started = writing(source, out)
    started.send_signal(signal.SIGTERM)
    assert started.wait(20) == 143
    time.sleep(0.1)
    assert list(out.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(command, tmp_path, small):
    """And what another run is writing at the same time is not, nor what is no folder of ours."""
    source, out = small(), tmp_path / "out"
    out.mkdir()
    killed, busy = writing(source, out), writing(source, out)
    left, = (p for p in out.iterdir() if p.name.startswith(".p.pkg.partial-") and str(killed.pid) in holders(p))
    killed.kill()
    killed.wait(20)
    (out / ".p.pkg.partial-file").write_text("mine")
    (out / ".other.pkg.partial-x").mkdir()
    status, said = command("byol-a", source, "-o", out / "p.pkg", *FIXED)
    assert status == 0 and f"{left}: left by a run that was killed; removed" in said and said.count("removed") == 1, said
    assert not left.exists() and len([p for p in out.iterdir() if p.is_dir() and p.name.startswith(".p.pkg.partial-")]) == 1
    assert (out / ".p.pkg.partial-file").exists() and (out / ".other.pkg.partial-x").exists()
    busy.terminate()
    busy.wait(20)


def holders(folder):
    """The processes that hold the folder open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(folder):
                found.add(link.parts[2])
        except OSError:
            continue
    return found
