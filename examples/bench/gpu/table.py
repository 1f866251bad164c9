"""Markdown of what measure.sh wrote down: `python table.py FILE`. Standard library alone."""
import json
import sys
from pathlib import Path

# Of a window of 80x608 through ViT-Base, as in ../families/table.py.
GFLOP = (12 * (24 * 191 * 768**2 + 4 * 191**2 * 768) + 2 * 190 * 256 * 768) / 1e9


def row(cells):
    return "| " + " | ".join(cells) + " |"


def rate(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def tables(lines):
    peak = next((line for line in lines if line.get("what") == "peak"), None)
    out = []
    if peak:
        out += [f"{peak['device']}; matrix products of {peak['size']} by PyTorch in the same run: fp16 {peak['fp16']:.0f}, fp32 {peak['fp32']:.1f}, "
                f"TF32 {peak['tf32']:.0f} TFLOP/s.", ""]
    kinds = dict.fromkeys((line["package"], line["precision"]) for line in lines if line.get("what") in ("bare", "elements"))
    for package, precision in kinds:
        mine = [line for line in lines if (line.get("package"), line.get("precision")) == (package, precision)]
        bare = {line["batch"]: line for line in mine if line["what"] == "bare"}
        columns = sorted({(line["workers"], line["elements"]) for line in mine if line["what"] == "elements"})
        at = {(line["workers"], line["elements"], line["batch"]): line for line in mine if line["what"] == "elements"}
        of_peak = lambda line: 100 * line["windows_per_s"] * GFLOP / 1000 / peak[precision] if peak else None
        heads = [f"{n} element{'s' * (n > 1)}, {w} worker{'s' * (w > 1)}" for w, n in columns]
        out += [f"**{package}, {precision}** ({mine[0]['provider']}): windows a second (share of bare).", "",
                row(["batch", "bare", "of the matrix peak", "device memory", *heads]), "|---" * (4 + len(columns)) + "|"]
        for batch, line in sorted(bare.items()):
            share, memory = of_peak(line), line.get("device_mb")
            cells = [str(batch), rate(line["windows_per_s"]), "?" if share is None else f"{share:.0f}%", "?" if memory is None else f"{memory:.0f} MB"]
            for w, n in columns:
                found = at.get((w, n, batch))
                cells.append(f"{rate(found['windows_per_s'])} ({100 * found['windows_per_s'] / line['windows_per_s']:.0f}%)" if found else "not measured")
            out.append(row(cells))
        most = [line["device_mb"] for line in mine if line.get("device_mb") is not None]
        if most:
            out += ["", f"Most device memory of the process, bare session and engine together: {max(most):.0f} MB."]
        out.append("")
    for line in lines:
        if line.get("what") == "agree":
            out.append(f"{line['package']}, {line['precision']}: {line['windows']} embeddings beside the CPU's in fp32: smallest cosine {line['min_cosine']:.7f}, "
                       f"largest difference {line['max_difference']:.1e} of the largest value.")
        if line.get("what") == "exits":
            out.append(f"{line['package']}, {line['precision']}: {line['clean']} of {line['of']} exits clean.")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    print(tables([json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines() if line.startswith("{")]))
