"""`python -m listen_training --config config.toml --data FOLDER_WITH_INDEX --out PACKAGE`: from recordings to a package."""

import argparse
import json
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np


def arguments():
    parser = argparse.ArgumentParser(
        prog="listen_training", description="Trains a package from a folder with an index.csv."
    )
    parser.add_argument("--config", type=Path, help="TOML file (without: the defaults of listen_training/config.py)")
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv and the recordings it names")
    parser.add_argument("--out", type=Path, required=True, help="folder of the package to be written")
    parser.add_argument(
        "--work",
        type=Path,
        help="folder for what is precomputed and checkpoints (without: OUT.work); "
        "run again with the same folder, the training goes on where it was",
    )
    return parser.parse_args()


class Stages:
    """Says how long each part took."""

    def __init__(self, log):
        self.log, self.name, self.began = log, None, 0.0

    def __call__(self, name):
        """The part before is over, `name` begins (None: nothing more does)."""
        if self.name:
            self.log({"stage": self.name, "took_seconds": round(time.time() - self.began, 1)})
        self.name, self.began = name, time.time()


def kept(path, make):
    """What `make` gives, made once."""
    if not path.exists():
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            pickle.dump(make(), file)
        part.rename(path)
    with open(path, "rb") as file:
        return pickle.load(file)


def words_taught(cfg, work, names, classes, table, vocab, without, encoder, log):
    """What the text tower learns from: phrases, the sentence encoder's vectors of them, and their weights."""
    from . import words

    heard = dict.fromkeys(n.lower() for n in classes + words.audioset_names(cfg.audioset))
    phrases = kept(
        work / "phrases.pkl",
        lambda: words.tower_phrases(
            names,
            list(heard),
            table,
            words.whole_words(vocab),
            cfg.text.phrases,
            np.random.default_rng(cfg.seed),
            without,
        ),
    )
    vectors = kept(
        work / "vectors.pkl",
        lambda: encoder(
            phrases, progress=lambda a, b: log({"stage": "words", "embedded": a, "of": b}) if a % 5120 == 0 else None
        ),
    )
    known = {p for label in names for p in words.label_phrases(label, table, without)} | set(heard)
    return phrases, vectors, np.array([6.0 if p in known else 1.0 for p in phrases])


def main():
    args = arguments()
    # Threads that spin while they wait take the processor from everybody else.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    from . import (
        attribution,
        audio,
        captions_train,
        config,
        data,
        device,
        finish,
        mixer,
        pool,
        probe,
        rendered,
        revive,
        tower,
        train,
        words,
    )
    from .teacher import class_names

    cfg = config.load(args.config)
    work = args.work or args.out.with_name(args.out.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    log = train.logger(work / "log.jsonl")
    stage = Stages(log)
    torch.set_num_threads(cfg.threads or torch.get_num_threads())
    where = device.chosen(cfg.device)
    log({"device": str(where)})

    stage("clips")
    names = []
    clips = data.load(args.data, "train", names, data.kept_out(cfg.kept_out))
    main_name = data.main_set(audio.read_index(args.data))
    main_labels = sorted({k for k, row in zip(clips.labels, clips.rows, strict=True) if row.set == main_name})
    val = data.load(args.data, "val", names)
    val_rows = [i for i, row in enumerate(val.rows) if row.set == main_name]
    if not val_rows:
        raise SystemExit(
            f"{args.data / 'index.csv'}: expected rows of role val (some clips of each label), which choose; found none"
        )
    if cfg.both:
        clips = clips.with_(val)
    speech = names.index("speech") if "speech" in names else -1
    table = words.table()
    made = rendered.make(work / "rendered", cfg.pool.rendered, words.spoken(table), cfg.pool.workers, cfg.seed)
    # Of bent sounds and of those without a label only a teacher can speak.
    bent = cfg.pool.bent if cfg.teacher else 0.0
    further, unknown = data.unlabelled(args.data, data.kept_out(cfg.kept_out)) if bent else ([], [])
    ordinary_rows, ordinary = data.ordinary(args.data, data.kept_out(cfg.kept_out))
    mixing = {"speech": speech, "rendered": made + ordinary}
    taught_only = {"bent": bent, "unlabelled": unknown}
    sizes = cfg.pool.shards, cfg.pool.workers, cfg.seed
    writers = data.start_pool(work / "pool", cfg.teacher, clips, main_labels, mixing | taught_only, *sizes)

    stage("words")
    # A package that it begins with keeps its words: the audio side is fitted to them.
    begun = revive.is_package(cfg.audio.start)
    encoder = revive.Words(cfg.audio.start) if begun else words.SentenceEncoder(where)
    vocab = words.vocabulary(encoder.folder / "tokenizer.json")
    classes = class_names(cfg.teacher) if cfg.teacher else []
    without = words.kept_out(cfg.kept_out_words)
    bank = kept(work / "bank.pkl", lambda: words.bank(names, classes, encoder, without))
    text = None
    if begun:
        args.out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(encoder.folder / "text.onnx", args.out / "text.onnx")
        shutil.copyfile(encoder.folder / "tokenizer.json", work / "tokenizer.json")
    else:
        taught = words_taught(cfg, work, names, classes, table, vocab, without, encoder, log)

    stage("probe")
    fitted = None
    if cfg.teacher:
        fitted = kept(
            work / "probe.pkl",
            lambda: probe.fit(*data.teach(cfg.teacher, clips), clips.labels, clips.folds, main_labels),
        )
        log({"stage": "probe", "cross_fitted_patch_accuracy": round(fitted["accuracy"], 4)})

    stage("audio")
    pool.wait(work / "pool", writers, max(1, min(cfg.pool.ready, cfg.pool.shards)))
    val_mels = [audio.log_mel(audio.read(args.data / val.rows[i].path), np.float32) for i in val_rows]
    position = {k: i for i, k in enumerate(main_labels)}
    val_set = [
        (mel, position[val.labels[i]]) for mel, i in zip(val_mels, val_rows, strict=True) if val.labels[i] in position
    ]
    span = cfg.package.window // pool.COLUMN, cfg.package.hop // pool.COLUMN
    taught_by = bank, table, val_set, span, fitted, main_labels
    student = train.train(cfg.audio, work, *taught_by, cfg.seed, log, device=where)

    if not begun:
        stage("text")
        text, tokenizer = tower.train(cfg.text, work, *taught, encoder, vocab, cfg.seed, log, where)
        text = tower.join(cfg.text, text, tokenizer, student.map, *taught, cfg.seed, log, where)

    stage("package")
    for writer in writers:
        writer.join()
    labels = [names[k] for k in main_labels]
    draws = np.random.default_rng([cfg.seed, 5])
    mix = mixer.Mixer(clips.waves, clips.labels, clips.folds, main_labels, draws, **mixing)
    chosen_by = mix, val, val_set, cfg, main_name, ordinary, log
    figures = finish.finish(args.out, work, student, text, labels, clips, *chosen_by)
    start = cfg.audio.start if begun else None
    attribution.write(args.out / "ATTRIBUTION.csv", clips.rows + further + ordinary_rows, start)
    if cfg.captions.steps:
        stage("captions")
        figures["captioner_bytes"] = captions_train.add(args.out, work, cfg, log)
    finish.curves(work / "log.jsonl", work / "curves.png")
    stage(None)
    (work / "figures.json").write_text(json.dumps(figures, indent=2, default=float) + "\n")
    log({"package": str(args.out), **{k: v for k, v in figures.items() if not isinstance(v, dict)}})


if __name__ == "__main__":
    main()
