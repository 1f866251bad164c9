"""PyTorch eager on the same weights: a number of windows from each line of stdin; prints seconds, processor seconds.

    python torch_loop.py FOLDER_OF_MAKE THREADS fp32|bf16
"""
import resource
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "models/export"))
from gst_listen_export.nets.vit import PatchTransformer  # noqa: E402


def used():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def main():
    folder, threads, precision = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(threads)
    state = torch.load(folder / "m2d_vit_base-80x608p16x16-random/checkpoint.pth")["model"]
    net = PatchTransformer(5, 38, (16, 16), 768, 12, 3072)
    net.load_state_dict(state)
    net.eval()
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    net, lms = net.to(kind), torch.randn(1, 1, 80, 608, dtype=kind)
    with torch.inference_mode():
        net(lms)
        print("ready", flush=True)
        for line in sys.stdin:
            began, cpu = time.perf_counter(), used()
            for _ in range(int(line)):
                net(lms)
            print(time.perf_counter() - began, used() - cpu, flush=True)


if __name__ == "__main__":
    main()
