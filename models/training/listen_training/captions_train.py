"""Trains the captions' decoder for a package that is there, and adds it:

    python -m listen_training.captions_train --config config.toml --package PACKAGE --work PACKAGE.work

`[captions]` of the configuration says how long. What is precomputed and checkpoints lie in WORK/captions-…, by the
package's encoder: run again, the training goes on where it was. The same is the last stage of `listen_training` where
`captions.steps` is above 0.
"""

import argparse
import hashlib
import json
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from . import captions, captions_model, captions_scenes, captions_words, words
from .captions_words import BEGIN, PAD, SAY, STOP
from .device import CPU, chosen
from .targets import overlaps

GROUP = 8  # steps whose examples are drawn together and dealt out by length
FILES = {"decoder": "decoder.onnx", "embed_tokens": "embed_tokens.onnx", "projector": "projector.onnx"}
TOKENIZER = "caption_tokenizer.json"


class Batches:
    """Examples as tensors; the same for the same step and seed."""

    def __init__(self, scenes, tokenizer, batch, seed):
        self.scenes, self.tokenizer, self.batch, self.seed, self.kept = scenes, tokenizer, batch, seed, (None, None)

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def draw(self, step):
        """Examples and their ids [(example, evidence ids, caption ids)] of one step."""
        group = step // GROUP
        if self.kept[0] != group:
            rng = np.random.default_rng([self.seed, 11, group])
            drawn = [self.scenes.draw(rng) for _ in range(self.batch * GROUP)]
            drawn = [(e, self.ids(e.evidence), self.ids(e.caption)) for e in drawn]
            drawn.sort(key=lambda d: len(d[0].windows) + len(d[1]) + len(d[2]))
            order = rng.permutation(GROUP)
            self.kept = group, [drawn[i * self.batch : (i + 1) * self.batch] for i in order]
        return self.kept[1][step % GROUP]


def loss_of(model, drawn):
    """Mean cross-entropy of the captions' tokens, and the share that is likeliest."""
    width, device = model.width, model.embed.weight.device
    # Windows of the same length together.
    flat = [(i, w) for i, (e, _, _) in enumerate(drawn) for w in e.windows]
    made = [None] * len(flat)
    for size in {len(w) for _, w in flat}:
        at = [k for k, (_, w) in enumerate(flat) if len(w) == size]
        found = model.projector(torch.from_numpy(np.stack([flat[k][1] for k in at])).to(device))
        for k, vectors in zip(at, found, strict=True):
            made[k] = vectors
    heard = [[] for _ in drawn]
    for (i, _), vectors in zip(flat, made, strict=True):
        heard[i].append(vectors)
    rows, goals = [], []
    for i, (_, evidence, caption) in enumerate(drawn):
        ids = model.embed(torch.tensor([BEGIN, *evidence, SAY, *caption], device=device))
        rows.append(torch.cat([ids[:1], *heard[i], ids[1:]]))
        goals.append([PAD] * (len(rows[-1]) - len(caption) - 1) + [*caption, STOP])
    longest = max(map(len, rows))
    x = torch.stack([F.pad(row, (0, 0, 0, longest - len(row))) for row in rows]).view(len(rows), longest, width)
    goal = torch.tensor([g + [PAD] * (longest - len(g)) for g in goals], device=device)
    logits = model.logits(x)
    told = goal != PAD
    right = ((logits.argmax(-1) == goal) & told).sum() / told.sum()
    return F.cross_entropy(logits.float().transpose(1, 2), goal, ignore_index=PAD), float(right)


