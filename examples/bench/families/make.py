"""Full-size models with random weights, from checkpoint to package by gst-listen-export: what measure.py measures.

    python make.py FOLDER

`vit.pth` and `vit-base/`: M2D 80x608p16x16, ViT-Base, in fp32 and dynamic int8 (and bf16, which is fp32's graph computed in
bfloat16 by a provider). `clap-2025/`: M2D-CLAP 2025, 80x1001p16x16, ViT-Base and an attention-pooling head of one block whose
MLP is as wide as its tokens (3.55 million values). The numbers mean nothing; shapes and cost of what hears are those of the released
models. The text tower is a small one: it is not measured.
"""
import json
import sys
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPO / "models/export"), str(REPO / "models/export/fixtures")]
WIDTH, DEPTH, HIDDEN = 768, 12, 3072


def calm(weights):
    """Weights at a trained model's size (0.02): with those of the small fixtures twelve blocks of 768 would be chaos."""
    return {k: (v * np.float32(0.02 / max(v.std(), 1e-9)) if k.endswith(("weight", "bias")) and "norm" not in k and v.ndim > 1 else v) for k, v in weights.items()}


def export(*argv):
    from gst_listen_export.cli import main

    try:
        main([str(a) for a in argv])
    except SystemExit as end:
        if end.code not in (0, None):
            raise


def vit_base(folder):
    import vit
    from weights import save

    source = folder / "m2d_vit_base-80x608p16x16-random"
    save(calm(vit.weights(1, 608, 16, 16, dim=WIDTH, depth=DEPTH, hidden=HIDDEN)), source / "checkpoint.pth", "model")
    export("m2d", source, "-o", folder / "vit-base", "--features", "flat", "--window", 608, "--precision", "int8", "--replace")
    path = folder / "vit-base/manifest.json"
    manifest = json.loads(path.read_text())
    graphs = manifest["encoder"]["graphs"]
    graphs["bf16"] = {"file": graphs["fp32"]["file"]}
    path.write_text(json.dumps(manifest))


def clap_2025(folder):
    import vit
    from cases.m2d_clap import WORDS, bert
    from texts import word_pieces
    from weights import rough, save

    name, rng = "m2d_clap_vit_base-80x1001p16x16p16kpBpTI-random-2025", np.random.default_rng(3)
    head = {"audio_proj.sem_token": rough(rng, 1, 1, WIDTH, size=0.04), "audio_proj.norm.weight": np.ones(WIDTH, np.float32),
            "audio_proj.norm.bias": np.zeros(WIDTH, np.float32)} | vit.block(rng, "audio_proj.sem_blocks.0", WIDTH, WIDTH)
    state = vit.weights(2, 1001, 16, 16, dim=WIDTH, depth=DEPTH, hidden=HIDDEN, stats=(-7.1, 4.2)) | head
    state = {f"backbone.{k}": v for k, v in calm(state).items()}
    state |= {f"text_encoder.text_encoder.{k}": v for k, v in bert(4, width=WIDTH).items()}
    word_pieces(folder / "tower/tokenizer.json", WORDS)
    save(state, folder / name / "checkpoint-1.pth", "model")
    export("m2d-clap", folder / name, "--text-tower", folder / "tower", "-o", folder / "clap-2025", "--window", 992, "--replace")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for made, make in (("vit-base", vit_base), ("clap-2025", clap_2025)):
        if not (place / made / "manifest.json").exists():
            print(f"making {made}", file=sys.stderr)
            make(place)
