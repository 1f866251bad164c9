"""The card's matrix products, measured: `python peak.py [SIZE]` prints a line of JSON, 10^12 operations a second of PyTorch's products.

fp32 is without TF32, as the runtime sets it; TF32 stands beside it because much that is published is in it.
"""
import json
import statistics
import sys
import time

import torch

size = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
device = "cuda" if torch.cuda.is_available() else "cpu"
wait = torch.cuda.synchronize if device == "cuda" else lambda: None
name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
found = {"what": "peak", "device": name, "size": size}
for kind, dtype, tf32 in (("fp16", torch.float16, False), ("fp32", torch.float32, False), ("tf32", torch.float32, True)):
    torch.backends.cuda.matmul.allow_tf32 = tf32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = []
    for turn in range(8):
        wait()
        began = time.perf_counter()
        for _ in range(5):
            a @ b
        wait()
        if turn >= 3:
            times.append((time.perf_counter() - began) / 5)
    found[kind] = 2 * size**3 / statistics.median(times) / 1e12
print(json.dumps(found))
