"""Masked Modeling Duo on the convolutional encoder, before the labels and texts (arXiv 2210.14648, section III).

An online encoder hears only the visible columns of the log-mel; from them a predictor tells what the target encoder,
which hears only the masked columns, gives there. The target follows the online encoder by moving average; the loss is
taken between normalised vectors at the masked columns. What a transformer leaves out of its sequence, a convolution
is given as the mean level (0 after normalisation).
"""

import copy
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .batches import MEAN, STD, Ahead, Items, augment
from .device import CPU, moved
from .model import COLUMN, unit
from .train import rate_at


class Predictor(nn.Module):
    """[B, N, width] of the online encoder to what the target gives: convolutions over time that reach all of a window."""

    def __init__(self, width, layers=4):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(unit(width, (1, 9), groups=width), unit(width, 1), unit(width, 1, act=False))
            for _ in range(layers)
        )
        self.out = nn.Linear(width, width)

    def forward(self, x):
        x = x.transpose(1, 2).unsqueeze(2)
        for block in self.blocks:
            x = F.relu(x + block(x))
        return self.out(x.squeeze(2).transpose(1, 2))


def masks(rng, count, columns, ratio):
    """[count, columns] booleans, `ratio` of each row true, in runs of one to four columns."""
    out = np.zeros((count, columns), bool)
    wanted = round(columns * ratio)
    for row in out:
        while row.sum() < wanted:
            start, length = rng.integers(columns), rng.integers(1, 5)
            row[start : start + min(length, wanted - row.sum())] = True
    return out


def pretrain(model, config, work, seed, log, device=CPU):
    """Trains `model.encoder` in place, on `device`, for `config.masked_steps` steps; `work/masked.pt` keeps the result."""
    path = Path(work) / "masked.pt"
    if path.exists():
        model.encoder.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        return
    torch.manual_seed(seed)
    online = model.encoder.to(device)
    target, predictor = copy.deepcopy(online), Predictor(config.trunk).to(device)
    parameters = list(online.parameters()) + list(predictor.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=config.masked_rate, weight_decay=0.02, betas=(0.9, 0.98))
    items, began, total = Items(Path(work) / "pool"), time.time(), 0.0

    def make(step):
        if step % 50 == 0:
            items.refresh()
        rng = np.random.default_rng([seed, 5, step])
        batch = items.draw(rng, config.batch)
        mel = torch.from_numpy((augment(batch["mel"].astype(np.float32), rng) - MEAN) / STD)
        mask = torch.from_numpy(masks(rng, len(mel), mel.shape[1] // COLUMN, config.masked_ratio))
        return mel.transpose(1, 2).unsqueeze(1), mask

    ahead = Ahead(make, 0)
    for step in range(config.masked_steps):
        x, mask = moved(ahead.next(), device)
        wide = mask.repeat_interleave(COLUMN, 1)[:, None, None].to(x.dtype)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, step / config.masked_steps, config) * config.masked_rate / config.rate
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
            with torch.no_grad():
                wanted = target.features((x * wide).contiguous(memory_format=torch.channels_last))
            given = predictor(online.features((x * (1 - wide)).contiguous(memory_format=torch.channels_last)))
        wanted, given = wanted.float(), given.float()
        # Each column's vector without the mean over the batch's columns: what is common to all tells nothing.
        wanted = wanted - wanted.mean((0, 1), keepdim=True)
        loss = ((2 - 2 * F.cosine_similarity(given, wanted, dim=-1)) * mask).sum() / mask.sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        keep = 1 - (1 - config.masked_average) * 0.5 * (1 + np.cos(np.pi * step / config.masked_steps))
        with torch.no_grad():
            for a, b in zip(target.state_dict().values(), online.state_dict().values(), strict=True):
                a.lerp_(b, 1 - keep) if a.is_floating_point() else a.copy_(b)
        total += float(loss.detach())
        if (step + 1) % 100 == 0:
            spread = float(
                F.normalize(wanted.reshape(-1, wanted.shape[-1]), dim=-1).std(0).mean() * wanted.shape[-1] ** 0.5
            )
            log(
                {
                    "stage": "masked",
                    "step": step + 1,
                    "seconds": round((time.time() - began) / (step + 1), 3),
                    "loss": round(total / 100, 4),
                    "spread": round(spread, 3),
                }
            )
            total = 0.0
    ahead.stop()
    torch.save(online.state_dict(), path)
