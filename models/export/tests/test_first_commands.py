"""The three commands at the head of models/export/README.md, as a stranger types them: a download's folder, a package, a pipeline."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import m2d_clap as case
from packed import packages
from test_search import needs_plugin
from weights import save

from gst_listen_export.cli import EXTRAS

REPO = Path(__file__).resolve().parents[3]
FOLDER = "m2d_clap_vit_base-80x1001p16x16p16kpBpTI-2025"
WORDS = 30522  # of BERT's vocabulary, which comes with the exporter


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with the download in it: random weights of width 64 under the real names, in the folder's real name, all of BERT's words."""
    import vit

    monkeypatch.setattr(case, "WORDS", WORDS)
    encoder = vit.weights(7, 1001, 16, 16, stats=(-7.26, 4.35))
    state = {f"backbone.{k}": v for k, v in (encoder | case.head(8, 2025)).items()} | {"mask_token": np.zeros((1, 1, 8), np.float32)}
    state |= {f"text_encoder.text_encoder.{k}": v for k, v in case.bert(9).items()}
    save(state, tmp_path / "Downloads" / FOLDER / "checkpoint-30.pth", "model", epoch=30)
    return tmp_path


def plain(home):
    """An environment in which only the dependencies of `pip install ./models/export` are there."""
    (home / "site").mkdir()
    (home / "site/sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({[*EXTRAS]!r}))\n".replace("'jinja2', ", ""))
    return os.environ | {"HF_HOME": str(home / "hf"), "PYTHONPATH": f"{home / 'site'}:{REPO / 'models/export'}", "HF_HUB_OFFLINE": "1"}


def test_what_an_extra_brings_is_named_where_it_is_missing(home):
    said = subprocess.run([sys.executable, "-m", "gst_listen_export", "probe", packages() / "byol-a-v1", home, "--labels", home / "none.csv", "-o", home / "p"],
                          env=plain(home), capture_output=True, text=True)
    assert said.returncode == 1 and "Traceback" not in said.stderr, said.stderr


@pytest.mark.parametrize("module, extra", [("transformers", "text"), ("sklearn.linear_model", "probe"), ("ai_edge_litert", "litert")])
def test_a_missing_module_is_said_with_its_extra(command, monkeypatch, module, extra):
    from gst_listen_export.commands import inspect

    def missing(_):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(inspect, "run", missing)
    status, said = command("inspect", ".")
    assert status == 1 and f"needs {module}" in said and f"[{extra}]" in said


@needs_plugin
def test_a_downloaded_folder_is_heard_by_words(home):
    environment = plain(home)
    run = lambda *argv: subprocess.run([str(a) for a in argv], cwd=home, env=environment, capture_output=True, text=True, timeout=300)
    made = run(sys.executable, "-m", "gst_listen_export", "m2d-clap", home / "Downloads" / FOLDER, "-o", "clap2025.pkg")
    assert made.returncode == 0, made.stderr
    heard = run("gst-launch-1.0", "-q", "filesrc", f"location={REPO}/examples/street.flac", "!", "decodebin", "!", "audioconvert", "!", "audioresample",
                "!", "melspec", "!", "m2dencode", "model=clap2025.pkg", "accept-license=true", "!", "clapmatch", "labels=electric vehicle;motorbike",
                "!", "application/x-json,format=audio-scores", "!", "filesink", "location=scores.json")
    assert heard.returncode == 0, heard.stderr
    lines = [json.loads(line) for line in (home / "scores.json").read_text().splitlines()]
    assert len(lines) > 10 and all({s["label"] for s in line["scores"]} == {"electric vehicle", "motorbike"} for line in lines)
    assert all(0 <= s["score"] <= 1 for line in lines for s in line["scores"])
    # Two labels are two vectors: their scores are not the same.
    assert any(line["scores"][0]["score"] != line["scores"][1]["score"] for line in lines)
    checked = run(sys.executable, "-m", "gst_listen_export", "verify", "clap2025.pkg")
    assert checked.returncode == 0 and "everything agrees" in checked.stdout, checked.stderr
