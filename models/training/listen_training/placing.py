"""Where a sound that was heard begins and ends: small networks that choose among the moments at which the sound changes.

As models/zeroshot/src/placing.rs has it; what they are told stands in models/package/FORMAT.md (Placing). A label's score says
what sounds, and roughly when; the sound itself says exactly when something changed, but not which change is the label's.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from . import audio, pool

COLUMN = pool.COLUMN
FRAME = audio.HOP / audio.RATE
AROUND = 16  # scores on either side of a moment
LEAST, SCALE = 0.0025, 3.0  # scores are held that far from 0 and 1; logits are divided by SCALE
FAINTEST, APART = 0.15, 5  # moments are this strong at least, and the strongest within so many frames on either side
BACK, LONGEST = (
    (300, 160),
    800,
)  # frames: looked for so long before the reference; neither is longer before what is known
CLEAR = 6  # frames: what is nearer to a moment than this belongs to it
TOLD = 5
FEWEST = 200  # events that a network can be learnt from
ONSET, OFFSET = 0, 1
NAMES = ("onset", "offset")


def logit(score):
    """A score's logit as the networks are told it."""
    score = np.clip(score, LEAST, 1 - LEAST)
    return np.log(score / (1 - score)) / SCALE


def strongest(x, first, last):
    """The highest of `x` from `first` to `last`, 0 where there is none."""
    return float(x[max(first, 0) : last + 1].max(initial=0.0)) if last >= first else 0.0


