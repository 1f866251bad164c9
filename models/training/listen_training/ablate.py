"""What each part brings: `python -m listen_training.ablate --config config.toml --data FOLDER --work OUT.work`.

Trains the audio side anew with parts of the recipe left out or added, a quarter of the schedule each, one seed, on the
pool, words and probe that a run has left in its work folder, and prints top-1 and top-3 on `val` (labels as text) as a
Markdown table. Goes on where it was stopped.
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path

NOTHING_TAUGHT = {"weight_teacher": 0.0, "weight_probe": 0.0, "weight_recall": 0.0}
ARMS = {
    "all of it": {},
    "without YAMNet": NOTHING_TAUGHT,
    "without the other wordings (one text a label)": {"one_wording": True},
    "without the loss of frames": {"weight_frame": 0.0},
    "without the wider context": {"reach": 0},
    "with masked pretraining first": {"masked_steps": 800},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="the work folder of a run with the same configuration")
    parser.add_argument("--steps", type=int, help="steps of each (a quarter of the run's, if its log says how many)")
    parser.add_argument("--arms", help="numbers of those to train, with commas between (0 is the whole recipe)")
    args = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import pickle

    import numpy as np
    import torch

    from . import audio, config, data, device, pool, train, words

    cfg = config.load(args.config)
    torch.set_num_threads(cfg.threads or torch.get_num_threads())
    load = lambda name: pickle.loads((args.work / name).read_bytes())
    bank, probe = load("bank.pkl"), load("probe.pkl")
    rows = [
        r
        for r in audio.read_index(args.data)
        if r.role == "val" and r.set == data.main_set(audio.read_index(args.data))
    ]
    main_labels = [int(k) for k in probe["main"]]
    names = [bank.labels[k] for k in main_labels]
    val = [
        (audio.log_mel(audio.read(args.data / r.path), np.float32), names.index(r.label.replace("_", " ")))
        for r in rows
    ]
    steps = args.steps
    if not steps:
        lines = [json.loads(line) for line in (args.work / "log.jsonl").read_text().splitlines()]
        steps = max(line["step"] for line in lines if "frame" in line) // 4
    arms = list(ARMS.items())
    chosen = [int(k) for k in args.arms.split(",")] if args.arms else range(len(arms))
    results = []
    for number in chosen:
        name, changes = arms[number]
        folder = args.work / "ablation" / f"{number}-{steps}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "pool").exists():
            (folder / "pool").symlink_to((args.work / "pool").resolve())
        schedule = {"steps": steps, "minutes": 0.0, "check_every": max(1, steps // 3), "start": ""}
        arm = dataclasses.replace(cfg.audio, **schedule, **changes)
        log = train.logger(folder / "log.jsonl")
        log({"arm": name, "steps": steps, **changes})
        span = cfg.package.window // pool.COLUMN, cfg.package.hop // pool.COLUMN
        taught_by = bank, words.table(), val, span, probe, main_labels
        student = train.train(arm, folder, *taught_by, cfg.seed, log, device=device.chosen(cfg.device))
        vectors = torch.from_numpy(bank.vectors[bank.first[:-1]])[main_labels]
        results.append((name, *train.check(student, val, vectors, *span)))
        print(f"\n| {steps} steps, seed {cfg.seed} | top-1 | top-3 |\n|---|---|---|")
        for row in results:
            print(f"| {row[0]} | {row[1]:.1%} | {row[2]:.1%} |", flush=True)


if __name__ == "__main__":
    main()
