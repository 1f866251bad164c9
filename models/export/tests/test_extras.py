"""What tests need beyond the package itself comes with an extra, and is missed aloud where tests are meant to run."""

import re
import tomllib
from pathlib import Path

import pytest
from extras import needed

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# The packages that bring modules of other names.
PACKAGES = {"sklearn": "scikit-learn", "ai_edge_litert": "ai-edge-litert"}


def test_a_missing_module_fails_where_everything_is_meant_to_run(tmp_path, monkeypatch):
    monkeypatch.delenv("GST_PLUGIN_PATH", raising=False)
    with pytest.raises(pytest.skip.Exception):
        needed("no_such_module", tmp_path / "no-data")
    with pytest.raises(ModuleNotFoundError):
        needed("no_such_module", tmp_path)
    monkeypatch.setenv("GST_PLUGIN_PATH", str(tmp_path))
    with pytest.raises(ModuleNotFoundError):
        needed("no_such_module", tmp_path / "no-data")


def test_no_test_skips_what_an_extra_brings():
    pinned = {line.split("==")[0] for lines in EXTRAS.values() for line in lines}
    asked = set()
    for file in sorted((ROOT / "tests").glob("test_*.py")):
        text = file.read_text()
        assert "importorskip(" not in text or file == Path(__file__), (
            f"{file.name}: expected extras.needed, found importorskip"
        )
        asked |= set(re.findall(r"""\bneeded\("([a-z_]+)""", text))
    assert {PACKAGES.get(name, name) for name in asked - {"no_such_module"}} <= pinned
    assert {"soundfile", "ai_edge_litert", "sklearn", "transformers"} <= asked


def test_soundfile_is_the_version_that_training_has():
    trained = (ROOT.parent / "training/requirements.txt").read_text().split()
    assert [line for line in EXTRAS["test"] if line.startswith("soundfile")] == [
        line for line in trained if line.startswith("soundfile")
    ]
