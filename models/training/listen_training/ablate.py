"""What each part brings: `python -m listen_training.ablate --config config.toml --data FOLDER --work OUT.work`.

Trains the audio side anew with parts of the recipe left out or added, a quarter of the schedule each, one seed, on the
pool, words and probe that a run has left in its work folder, and prints top-1 and top-3 on `val` (labels as text), and top-1 by
the wordings of `kept_out_words` (the mean), as a Markdown table. Goes on where it was stopped.
"""

import argparse
import dataclasses
import json
import os
import tomllib
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


def wordings(path, names):
    """Other wordings of the labels out of a TOML file, [[a text a label]]; none where it does not know them all."""
    known = tomllib.loads(Path(path).read_text()).get("paraphrases", {}) if path else {}
    return list(map(list, zip(*(known[name] for name in names), strict=True))) if set(names) <= set(known) else []


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

    from . import audio, config, data, device, pool, revive, train, words

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
    results, others = [], wordings(cfg.kept_out_words, names)
    if others:
        encoder = revive.Words(cfg.audio.start) if revive.is_package(cfg.audio.start) else words.SentenceEncoder()
        others = [torch.from_numpy(encoder(texts)) for texts in others]
    for number in chosen:
        name, changes = arms[number]
        folder = args.work / "ablation" / f"{number}-{steps}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "pool").exists():
            (folder / "pool").symlink_to((args.work / "pool").resolve())
        schedule = {"steps": steps, "minutes": 0.0, "check_every": max(1, steps // 3), "start": "", "halfway": 0.0}
        arm = dataclasses.replace(cfg.audio, **schedule, **changes)
        log = train.logger(folder / "log.jsonl")
        log({"arm": name, "steps": steps, **changes})
        span = cfg.package.window // pool.COLUMN, cfg.package.hop // pool.COLUMN
        taught_by = bank, words.table(), val, span, probe, main_labels
        student = train.train(arm, folder, *taught_by, cfg.seed, log, device=device.chosen(cfg.device))
        vectors = torch.from_numpy(bank.vectors[bank.first[:-1]])[main_labels]
        told = [train.check(student, val, side, *span)[0] for side in others]
        results.append((name, *train.check(student, val, vectors, *span), *([sum(told) / len(told)] if told else [])))
        wide = " top-1 by other wordings |" if others else ""
        print(f"\n| {steps} steps, seed {cfg.seed} | top-1 | top-3 |{wide}\n|" + "---|" * (4 if others else 3))
        for row in results:
            print(f"| {row[0]} | " + " | ".join(f"{share:.1%}" for share in row[1:]) + " |", flush=True)


if __name__ == "__main__":
    main()
