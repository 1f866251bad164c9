"""Speed of full-size models through the elements, beside PyTorch eager and the machine's own peak: `./run bench families`.

    python measure.py FOLDER_OF_MAKE [--rounds 5] [--windows 3]

Every contender is a process of its own, pinned to one core or two, that waits for its turn: rounds go through all of them, so
that what else runs on the machine hits all alike. Figures are medians over rounds of wall milliseconds a window (in
brackets: of processor time); ratios are medians of the ratios within a round, of wall time (and of processor time, which
other programs disturb less). Written as Markdown to stdout.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
RATE, WINDOW_MS = 16000, 6080
BLOCKS, WIDTH, TOKENS = 12, 768, 191
# Multiplications and additions of a window: linear layers, attention, patches (models.md 3).
GFLOP = (BLOCKS * (24 * TOKENS * WIDTH**2 + 4 * TOKENS**2 * WIDTH) + 2 * (TOKENS - 1) * 256 * WIDTH) / 1e9
PEAK = """
import sys, time, numpy as np
kind, threads, n = sys.argv[1], int(sys.argv[2]), 2048
if kind in ("torch fp32", "torch bf16"):
    import torch
    torch.set_num_threads(threads)
    a = torch.randn(n, n).to(torch.bfloat16 if "bf16" in kind else torch.float32)
    work = lambda: a @ a
elif kind == "numpy fp32":
    a = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    work = lambda: a @ a
else:
    import onnx, onnxruntime
    from onnx import TensorProto as T, helper
    int8 = "int8" in kind
    ends = [("a", T.UINT8 if int8 else T.FLOAT), ("b", T.INT8 if int8 else T.FLOAT)]
    made = helper.make_tensor_value_info("c", T.INT32 if int8 else T.FLOAT, [n, n])
    node = helper.make_node("MatMulInteger" if int8 else "MatMul", ["a", "b"], ["c"])
    rng = np.random.default_rng(0)
    values = [rng.integers(0, 127, (n, n)).astype(np.uint8), rng.integers(-127, 127, (n, n)).astype(np.int8)] if int8 else [
        rng.standard_normal((n, n)).astype(np.float32) for _ in range(2)]
    weights = [onnx.numpy_helper.from_array(values[1], "b")]
    graph = helper.make_graph([node], "peak", [helper.make_tensor_value_info("a", ends[0][1], [n, n])], [made], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]); model.ir_version = 8
    options = onnxruntime.SessionOptions(); options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    work = lambda: session.run(None, {"a": values[0]})