def moments(kind, strengths, raw, reference, first, known):
    """(frames [n], what is told of each [n, TOLD + 2 AROUND]) at which an event may begin or end, not before `first`; or None.

    `strengths`: how strongly sound begins and ends before each frame (scenes.strengths); `raw`: the label's scores a column;
    `reference`: the frame at which the first score at half the onset threshold begins, of an offset that at which the last one at the
    threshold (or the first after a pause) ends; `known`: columns that are known by then.
    """
    reference = max(reference, known * COLUMN - LONGEST)
    end = min(len(strengths[kind]), known * COLUMN)
    own, other = strengths[kind][:end], strengths[1 - kind][:end]
    first = max(first, reference - BACK[kind], known * COLUMN - LONGEST, 0)
    if first >= end:
        return None
    beside = np.lib.stride_tricks.sliding_window_view(np.pad(own, APART, constant_values=-1.0), 2 * APART + 1)
    at = np.flatnonzero((own >= FAINTEST) & (own >= beside.max(1)))
    at = at[at >= first]
    if not len(at):
        return None
    places = ((at + COLUMN // 2) // COLUMN)[:, None] + np.arange(-AROUND, AROUND)
    track = np.where(places < 0, logit(0.0), logit(raw[:known])[np.clip(places, 0, known - 1)])
    away = (at - reference) * FRAME
    if kind == OFFSET:
        # Inwards is to the right for both.
        track, away = track[:, ::-1], -away
    between = lambda x: [strongest(x, min(m, reference) + CLEAR, max(m, reference) - CLEAR) for m in at.tolist()]
    told = np.stack([own[at], other[at], between(own), between(other), away], axis=1)
    return at, np.concatenate([told, track], axis=1).astype(np.float32)


class Placing:
    """Networks for onsets and for offsets: each a list of (weight [outs, ins], bias [outs]), max(0, x) between."""

    def __init__(self, networks):
        self.networks = networks

    @classmethod
    def open(cls, file):
        """Those of a package's file."""
        found, networks = load_file(str(file)), []
        for name in NAMES:
            count = sum(key.startswith(f"{name}.") and key.endswith(".weight") for key in found)
            pair = lambda layer, name=name: [
                found[f"{name}.{layer}.{k}"].astype(np.float32) for k in ("weight", "bias")
            ]
            networks.append([pair(layer) for layer in range(count)])
        return cls(networks)

    def save(self, file):
        """Writes them as float16: a file of some kilobytes."""
        tensors = {
            f"{name}.{layer}.{key}": np.ascontiguousarray(value, np.float16)
            for name, layers in zip(NAMES, self.networks, strict=True)
            for layer, pair in enumerate(layers)
            for key, value in zip(("weight", "bias"), pair, strict=True)
        }
        save_file(tensors, str(Path(file)))

    def values(self, kind, told):
        """[n] of what `moments` tells."""
        for layer, (weight, bias) in enumerate(self.networks[kind]):
            told = (np.maximum(told, 0) if layer else told) @ weight.T + bias
        return told[:, 0]

    def place(self, kind, *where):
        """The frame that is taken, or None; arguments as `moments` has them."""
        found = moments(kind, *where)
        return None if found is None else int(found[0][self.values(kind, found[1]).argmax()])


class Network(nn.Module):
    """What is trained."""

    def __init__(self, mean, deviation, wide=32, narrow=16):
        super().__init__()
        self.mean, self.deviation = torch.from_numpy(mean), torch.from_numpy(deviation)
        sizes = [len(mean), wide, narrow, 1]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.drop = nn.Dropout(0.1)

    def forward(self, told):
        x = (told - self.mean) / self.deviation
        x = self.drop(torch.relu(self.layers[0](x)))
        return self.layers[2](torch.relu(self.layers[1](x)))[:, 0]

    def folded(self):
        """Its layers, the first with the normalisation in it."""
        pairs = [[p.detach().numpy().copy() for p in (layer.weight, layer.bias)] for layer in self.layers]
        pairs[0][1] -= pairs[0][0] @ (self.mean / self.deviation).numpy()
        pairs[0][0] /= self.deviation.numpy()
        return pairs


def tolerance(kind, onset, offset):
    """How far off a time may be: what sed_eval's event-based measures allow."""
    return 0.2 if kind == ONSET else max(0.2, 0.2 * (offset - onset))


def fit(asked, seed, epochs=10, batch=32):
    """A network for one kind of `asked`: [(kind, frames, told, (onset, offset))] of events that were heard, and their truth.

    Of an event's moments those near the truth are right, the nearer ones rather: most of the loss asks that one of them is
    taken, some that it is the nearest. None where too few can be learnt from.
    """
    torch.manual_seed(seed)
    rng, items = np.random.default_rng(seed), []
    for kind, frames, told, truth in asked:
        away, most = np.abs(frames * FRAME - truth[kind]), tolerance(kind, *truth)
        right = np.exp(-0.5 * (away / (0.6 * most)) ** 2) * (away <= 0.9 * most)
        if right.max() > 0:
            items.append((told, torch.from_numpy((right / right.sum()).astype(np.float32))))
    if len(items) < FEWEST:
        return None
    told = np.concatenate([item[0] for item in items])
    network = Network(told.mean(0), told.std(0) + np.float32(1e-3))
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    steps = epochs * (len(items) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps + 1)
    for _ in range(epochs):
        order = rng.permutation(len(items))
        for start in range(0, len(order) - batch + 1, batch):
            drawn = [items[i] for i in order[start : start + batch]]
            value = network(torch.from_numpy(np.concatenate([told for told, _ in drawn])))
            parts = value.split([len(told) for told, _ in drawn])
            log = [torch.log_softmax(part, 0) for part in parts]
            one = sum(-torch.logsumexp(p[right > 0], 0) for p, (_, right) in zip(log, drawn, strict=True))
            nearest = sum(-(right * p).sum() for p, (_, right) in zip(log, drawn, strict=True))
            loss = (0.7 * one + 0.3 * nearest) / batch
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval().folded()


def learn(heard, seed):
    """`Placing` from [(groups, strengths, raw, truth)]: of one label in one scene its `scenes.groups`, strengths, scores and
    the (onset, offset) at which it truly sounds. None where too little of it is heard.
    """
    asked = ([], [])
    for groups, strengths, raw, truth in heard:
        last = 0
        for group in groups:
            begun, ended = group.start * COLUMN * FRAME, group.end * COLUMN * FRAME
            near = [t for t in truth if t[0] < ended and t[1] > begun]
            if near:
                true = min(near, key=lambda t: abs(t[0] - begun))
                wheres = [(group.half * COLUMN, last, group.first + 1)]
                if group.end < len(raw):
                    wheres.append(((group.sure + 1) * COLUMN, group.start * COLUMN, group.known(len(raw))))
                for kind, where in enumerate(wheres):
                    found = moments(kind, strengths, raw, *where)
                    if found is not None:
                        asked[kind].append((kind, *found, true))
            last = group.end * COLUMN
    networks = [fit(some, seed + kind) for kind, some in enumerate(asked)]
    return None if None in networks else Placing(networks)
