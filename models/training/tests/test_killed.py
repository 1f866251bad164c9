"""A training that is killed goes on from its checkpoint; and what a run's curves show."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from test_whole_way import CONFIG, HERE, sound

STEPS = 60


def test_a_training_that_was_killed_goes_on_from_its_checkpoint(tmp_path):
    import soundfile

    rng = np.random.default_rng(1)
    with open(tmp_path / "index.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["role", "set", "path", "label", "licence"])
        for kind in ("whistle", "rain", "clock_tick"):
            for number in range(5):
                soundfile.write(tmp_path / f"{kind}-{number}.flac", sound(kind, rng), 16000)
                out.writerow(["val" if number == 4 else "train", "site", f"{kind}-{number}.flac", kind, "CC0"])
    text = CONFIG.split("[captions]")[0].replace("rendered = 5", "rendered = 0").replace("shards = 2", "shards = 1")
    text = text.replace("steps = 30", f"steps = {STEPS}\nbf16 = false").replace("save_every = 15", "save_every = 5")
    (tmp_path / "config.toml").write_text(text)
    command = [sys.executable, "-m", "listen_training", "--config", str(tmp_path / "config.toml")]
    command += ["--data", str(tmp_path), "--out", str(tmp_path / "package")]
    work = tmp_path / "package.work"
    steps_logged = lambda: [json.loads(line).get("step", 0) for line in log() if '"frame"' in line]
    log = lambda: (work / "log.jsonl").read_text().splitlines() if (work / "log.jsonl").exists() else []
    with open(tmp_path / "said", "w") as said:
        # A session of its own, so that the processes that mix die with it, as when a machine goes down.
        first = subprocess.Popen(command, cwd=HERE, stdout=said, stderr=said, start_new_session=True)
    while first.poll() is None and 25 not in steps_logged():
        time.sleep(0.02)
    assert first.poll() is None, (tmp_path / "said").read_text()[-4000:]
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    state = lambda: torch.load(work / "audio.pt", weights_only=True)
    before, lines = state()["step"], len(log())
    assert 20 <= before < STEPS and not (tmp_path / "package" / "manifest.json").exists()

    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    told = [json.loads(line) for line in log()[lines:]]
    again = [line["step"] for line in told if "frame" in line]
    # Every 25 steps there is a line: those before the checkpoint are not there again.
    assert again == [n for n in (25, 50, STEPS) if n > before]
    assert state()["step"] == STEPS
    assert {int(one["step"]) for one in state()["optimiser"]["state"].values()} == {STEPS}
    assert (tmp_path / "package" / "manifest.json").exists()


def drawn(monkeypatch, tmp_path, lines):
    """{title: names of its lines} of the curves of a log."""
    from matplotlib import pyplot

    from listen_training import finish

    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = {}

    def noted(figure, path, **_):
        found.update({a.get_title(): [line.get_label() for line in a.lines] for a in figure.axes})
        path.touch()

    monkeypatch.setattr(pyplot.Figure, "savefig", noted)
    finish.curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
    return found


def test_curves_have_a_panel_for_what_was_trained_only(monkeypatch, tmp_path):
    audio = [{"step": n, "frame": 9 / n, "frame_choice": 3 / n, "stay": 0.0} for n in (25, 50)]
    losses = {"losses of the audio side (first = 1)": ["frame", "frame_choice", "stay"]}
    assert drawn(monkeypatch, tmp_path, audio) == losses
    tops = {"val clips, labels given as text": ["top1", "top3"]}
    audio[1] |= {"top1": 0.5, "top3": 0.9}
    assert drawn(monkeypatch, tmp_path, audio) == losses | tops
    words = {"stage": "text", "step": 50, "loss": 0.2, "held_out_cos": 0.8}
    assert drawn(monkeypatch, tmp_path, [*audio, words]) == losses | tops | {
        "text tower: cosine on held-out phrases": ["cosine"]
    }
    assert drawn(monkeypatch, tmp_path, [{"stage": "clips"}]) == {}


def test_waiting_for_mixes_ends_with_them_or_with_those_who_make_them(tmp_path):
    from listen_training import pool

    class Writer:
        def is_alive(self):
            return False

    for number in range(2):
        (tmp_path / f"shard-{number:04d}.npz").touch()
    pool.wait(tmp_path, [Writer()], 2)
    with pytest.raises(SystemExit, match="have died at shard 2 of 3"):
        pool.wait(tmp_path, [Writer()], 3)
