"""Full-size packages for a GPU, small enough to be carried there: ViT-Base, 80x608p16x16, in fp32 and fp16.

    python make.py FOLDER [--depth 12] [--width 768]

`vit/` is what gst-listen-export makes of a checkpoint, tokens out. `vit-pooled/` is the same with the mean over tokens inside
the graph, so that a vector comes back from the card instead of 190. A matrix's entry is `t[(row + column) % 4099]` of seeded
noise `t` of a trained model's size: as costly as any other, and xz packs 340 MB of it into less than one.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPO / "models/export"), str(REPO / "models/export/fixtures")]
PERIOD = 4099


def patterned(weights):
    """The same shapes with numbers that repeat."""
    found = {}
    for k, (name, value) in enumerate(sorted(weights.items())):
        noise = np.random.default_rng(k).standard_normal(PERIOD).astype(np.float32)
        rows = int(np.prod(value.shape[:-1], dtype=np.int64))
        index = (np.arange(rows)[:, None] + np.arange(value.shape[-1])[None]) % PERIOD if value.ndim > 1 else np.arange(value.size) % PERIOD
        if value.ndim > 1:
            found[name] = (0.02 * noise[index]).reshape(value.shape)
        else:  # norms around 1, biases around 0
            found[name] = (0.1 * noise[index] + (1 if "norm" in name and name.endswith("weight") else 0)).astype(np.float32)
    return found


def pooled(folder, place):
    """A package whose graphs end in the mean over tokens."""
    import hashlib

    import onnx
    from onnx import TensorProto, helper

    place.mkdir(parents=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    output = manifest["encoder"]["output"]
    for graph in manifest["encoder"]["graphs"].values():
        model = onnx.load(folder / graph["file"])
        model.graph.node.append(helper.make_node("ReduceMean", [output["name"]], ["embedding"], axes=[1], keepdims=0))
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", output["dim"]]))
        onnx.checker.check_model(model)
        onnx.save(model, place / graph["file"])
    manifest["encoder"]["output"] = {"name": "embedding", "kind": "clip", "dim": output["dim"], "freq_rows": 1, "frames_per_column": 0}
    manifest |= {"id": manifest["id"] + "-pooled", "frame_embedding": "none", "clip_pooling": "none"}
    manifest["window"] |= {"default_output": "clip"}
    for name in set(manifest["sha256"]) - {g["file"] for g in manifest["encoder"]["graphs"].values()}:
        (place / name).write_bytes((folder / name).read_bytes())
    manifest["sha256"] = {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in manifest["sha256"]}
    (place / "manifest.json").write_text(json.dumps(manifest, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    args = parser.parse_args()
    import vit
    from weights import save

    from gst_listen_export.cli import main as export

    weights = patterned(vit.weights(1, 608, 16, 16, dim=args.width, depth=args.depth, hidden=4 * args.width))
    source = args.folder / "m2d_vit_base-80x608p16x16-patterned"
    save(weights, source / "checkpoint.pth", "model")
    try:
        export(["m2d", str(source), "-o", str(args.folder / "vit"), "--id", "vit", "--features", "flat", "--window", "608", "--precision", "fp16"])
    except SystemExit as end:
        if end.code:
            raise
    pooled(args.folder / "vit", args.folder / "vit-pooled")


if __name__ == "__main__":
    main()
