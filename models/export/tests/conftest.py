import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "fixtures")]

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def command(capsys):
    """Runs gst-listen-export; gives (exit status, what it wrote to stderr and stdout)."""
    from gst_listen_export.cli import main

    def run(*argv):
        try:
            main([str(a) for a in argv])
        except SystemExit as end:
            text = "" if isinstance(end.code, int) or end.code is None else str(end.code)
            status = end.code if isinstance(end.code, int) else (1 if text else 0)
            captured = capsys.readouterr()
            return status, text + captured.err + captured.out
        raise AssertionError("main() must end the process")

    return run
