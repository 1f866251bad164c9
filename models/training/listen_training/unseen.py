"""Names for sounds that were never trained: `python -m listen_training.unseen --config config.toml --data FOLDER --work OUT.work
--labels LABELS.txt --teacher-labels MAPPING.toml`.

Trains the audio side anew for a short while without the labels of a file: their clips are in no mix, their words in no
text, the probe does not know them, and neither do the teacher's scores (its classes that the mapping gives to them). Then
each `val` clip is compared with their names: AUROC of each against all other clips, as a Markdown table.
"""

import argparse
import dataclasses
import os
import pickle
import tomllib
from pathlib import Path

import numpy as np

from .mixer import BENT


class Without:
    """The pool's items in which none of the labels `left_out` can sound (nor a BENT sound, which may be theirs), the others numbered anew."""

    def __init__(self, items, labels, left_out, classes):
        kept = [k for k in range(labels) if k not in left_out]
        # One row more at each end: NONE and STRANGE are the last two from behind.
        self.number = np.full(labels + 2, -1, np.int16)
        self.number[kept] = np.arange(len(kept))
        self.number[[-1, -2]] = -1, -2
        self.items, self.left_out, self.classes = items, np.asarray(left_out), classes

    def __len__(self):
        return len(self.items)

    def refresh(self):
        self.items.refresh()

    def draw(self, rng, count):
        """As `batches.Items.draw`."""
        parts, have = [], 0
        while have < count:
            batch = self.items.draw(rng, count)
            keep = ~np.isin(batch["labels"], [*self.left_out, BENT]).any(1)
            parts.append({k: v[keep] for k, v in batch.items()})
            have += int(keep.sum())
        batch = {k: np.concatenate([p[k] for p in parts])[:count] for k in parts[0]}
        batch["labels"] = self.number[batch["labels"]]
        if "scores" in batch:
            batch["scores"] = batch["scores"][..., self.classes]
        return batch


def smaller(bank, left_out, classes):
    """`bank` without some labels and with some of the teacher's classes only."""
    keep = [k for k in range(len(bank.labels)) if k not in left_out]
    rows = [np.arange(bank.first[k], bank.first[k + 1]) for k in keep]
    first = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    return dataclasses.replace(
        bank,
        labels=[bank.labels[k] for k in keep],
        vectors=bank.vectors[np.concatenate(rows)],
        first=first,
        plain=bank.plain[keep],
        classes=bank.classes[classes],
    )


def area(scores, right):
    """Area under the curve of `scores` [n] that are to be high where `right` [n]."""
    order = np.argsort(np.argsort(scores, kind="stable"), kind="stable") + 1
    positive, negative = int(right.sum()), int((~right).sum())
    return float((order[right].sum() - positive * (positive + 1) / 2) / max(1, positive * negative))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="the work folder of a run with the same configuration")
    parser.add_argument("--labels", type=Path, required=True, help="labels to leave out, a line each")
    parser.add_argument("--teacher-labels", type=Path, help="TOML: [labels] label = [names of the teacher's classes]")
    parser.add_argument("--steps", type=int, default=1500)
    args = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    from . import audio, batches, config, data, device, pool, probe, train, words
    from .teacher import class_names

    cfg = config.load(args.config)
    torch.set_num_threads(cfg.threads or torch.get_num_threads())
    bank = pickle.loads((args.work / "bank.pkl").read_bytes())
    names = list(bank.labels)
    clips = data.load(args.data, "train", names, data.kept_out(cfg.kept_out))
    main_name = data.main_set(audio.read_index(args.data))
    wanted = [line.strip() for line in args.labels.read_text().splitlines() if line.strip()]
    unknown = [w for w in wanted if w not in bank.labels]
    if unknown:
        raise SystemExit(f"{args.labels}: no labels of this training: {', '.join(unknown)}")
    left_out = [bank.labels.index(w) for w in wanted]
    mapping = tomllib.loads(args.teacher_labels.read_text())["labels"] if args.teacher_labels else {}
    told = {name for w in wanted for name in mapping.get(w, [])}
    classes = [i for i, name in enumerate(class_names(cfg.teacher)) if name not in told] if cfg.teacher else []

    small = smaller(bank, left_out, classes)
    own = sorted({k for k, r in zip(clips.labels, clips.rows, strict=True) if r.set == main_name} - set(left_out))
    main_labels = [small.labels.index(bank.labels[k]) for k in own]
    known = [i for i, k in enumerate(clips.labels) if k not in left_out]
    fitted = None
    if cfg.teacher:
        few = data.Clips(*([part[i] for i in known] for part in (clips.rows, clips.waves, clips.labels, clips.folds)))
        fitted = probe.fit(*data.teach(cfg.teacher, few), few.labels, few.folds, own)
        fitted["main"] = np.asarray(main_labels)

    val = data.load(args.data, "val", names)
    chosen = [i for i, r in enumerate(val.rows) if r.set == main_name]
    mels = [audio.log_mel(audio.read(args.data / val.rows[i].path), np.float32) for i in chosen]
    seen = [(m, own.index(val.labels[i])) for m, i in zip(mels, chosen, strict=True) if val.labels[i] in own]
    folder = args.work / f"unseen-{args.steps}"
    folder.mkdir(exist_ok=True)
    if not (folder / "pool").exists():
        (folder / "pool").symlink_to((args.work / "pool").resolve())
    schedule = {
        "steps": args.steps,
        "minutes": 0.0,
        "check_every": max(1, args.steps // 3),
        "start": "",
        "halfway": 0.0,
    }
    arm = dataclasses.replace(cfg.audio, **schedule)
    span = cfg.package.window // pool.COLUMN, cfg.package.hop // pool.COLUMN
    items = Without(batches.Items(folder / "pool"), len(bank.labels), left_out, classes)
    log = train.logger(folder / "log.jsonl")
    taught_by = small, words.table(), seen, span, fitted, main_labels
    model = train.train(arm, folder, *taught_by, cfg.seed, log, items, device.chosen(cfg.device))
    side = torch.from_numpy(bank.vectors[bank.first[left_out]])
    with torch.no_grad():
        cos = np.stack([train.clip_cosines(model, mel, model.text(side), *span).numpy() for mel in mels])
    print(f"\n| label ({args.steps} steps without it) | AUROC on val |\n|---|---|")
    areas = []
    for column, k in enumerate(left_out):
        areas.append(area(cos[:, column], np.array([val.labels[i] == k for i in chosen])))
        print(f"| {bank.labels[k]} | {areas[-1]:.3f} |")
    print(f"| **mean** | **{np.mean(areas):.3f}** |", flush=True)


if __name__ == "__main__":
    main()