def train(cfg, scenes, held, tokenizer, dim, folder, seed, log, device=CPU):
    """Trains (or goes on with) the decoder on `device`; returns its averaged weights (on the processor)."""
    torch.manual_seed(seed)
    make = lambda: captions_model.Captioner(tokenizer.get_vocab_size(), dim, 1, cfg.width, cfg.layers, cfg.heads)
    model, average = make(), make()
    with torch.no_grad():
        # Numbers begin alike where they are near.
        numbers = [tokenizer.token_to_id(str(n)) for n in range(captions_words.NUMBERS)]
        waves = captions_model.waves(torch.arange(captions_words.NUMBERS), cfg.width)
        model.embed.weight[numbers] += 0.05 * waves
    if cfg.start:
        model.load_state_dict(torch.load(cfg.start, weights_only=True, map_location="cpu")["average"])
    model, average = model.to(device), average.to(device)
    average.load_state_dict(model.state_dict())
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decay, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=cfg.rate, betas=(0.9, 0.98))
    path, step, before = folder / "captions.pt", 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, before = state["step"], state["seconds"]
    data = Batches(scenes, tokenizer, cfg.batch, seed)
    checks = [Batches(held, tokenizer, cfg.batch, seed + 1).draw(k) for k in range(4)]
    began, total, seen = time.time(), np.zeros(2), 0
    part = lambda: max(step / cfg.steps, (before + time.time() - began) / 60 / cfg.minutes if cfg.minutes else 0.0)
    bar = tqdm(desc="captions", total=cfg.steps, initial=step, disable=None)
    while part() < 1.0:
        drawn = data.draw(step)
        rate = cfg.rate * min(1, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * min(1.0, part()))))
        for group in optimiser.param_groups:
            group["lr"] = float(rate)
        model.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=cfg.bf16):
            loss, right = loss_of(model, drawn)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        keep = min(0.99, step / (step + 10))
        with torch.no_grad():
            for slow, quick in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(quick, 1 - keep)
        total, seen = total + (float(loss.detach()), right), seen + 1
        bar.update()
        last = part() >= 1.0
        if step % cfg.save_every == 0 or last:
            average.eval()
            with torch.no_grad():
                check = np.mean([[float(x) for x in loss_of(average, c)] for c in checks], axis=0)
            log(
                {
                    "stage": "captions",
                    "step": step,
                    "seconds": round((before + time.time() - began) / step, 3),
                    "loss": round(total[0] / seen, 4),
                    "right": round(total[1] / seen, 4),
                    "held_out_loss": round(float(check[0]), 4),
                    "held_out_right": round(float(check[1]), 4),
                }
            )
            total, seen = np.zeros(2), 0
            state = {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "seconds": before + time.time() - began,
            }
            torch.save(state, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
    bar.close()
    return average.eval().to("cpu")


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write(package, model, tokenizer, cfg):
    """Adds the decoder to the package's folder and manifest; returns the bytes of its files."""
    package = Path(package)
    manifest = json.loads((package / "manifest.json").read_text())
    model = captions_model.rounded(model)
    block = captions_model.write(package, model)
    tokenizer.save(str(package / TOKENIZER), pretty=False)
    block["projector"]["max_windows"] = cfg.max_windows
    block |= {
        "tokenizer": TOKENIZER,
        "prompt": "{audio}{prompt}" + captions_words.SPECIAL[SAY],
        "evidence": "compact",
        "begin": [BEGIN],
        "stop": [STOP],
        "max_tokens": cfg.max_tokens,
        "temperature": 0.0,
        "top_p": 1.0,
        "repetition_penalty": 1.0,
    }
    runner, dim = captions_model.Runner(package, block), model.dim
    prompt = "dog barking 0 8 15 21 , rain 5 +"
    window = np.full((1, dim), 1 / np.sqrt(dim), np.float32)
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    tokens = runner.greedy([window], [BEGIN], [*ids, SAY], STOP, cfg.max_tokens)
    # Hardly trained, it may say nothing: then there is nothing to compare.
    if tokens:
        block["self_test"] = {"prompt": prompt, "tokens": tokens}
    manifest["captioner"] = block
    files = [*FILES.values(), TOKENIZER]
    for file in files:
        (package / file).chmod(0o644)
        manifest["sha256"][file] = digest(package / file)
    manifest["sha256"] = dict(sorted(manifest["sha256"].items()))
    (package / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return sum((package / f).stat().st_size for f in files)


def add(package, work, config, log):
    """Trains a decoder for the package in `package`, on the pool and with the labels in `work`, and writes it there; returns
    the bytes that it takes."""
    from .package import Runner

    package, work, cfg = Path(package), Path(work), config.captions
    folder = work / f"captions-{digest(package / 'encoder.onnx')[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    manifest, runner = json.loads((package / "manifest.json").read_text()), Runner(package)
    for name, of in captions_scenes.encode(work / "pool", runner, cfg.items, folder / "heard"):
        log({"stage": "captions", "encoded": name, "of": of})
    heard = captions_scenes.Heard.load(folder / "heard", cfg.items)
    labels, table, grammar = captions_scenes.bank_labels(work / "bank.pkl"), words.table(), captions.table()
    main = [labels.index(name) for name in manifest["label_embeddings"]["labels"]]
    without = words.kept_out(config.kept_out_words)
    wordings = [[w for w in words.wordings(name, table)[1:] if w.lower() not in without] for name in labels]
    typed = captions_scenes.typed_labels(table, without)
    tokenizer = captions_words.tokenizer(
        grammar, labels, [w for some in wordings for w in some] + table["grammar"]["doings"], cfg.pieces
    )
    vectors = runner.text(labels, tuple(manifest["clap"]["prompt_templates"]))
    detector = captions_scenes.Detector(package, manifest, vectors)
    near = overlaps(labels, table)
    cut = max(1, len(heard) // 20)
    make = lambda part: captions_scenes.Scenes(
        part, detector, labels, main, wordings, typed, grammar, near, cfg.max_windows, cfg.trusts_events
    )
    scenes, held = make(heard.part(slice(cut, None))), make(heard.part(slice(0, cut)))
    where = chosen(config.device)
    model = train(cfg, scenes, held, tokenizer, vectors.shape[1], folder, config.seed, log, where)
    size = write(package, model, tokenizer, cfg)
    log({"stage": "captions", "parameters": sum(p.numel() for p in model.parameters()), "bytes": size})
    show(package, held, tokenizer, config.seed, log)
    return size


def show(package, held, tokenizer, seed, log, count=12):
    """What the graphs write of some examples that were kept out."""
    block = json.loads((Path(package) / "manifest.json").read_text())["captioner"]
    runner, rng = captions_model.Runner(package, block), np.random.default_rng([seed, 12])
    for _ in range(count):
        e = held.draw(rng)
        ids = tokenizer.encode(e.evidence, add_special_tokens=False).ids
        said = runner.greedy(e.windows, [BEGIN], [*ids, SAY], STOP, block["max_tokens"])
        log({"evidence": e.evidence, "wanted": e.caption, "said": tokenizer.decode(said)})


def main():
    from . import config
    from . import train as audio_train

    parser = argparse.ArgumentParser(prog="listen_training.captions_train", description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="the training's configuration, with [captions]")
    parser.add_argument("--package", type=Path, required=True, help="package folder that gets the decoder")
    parser.add_argument("--work", type=Path, required=True, help="the training's work folder: its pool and bank.pkl")
    parser.add_argument("--out", type=Path, help="copy the package here first, and leave the other as it is")
    args = parser.parse_args()
    cfg = config.load(args.config)
    if cfg.captions.steps <= 0:
        raise SystemExit("configuration: captions.steps must be above 0, found 0 (no decoder)")
    if args.out:
        shutil.copytree(args.package, args.out, dirs_exist_ok=True)
    torch.set_num_threads(cfg.threads or torch.get_num_threads())
    add(args.out or args.package, args.work, cfg, audio_train.logger(args.work / "captions.jsonl"))


if __name__ == "__main__":
    main()
