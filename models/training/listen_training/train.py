"""Training of the audio side: clip and frames against text, with the teacher's scores and vectors beside."""

import copy
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from .batches import MEAN, STD, Ahead, Items, Texts, prepare
from .device import CPU, moved
from .model import Student
from .targets import overlaps
from .words import axes


def losses(model, made, config, probe, anchor=None):
    """The parts of the loss by name; `made` comes from `prepare`, `anchor` is the encoder to stay near."""
    with torch.autocast(made["x"].device.type, torch.bfloat16, enabled=config.bf16):
        hidden = model.encoder.features(made["x"])
    hidden = hidden.float()
    tokens = model.encoder.out(hidden)
    out = {}
    if anchor is not None:
        with torch.no_grad():
            wanted = anchor(made["x"])
        out["stay"] = (1 - F.cosine_similarity(tokens, wanted, dim=-1)).mean()
    first, last = made["span"]
    clip = model.head(tokens[:, first:last])
    count = len(made["labels"])
    side = model.text(made["texts"])
    scale, bias = model.scale.exp(), model.bias
    frame_target, frame_skip, clip_target, clip_skip, edge = made["targets"]
    frame_cos = F.normalize(tokens, dim=-1) @ side[: count + 64].T
    frame_logit = scale * frame_cos + bias
    clip_cos = clip @ side[: count + 64].T
    clip_logit = scale * clip_cos + bias
    bce = F.binary_cross_entropy_with_logits
    weight = (1 + 2 * frame_target) * ~frame_skip * (1 + config.edge * edge)
    out["frame"] = (bce(frame_logit[..., :count], frame_target, reduction="none") * weight).sum(-1).mean()
    weight = (1 + 2 * clip_target) * ~clip_skip
    out["clip"] = (bce(clip_logit[:, :count], clip_target, reduction="none") * weight).sum(-1).mean()
    zero = scale.new_zeros(())
    out["nonsense"] = (
        bce(frame_logit[..., count:], zero.expand_as(frame_logit[..., count:]), reduction="none").sum(-1).mean()
        + bce(clip_logit[:, count:], zero.expand_as(clip_logit[:, count:]), reduction="none").sum(-1).mean()
    )
    # Which of the labels sounds in a frame: among those that do, evenly.
    if config.weight_frame_choice:
        sounding = frame_target.sum(-1)
        wanted = frame_target / sounding.clamp(min=1).unsqueeze(-1)
        choice = (20 * frame_cos[..., :count]).masked_fill(frame_skip, -1e4)
        out["frame_choice"] = -(wanted * torch.log_softmax(choice, -1)).sum() / sounding.clamp(max=1).sum().clamp(min=1)
    # Which of the labels: among those that are in the mix, evenly.
    wanted = clip_target / clip_target.sum(-1, keepdim=True).clamp(min=1)
    choice = (20 * clip_cos[:, :count]).masked_fill(clip_skip, -1e4)
    out["choice"] = -(wanted * torch.log_softmax(choice, -1)).sum(-1).mean()
    if "score" not in made:
        return out
    # The teacher's patches: 12 columns, 6 apart.
    score, root = made["score"], made["root"]
    patches = score.shape[1]
    patch = F.normalize(F.avg_pool1d(tokens.transpose(1, 2), 12, 6).transpose(1, 2)[:, :patches], dim=-1)
    logit = scale * patch @ side[count + 64 :].T + model.teacher_bias
    out["teacher"] = bce(logit, score, reduction="none").sum(-1).mean()
    guess = model.recall(F.avg_pool1d(hidden.transpose(1, 2), 12, 6).transpose(1, 2)[:, :patches])
    out["recall"] = (1 - F.cosine_similarity(guess, root, dim=-1)).mean() + F.mse_loss(guess, root)
    if "probe" in made:
        soft, sure = made["probe"]
        with_main = torch.log_softmax(20 * patch @ side[torch.from_numpy(probe["main"]).to(side.device)].T, -1)
        out["probe"] = -((soft * with_main).sum(-1) * sure).sum() / sure.sum().clamp(min=1)
    return out


@torch.no_grad()
def clip_cosines(model, mel, side, columns, step):
    """[L] of a clip's log-mel [T, 80]: the mean of its three best windows' cosines with `side` [L, dim]."""
    x = ((torch.from_numpy(mel)[None].to(side.device) - MEAN) / STD).transpose(1, 2).unsqueeze(1)
    tokens = model.encoder(x)[0]
    parts = tokens.unfold(0, columns, step).transpose(1, 2) if len(tokens) >= columns else tokens[None]
    cos = model.head(parts) @ side.T
    return cos.topk(min(3, len(cos)), dim=0).values.mean(0)


@torch.no_grad()
def check(model, val, vectors, columns, step):
    """Top-1 and top-3 on val clips (log-mel, label)."""
    model.eval()
    side, hits, three = model.text(vectors), 0, 0
    for mel, label in val:
        best = clip_cosines(model, mel, side, columns, step).topk(min(3, len(side))).indices.tolist()
        hits += best[0] == label
        three += label in best
    model.train()
    return hits / len(val), three / len(val)