work()
print("ready", flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        began = time.perf_counter(); work(); times.append(time.perf_counter() - began)
    print(2 * n**3 / min(times) / 1e9, flush=True)
"""


class Contender:
    """A process that measures when it is asked, on cores that are its own choice of `cores`."""

    def __init__(self, name, cores, command, env=None):
        self.name, self.rounds = name, []
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {"OMP_NUM_THREADS": str(len(cores.split(",")))} | (env or {}))

    def ready(self):
        """Whether it could start; what it said to stderr stands above."""
        return self.process.stdout.readline().strip() == "ready"

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        found = self.process.stdout.readline()
        if not found:
            raise SystemExit(f"{self.name}: ended with {self.process.wait()}")
        return found

    def numbers(self, line):
        return [float(v) for v in self.ask(line).split()]

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


def sound(file, seconds=60):
    """A street that nobody recorded: noise with a changing tilt, tones, pauses; 16-bit samples."""
    rng, n = np.random.default_rng(5), seconds * RATE
    t = np.arange(n) / RATE
    noise = np.convolve(rng.standard_normal(n), np.ones(8) / 8, "same") * (0.2 + 0.8 * (np.sin(2 * np.pi * t / 7) > 0))
    tones = sum(np.sin(2 * np.pi * f * t + 3 * np.sin(2 * np.pi * t / p)) * (np.sin(2 * np.pi * t / p) > 0.5) for f, p in ((300, 3), (900, 5), (2500, 11)))
    file.write_bytes((3000 * noise + 2000 * tones).astype("<i2").tobytes())


def element(name, cores, file, package, precision, threads, hop_ms=WINDOW_MS, warm=2, more=(), env=None):
    properties = [f"model={package}", "accept-license=true", "output=clip", f"precision={precision}", f"intra-op-threads={threads}", "workers=1",
                  f"hop={hop_ms * 1_000_000}", *more]
    return Contender(name, cores, ["/usr/bin/python3", HERE / "element_loop.py", file, RATE, hop_ms, warm, *properties], env)


def median(values):
    return statistics.median(values)


def encoders(folder, file, rounds, windows):
    """The table of precisions on one core and two."""
    print(f"## ViT-Base, 80x608 ({GFLOP:.1f} GFLOP a window), through `melspec ! m2dencode`, one window at a time\n")
    vino = os.environ.get("OPENVINO_ONNXRUNTIME")
    base = folder / "vit-base"
    for cores in ("0", "0,1"):
        threads = len(cores.split(","))
        peaks = [Contender(kind, cores, [sys.executable, "-c", PEAK, kind, threads]) for kind in ("numpy fp32", "torch fp32", "ort fp32", "torch bf16", "ort int8")]
        contenders = [Contender("PyTorch eager fp32", cores, [sys.executable, HERE / "torch_loop.py", folder, threads, "fp32"]),
                      Contender("PyTorch eager bf16", cores, [sys.executable, HERE / "torch_loop.py", folder, threads, "bf16"]),
                      element("m2dencode fp32", cores, file, base, "fp32", threads, more=["execution-provider=cpu"]),
                      element("m2dencode int8 (dynamic)", cores, file, base, "int8", threads, more=["execution-provider=cpu"])]
        if vino:
            contenders.append(element("m2dencode bf16 (OpenVINO)", cores, file, base, "bf16", threads, more=["execution-provider=openvino"],
                                      env={"GST_LISTEN_ONNXRUNTIME": vino}))
        for c in [*peaks, *contenders]:
            if not c.ready():
                raise SystemExit(f"{c.name}: did not start")
        for _ in range(rounds):
            for peak in peaks:
                peak.rounds.append(peak.numbers(2)[0])
            for c in contenders:
                wall, cpu = c.numbers(windows if c.name.startswith("PyTorch") else f"run {windows}")
                c.rounds.append((1000 * wall / windows, 1000 * cpu / windows))
        best = {kind: max((max(p.rounds), p.name) for p in peaks if kind in p.name) for kind in ("fp32", "bf16", "int8")}
        print(f"### {threads} core{'s' if threads > 1 else ''}\n")
        print("Peaks, the best matrix product of 2048 in the same run: " + "; ".join(f"{k} {v:.0f} GFLOP/s ({by})" for k, (v, by) in best.items()) + "\n")
        print("| | ms a window (CPU) | GFLOP/s (by CPU) | of that peak | x PyTorch eager fp32 (by CPU) | CPU of an idle second |\n|---|---|---|---|---|---|")
        eager = contenders[0].rounds
        for c in contenders:
            wall, cpu = (median([r[i] for r in c.rounds]) for i in (0, 1))
            peak = next(v for k, (v, _) in best.items() if k in c.name)
            ratios = [median([a[i] / b[i] for a, b in zip(eager, c.rounds, strict=True)]) for i in (0, 1)]
            idle = "" if c.name.startswith("PyTorch") else f"{1000 * c.numbers('idle 1')[0]:.1f} ms"
            print(f"| {c.name} | {wall:.0f} ({cpu:.0f}) | {1000 * GFLOP / wall:.0f} ({1000 * GFLOP / cpu:.0f}) | {100000 * GFLOP / wall / peak:.0f}% | {ratios[0]:.2f} ({ratios[1]:.2f}) | {idle} |")
        if not vino:
            print("| m2dencode bf16 (OpenVINO) | not measured: OPENVINO_ONNXRUNTIME names no library with that provider | | | | |")
        print(flush=True)
        for c in [*peaks, *contenders]:
            c.end()
        yield {c.name: [wall for wall, _ in c.rounds] for c in contenders}


def two_cores(one, two):
    print("### One core to two\n\n| | |\n|---|---|")
    for name in one:
        if name in two:
            print(f"| {name} | {median(one[name]) / median(two[name]):.2f} x |")
    print("\n(Medians of the two tables above; not interleaved with each other.)\n", flush=True)


def chunked(folder, file, scratch, rounds, hops):
    """A window of 62 columns (9.92 s), a hop of 6 columns (0.96 s): encoded whole, and in chunks that are pooled again."""
    print("## M2D-CLAP 2025 at full size, window 9.92 s, hop 0.96 s, one core\n")
    package, hop = folder / "clap-2025", 960
    run = lambda mode, **k: element(f"window-mode={mode}", "0", file, package, "fp32", 1, hop, k.get("warm", 14), [f"window={9_920_000_000}", f"window-mode={mode}", "execution-provider=cpu"])
    modes = [run("whole"), run("chunked")]
    for c in modes:
        if not c.ready():
            raise SystemExit(f"{c.name}: did not start")
    for _ in range(rounds):
        for c in modes:
            wall, cpu = c.numbers(f"run {hops}")
            c.rounds.append((1000 * wall / hops, 1000 * cpu / hops))
    vectors = []
    for c in modes:
        rows, dim = map(int, c.ask(f"save {scratch / 'rows'}").split())
        vectors.append(np.fromfile(scratch / "rows", "<f4").reshape(rows, dim).astype(np.float64))
        c.end()
    # Both modes give the window that begins at hop k as their k-th row; chunked ones come half a hop later.
    count = min(map(len, vectors))
    whole, pooled = vectors[0][:count], vectors[1][:count]
    cosine = lambda a, b: (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    # Random models find all sounds alike: what tells windows apart is what is left without their mean.
    mean = whole.mean(axis=0)
    plain, centred = cosine(whole, pooled), cosine(whole - mean, pooled - mean)
    alike = cosine(whole[1:], whole[:-1])
    print("| | ms a hop (CPU) | of whole |\n|---|---|---|")
    for c in modes:
        wall, cpu = (median([r[i] for r in c.rounds]) for i in (0, 1))
        ratio = median([b / a for (a, _), (b, _) in zip(modes[0].rounds, c.rounds, strict=True)])
        print(f"| {c.name} | {wall:.0f} ({cpu:.0f}) | {100 * ratio:.0f}% |")
    print(f"\nCosine of the {count} embeddings to those of whole windows: mean {plain.mean():.4f}, smallest {plain.min():.4f}; without the mean over windows "
          f"{centred.mean():.3f}. Neighbouring whole windows among each other: {alike.mean():.4f}. Weights are random: a trained model's attention reaches "
          "further, or less far, and only it can tell what chunks lose.\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--only", choices=["encoders", "chunked"])
    args = parser.parse_args()
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; {args.rounds} rounds of {args.windows} windows.\n")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "sound.s16"
        sound(file)
        if args.only != "chunked":
            two_cores(*encoders(args.folder, file, args.rounds, args.windows))
        if args.only != "encoders":
            chunked(args.folder, file, Path(scratch), args.rounds, 4)
    print(f"Load at the end: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
