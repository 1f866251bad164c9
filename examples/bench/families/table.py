"""The tables of BENCHMARKS.md, of rounds that measure.py wrote down. Standard library alone.

A round has every contender once. Figures are medians over rounds, beside them the best: by medians what is compared are ratios
within a round, which what else ran disturbs least, by the best the quickest time of each against the quickest of the other.
"""
from statistics import median

BLOCKS, WIDTH, TOKENS = 12, 768, 191
# Multiplications and additions of a window of 80x608: linear layers, attention, patches (models.md 3).
GFLOP = (BLOCKS * (24 * TOKENS * WIDTH**2 + 4 * TOKENS**2 * WIDTH) + 2 * (TOKENS - 1) * 256 * WIDTH) / 1e9
GOALS = {"fp32": 2.4, "bf16": 4.5, "int8": 6.5}
FEWEST = 7
EAGER = "PyTorch eager fp32"


def collected(rounds):
    """`(peaks {kind, threads: [GFLOP/s]}, {name, threads: [(wall, cpu, idle)]})`, a value a round."""
    peaks, windows = {}, {}
    for r in rounds:
        for kind, threads, rate in r["peaks"]:
            peaks.setdefault((kind, threads), []).append(rate)
        for name, threads, *values in r["windows"]:
            windows.setdefault((name, threads), []).append(values)
    return peaks, windows


def ratio(a, b, at=0):
    """How many times as quick `b` is as `a`: `(median of rounds, best by best)`."""
    return median(x[at] / y[at] for x, y in zip(a, b, strict=True)), min(x[at] for x in a) / min(y[at] for y in b)


def share(rates, peak):
    """`(median of rounds, best by best)` of a rate in its peak."""
    return median(r / p for r, p in zip(rates, peak, strict=True)), max(rates) / max(peak)


def encoders(machine, rounds):
    """The table of precisions on one core and on two, and what the second core brings."""
    peaks, windows = collected(rounds)
    loads = [r["load"] for r in rounds]
    few = f" **Only {len(rounds)} rounds: at least {FEWEST} are wanted.**" if len(rounds) < FEWEST else ""
    out = [f"{machine}. {len(rounds)} rounds of all rows of both tables, load {min(loads):.1f} to {max(loads):.1f}. "
           f"ViT-Base, 80x608 ({GFLOP:.1f} GFLOP), one window at a time; medians over rounds (the best in brackets).{few}"]
    for threads in sorted({t for _, t in windows}):
        here = {k: v for (k, t), v in peaks.items() if t == threads}
        out += ["", f"**{threads} core{'s' * (threads > 1)}.** Peak in the same rounds: "
                + ", ".join(f"{k} {median(v):.0f} ({max(v):.0f}) GFLOP/s" for k, v in here.items()) + ".", "",
                "| | ms a window | ms of processor time | GFLOP/s | of the peak | x PyTorch eager fp32 | by processor time | goal | processor time of an idle second |",
                "|---|---|---|---|---|---|---|---|---|"]
        eager = windows[EAGER, threads]
        for (name, t), rows in windows.items():
            if t != threads:
                continue
            kind, wall, cpu = name.split()[-1], [r[0] for r in rows], [r[1] for r in rows]
            rates = [1000 * GFLOP / w for w in wall]
            of = "{:.0%} ({:.0%})".format(*share(rates, here[kind])) if kind in here else "no peak known"
            goal = f"{GOALS[kind]}" if name.startswith("m2dencode") else ""
            idle = f"{median(r[2] for r in rows):.1f} ms" if rows[0][2] is not None else ""
            pair = lambda values: "{:.2f} ({:.2f})".format(*values)
            out.append(f"| {name} | {median(wall):.0f} ({min(wall):.0f}) | {median(cpu):.0f} ({min(cpu):.0f}) | {median(rates):.0f} ({max(rates):.0f}) | {of} | "
                       f"{pair(ratio(eager, rows))} | {pair(ratio(eager, rows, 1))} | {goal} | {idle} |")
        if ("m2dencode bf16", threads) not in windows:
            out.append("| m2dencode bf16 | not measured: no bf16 instructions here, or OPENVINO_ONNXRUNTIME names no library | | | | | | | |")
    both = [name for name, t in windows if t == 1 and (name, 2) in windows]
    if both:
        out += ["", "| one core to two | x |", "|---|---|"]
        out += ["| {} | {:.2f} ({:.2f}) |".format(name, *ratio(windows[name, 1], windows[name, 2])) for name in both]
    return "\n".join(out) + "\n"


def chunks(hops, cosines):
    """The table of `window-mode`, of `[[whole wall, cpu], [chunked wall, cpu]]` a round."""
    out = ["M2D-CLAP 2025 at full size (80x1001p16x16), window 9.92 s, hop 0.96 s, one core, "
           f"{len(hops)} rounds; medians (the best in brackets).", "", "| window-mode | ms a hop | ms of processor time | of whole |", "|---|---|---|---|"]
    for k, name in enumerate(("whole", "chunked")):
        wall, cpu = ([h[k][i] for h in hops] for i in (0, 1))
        part = "{:.0%} ({:.0%})".format(*(1 / r for r in ratio([h[0] for h in hops], [h[k] for h in hops])))
        out.append(f"| {name} | {median(wall):.0f} ({min(wall):.0f}) | {median(cpu):.0f} ({min(cpu):.0f}) | {part} |")
    if cosines:
        out += ["", f"Cosine of the {cosines['count']} embeddings to those of whole windows: mean {cosines['mean']:.4f}, smallest {cosines['smallest']:.4f}; without the "
                f"mean over windows {cosines['centred']:.3f}. Neighbouring whole windows among each other: {cosines['alike']:.4f}. Weights are random: a trained "
                "model's attention reaches further, or less far, and only it can tell what chunks lose."]
    return "\n".join(out) + "\n"