def part_at(step, seconds, config):
    """How much of the schedule is done, 0 to 1: by steps, or by time where `minutes` is set and nearer."""
    return min(1.0, max(step / config.steps, seconds / 60 / config.minutes if config.minutes > 0 else 0.0))


def rate_at(step, part, config):
    """Warm-up, then a cosine to a hundredth."""
    if step < config.warmup:
        return config.rate * (step + 1) / config.warmup
    return float(config.rate * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * part))))


def begin(model, weights):
    """Takes over `weights`; a memory that they do not know stays as it is made, which adds nothing."""
    missing, unknown = model.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.startswith("encoder.memory.")]
    if missing or unknown:
        raise SystemExit(f"start: expected the weights of this audio side; missing {missing}, unknown {unknown}")


def train(config, work, bank, words, val, span, probe, main, seed, log, items=None, device=CPU):
    """Trains (or goes on with) the audio side on `device`; `work/audio.pt` is the checkpoint; returns the averaged model (on the processor).

    `val` is listened to in windows of `span`: (columns, columns from one to the next). `items`: what batches are drawn
    from, where it is not the whole of `work/pool`.
    """
    from . import pretrain, revive

    work = Path(work)
    torch.manual_seed(seed)
    from_package = revive.is_package(config.start)
    if from_package:
        model = revive.student(config, config.start)
    else:
        model = Student(config, *axes(np.concatenate([bank.vectors, bank.classes]).astype(np.float64), config.dim))
    model.encoder = model.encoder.to(memory_format=torch.channels_last)
    if config.start and not from_package and not (work / "audio.pt").exists():
        begin(model, torch.load(config.start, weights_only=True, map_location="cpu")["average"])
    if config.masked_steps and not (work / "audio.pt").exists():
        pretrain.pretrain(model, config, work, seed, log, device)
    items = items or Items(work / "pool")
    texts, overlap = Texts(bank, config.one_wording), overlaps(bank.labels, words)
    others = ~np.isin(np.arange(len(bank.labels)), main)

    def drawn(step):
        rng = np.random.default_rng([seed, 1, step])
        return prepare(items.draw(rng, config.batch), texts, rng, config, overlap, others, probe)

    if from_package and not (work / "audio.pt").exists():
        first = [drawn(k) for k in range(8)]
        revive.settle(model.encoder, [made["x"] for made in first])
        revive.recall(model, first)
    # Where it began, also after a stop.
    stays = from_package and config.weight_stay
    anchor = revive.student(config, config.start).encoder.eval().to(device) if stays else None
    model = model.to(device)
    average = copy.deepcopy(model)
    heavy = [p for p in model.parameters() if p.ndim > 1]
    light = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": heavy, "weight_decay": config.decay}, {"params": light, "weight_decay": 0.0}],
        lr=config.rate,
        betas=(0.9, 0.98),
    )
    step, before, path = 0, 0.0, work / "audio.pt"
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, before = state["step"], state.get("seconds", 0.0)
    names = torch.from_numpy(bank.vectors[bank.first[:-1]])[main].to(device)
    began, model_steps, sums, counted = time.time(), 0, {}, 0
    part = part_at(step, before, config)

    def make(step):
        if step % 50 == 0:
            items.refresh()
        return drawn(step)

    ahead = Ahead(make, step)
    bar = tqdm(desc="audio side", total=100, unit="%", initial=round(100 * part), disable=None)
    while part < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, part, config)
        parts = losses(model, moved(ahead.next(), device), config, probe, anchor)
        total = sum(getattr(config, f"weight_{k}") * v for k, v in parts.items())
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        step, model_steps = step + 1, model_steps + 1
        part = part_at(step, before + time.time() - began, config)
        decay = min(config.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
                a.lerp_(b, 1 - decay) if a.is_floating_point() else a.copy_(b)
        counted += 1
        for k, v in parts.items():
            sums[k] = sums.get(k, 0.0) + float(v.detach())
        if step % 25 == 0 or part >= 1.0:
            line = {
                "step": step,
                "seconds": round((time.time() - began) / model_steps, 3),
                "rate": round(rate_at(step, part, config), 7),
                "part": round(part, 4),
                "items": len(items),
                "scale": float(model.scale.detach().exp()),
                "bias": float(model.bias.detach()),
                **{k: round(v / max(1, counted), 4) for k, v in sums.items()},
            }
            bar.n = round(100 * part)
            bar.set_postfix(step=step, frame=line["frame"])
            sums, counted = {}, 0
            if step % config.check_every == 0 or part >= 1.0:
                line["top1"], line["top3"] = check(average, val, names, *span)
            log(line)
        if step % config.save_every == 0 or part >= 1.0:
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
    ahead.stop()
    average = average.to("cpu")
    if config.halfway:
        average = revive.between(average, revive.student(config, config.start), config.halfway)
        shown = dict(zip(("top1", "top3"), check(average, val, names.cpu(), *span), strict=True))
        log({"stage": "audio", "halfway": config.halfway, **shown})
    return average.eval()


def logger(path):
    """Appends a JSON line and prints it."""

    def log(line):
        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")
        # Above the bar, where there is one.
        tqdm.write(" ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in line.items()))
        sys.stdout.flush()

    return log
