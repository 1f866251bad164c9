"""Speed of full-size models through the elements, beside PyTorch eager and the machine's own peak: `./run bench families`.

    python measure.py FOLDER_OF_MAKE [--rounds 15] [--minutes 8]     # measures, and prints tables in Markdown
    python measure.py FOLDER_OF_MAKE --table                         # prints them of what was measured so far

Every contender, on one core and on two, is a process of its own that waits for its turn; a round goes through all of them, so
that what else runs on the machine hits all alike. Each round is written to FOLDER_OF_MAKE/measured.jsonl when it is over.
What the figures are made of them is said in table.py.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from contender import Contender
from table import chunks, encoders

HERE = Path(__file__).resolve().parent
RATE, WINDOW_MS = 16000, 6080
CORES = {1: "0", 2: "0,1"}
LIBRARIES = ("torch fp32", "numpy fp32", "ort fp32", "torch bf16", "ort int8")


def sound(file, seconds=60):
    """A street that nobody recorded: noise with a changing tilt, tones, pauses; 16-bit samples."""
    rng, n = np.random.default_rng(5), seconds * RATE
    t = np.arange(n) / RATE
    noise = np.convolve(rng.standard_normal(n), np.ones(8) / 8, "same") * (0.2 + 0.8 * (np.sin(2 * np.pi * t / 7) > 0))
    tones = sum(np.sin(2 * np.pi * f * t + 3 * np.sin(2 * np.pi * t / p)) * (np.sin(2 * np.pi * t / p) > 0.5) for f, p in ((300, 3), (900, 5), (2500, 11)))
    file.write_bytes((3000 * noise + 2000 * tones).astype("<i2").tobytes())


def element(name, threads, file, package, precision, hop_ms=WINDOW_MS, warm=2, more=(), env=None):
    properties = [f"model={package}", "accept-license=true", "output=clip", f"precision={precision}", f"intra-op-threads={threads}", "workers=1",
                  f"hop={hop_ms * 1_000_000}", *more]
    return Contender(name, CORES[threads], ["/usr/bin/python3", HERE / "element_loop.py", file, RATE, hop_ms, warm, *properties], env)


def flags():
    return next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")


def bf16():
    """`["bf16"]` where the processor has it: elsewhere it is emulated, which takes seconds a window and says nothing."""
    return ["bf16"] if "bf16" in flags() else []


def peaks(scratch):
    """`{kind, threads: [contenders]}`: multiply-adds by hand, where a C compiler is there, and matrix products of libraries."""
    found, program = {}, scratch / "peak"
    try:
        subprocess.run(["cc", "-O3", "-march=native", "-pthread", HERE / "peak.c", "-o", program], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no peak by hand: {error}", file=sys.stderr)
        program = None
    for threads, cores in CORES.items():
        for kind in ("fp32", *bf16(), "int8"):
            made = [Contender(name, cores, [sys.executable, HERE / "products.py", name, threads]) for name in LIBRARIES if kind in name]
            made += [Contender("by hand", cores, [program, kind, threads])] if program else []
            found[kind, threads] = made
    return found


def contenders(folder, file):
    """`{name, threads: contender}`."""
    vino, base, found = os.environ.get("OPENVINO_ONNXRUNTIME"), folder / "vit-base", {}
    for threads, cores in CORES.items():
        for precision in ("fp32", *bf16()):
            name = f"PyTorch eager {precision}"
            found[name, threads] = Contender(name, cores, [sys.executable, HERE / "torch_loop.py", folder, threads, precision])
        for precision in ("fp32", "int8"):
            name = f"m2dencode {precision}"
            found[name, threads] = element(name, threads, file, base, precision, more=["execution-provider=cpu"])
        if vino and bf16():
            found["m2dencode bf16", threads] = element("m2dencode bf16", threads, file, base, "bf16", more=["execution-provider=openvino"],
                                                       env={"GST_LISTEN_ONNXRUNTIME": vino})
    return found


def measure(folder, file, scratch, rounds, windows, end, save):
    """Rounds of all contenders, each written by `save`: `{peaks: [[kind, threads, GFLOP/s]], windows: [[name, threads, wall ms, cpu ms, idle ms]]}`."""
    kinds, running = peaks(scratch), contenders(folder, file)
    for made in kinds.values():
        made[:] = [c for c in made if c.ready()]
    for c in running.values():
        if not c.ready():
            raise SystemExit(f"{c.name}: did not start")
    for done in range(rounds):
        if time.monotonic() > end:
            break
        line = {"load": os.getloadavg()[0], "peaks": [], "windows": []}
        for (kind, threads), made in kinds.items():
            if made:
                line["peaks"].append([kind, threads, max(c.numbers("80" if c.name == "by hand" else "2")[0] for c in made)])
        for (name, threads), c in running.items():
            wall, cpu = c.numbers(windows if name.startswith("PyTorch") else f"run {windows}")
            line["windows"].append([name, threads, 1000 * wall / windows, 1000 * cpu / windows, None])
        # All elements at once do nothing for a second.
        resting = [(row, running[row[0], row[1]]) for row in line["windows"] if not row[0].startswith("PyTorch")]
        for _, c in resting:
            c.say("idle 1")
        for row, c in resting:
            row[4] = 1000 * float(c.hear())
        save({"round": line})
        print(f"round {done + 1} of {rounds}", file=sys.stderr)
    for c in [*(c for made in kinds.values() for c in made), *running.values()]:
        c.end()


def chunked(folder, file, scratch, rounds, hops, end, save):
    """A window of 62 columns (9.92 s), a hop of 6 columns (0.96 s), encoded whole, and in chunks that are pooled again."""
    package, hop, warm = folder / "clap-2025", 960, 14
    run = lambda mode: element(mode, 1, file, package, "fp32", hop, warm, [f"window={9_920_000_000}", f"window-mode={mode}", "execution-provider=cpu"])
    modes = [run("whole"), run("chunked")]
    for c in modes:
        if not c.ready():
            raise SystemExit(f"window-mode={c.name}: did not start")
    for _ in range(rounds):
        if time.monotonic() > end:
            break
        for c in modes:
            wall, cpu = c.numbers(f"run {hops}")
            c.rounds.append((1000 * wall / hops, 1000 * cpu / hops))
        save({"hop": [c.rounds[-1] for c in modes]})
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
    save({"cosines": {"count": count, "mean": plain.mean(), "smallest": plain.min(), "centred": centred.mean(), "alike": cosine(whole[1:], whole[:-1]).mean()}})


def show(file):
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    by = lambda key: [line[key] for line in lines if key in line]
    if by("round"):
        print(encoders(by("machine")[-1], by("round")))
    if by("hop"):
        print(chunks(by("hop"), (by("cosines") or [None])[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=15, help="of all encoders; the chunked ones have half as many")
    parser.add_argument("--windows", type=int, default=2, help="of each encoder in a round")
    parser.add_argument("--minutes", type=float, default=8, help="no round begins later")
    parser.add_argument("--only", choices=["encoders", "chunked"])
    parser.add_argument("--table", action="store_true", help="measure nothing")
    args = parser.parse_args()
    measured, began = args.folder / "measured.jsonl", time.monotonic()
    if not args.table:
        model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
        machine = f"{time.strftime('%Y-%m-%d %H:%M')}, {model}, {os.cpu_count()} cores, {'with' if 'bf16' in flags() else 'without'} bf16 instructions"
        measured.write_text(json.dumps({"machine": machine}) + "\n")

        def save(line):
            with measured.open("a") as out:
                out.write(json.dumps(line) + "\n")

        with tempfile.TemporaryDirectory() as scratch:
            scratch = Path(scratch)
            sound(file := scratch / "sound.s16")
            if args.only != "encoders":
                chunked(args.folder, file, scratch, max(args.rounds // 2, 1), 3, began + 60 * args.minutes / 3, save)
            if args.only != "chunked":
                measure(args.folder, file, scratch, args.rounds, args.windows, began + 60 * args.minutes, save)
    show(measured)


if __name__ == "__main__":
    main()
