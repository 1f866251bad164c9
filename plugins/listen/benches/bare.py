"""A bare loop over a package's graphs in Python's onnxruntime, for `chain.rs` to compare with.

    python bare.py PACKAGE FRAMES     reads a number of windows from each line of its input, prints the seconds they took
"""
import json
import pathlib
import sys
import time

import numpy as np
import onnxruntime


def session(file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def main():
    folder, frames = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    manifest = json.loads((folder / "manifest.json").read_text())
    encoder = session(folder / next(iter(manifest["encoder"]["graphs"].values()))["file"])
    head = session(folder / manifest["head"]["file"]) if manifest.get("head") else None
    lms = np.random.default_rng(1).uniform(-12, -4, (1, 1, manifest["frontend"]["n_mels"], frames)).astype(np.float32)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            out = encoder.run([manifest["encoder"]["output"]["name"]], {manifest["encoder"]["input"]["name"]: lms})
            if head is not None:
                head.run([manifest["head"]["output"]], {manifest["head"]["input"]: out[0]})
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
