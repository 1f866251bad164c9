"""The caption decoder: a small decoder-only transformer with a projector in front, and its three graphs.

The graphs have the layout that `captioner` of the manifest asks for (Hugging Face optimum's names).
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import export


class Layer(nn.Module):
    """One transformer layer, normalised before, that takes and gives keys and values.

    A key is partly that of the place before, head by head (smeared keys, Olsson et al. 2022, arXiv 2209.11895): so a place
    finds what came behind a token like its own, and labels that were never seen are copied piece by piece.
    """

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.smear = nn.Parameter(torch.linspace(-2.0, 2.0, heads).view(1, heads, 1, 1))

    def forward(self, x, hidden, key, value):
        """`x` [B, S, width]; `hidden` [B, 1, S, P + S] is 0 or very low; `key`, `value` [B, heads, P, size]."""
        batch, steps, width = x.shape
        q, k, v = self.qkv(self.before(x)).view(batch, steps, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        key, value = torch.cat([key, k], dim=2), torch.cat([value, v], dim=2)
        part = torch.sigmoid(self.smear)
        smeared = (1 - part) * key + part * F.pad(key, (0, 0, 1, 0))[:, :, :-1]
        weight = torch.softmax(q @ smeared.transpose(-1, -2) / math.sqrt(self.size) + hidden, dim=-1)
        x = x + self.join((weight @ value).transpose(1, 2).reshape(batch, steps, width))
        return x + self.down(F.gelu(self.up(self.between(x)))), key, value


def waves(numbers, width):
    """[n, width]: sines and cosines of numbers, so that near ones are alike."""
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(1000.0) / width))
    angle = numbers[:, None] * rate
    return torch.stack([torch.sin(angle), torch.cos(angle)], dim=-1).flatten(1)[:, :width]


class Projector(nn.Module):
    """The tokens of one window (about a second) [1, T, dim] to its vectors [1, prefix, width]: their mean and highest."""

    def __init__(self, dim, prefix, width):
        super().__init__()
        self.prefix, self.width = prefix, width
        self.each = nn.Linear(dim, width)
        self.join = nn.Linear(2 * width, prefix * width)

    def forward(self, embedding):
        x = F.gelu(4 * self.each(embedding))
        return self.join(torch.cat([x.mean(dim=1), x.amax(dim=1)], dim=-1)).view(-1, self.prefix, self.width)


class Decoder(nn.Module):
    """`inputs_embeds` and what is kept of before to logits [B, S, vocab] and what is to be kept."""

    def __init__(self, vocab, width=104, layers=3, heads=4, positions=320):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.place = nn.Embedding(positions, width)
        with torch.no_grad():
            self.place.weight.copy_(waves(torch.arange(positions), width) * 0.05)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, vocab, bias=False)

    def forward(self, inputs_embeds, attention_mask, position_ids, *past):
        x = inputs_embeds + self.place(position_ids)
        # What a place may look at: itself, those before it, and nothing that the mask leaves out.
        behind = (
            torch.arange(attention_mask.shape[1], device=x.device)[None, None, None] > position_ids[:, None, :, None]
        )
        left_out = behind | (attention_mask == 0)[:, None, None]
        hidden = left_out.to(x.dtype) * -1e4
        present = []
        for number, layer in enumerate(self.layers):
            x, key, value = layer(x, hidden, *past[2 * number : 2 * number + 2])
            present += [key, value]
        return (self.out(self.norm(x)), *present)


class Captioner(nn.Module):
    """Projector, token embeddings and decoder; the embeddings are the output's weights as well."""

    def __init__(self, vocab, dim, prefix=1, width=104, layers=3, heads=4, positions=320):
        super().__init__()
        self.vocab, self.dim, self.prefix, self.width, self.positions = vocab, dim, prefix, width, positions
        self.embed = nn.Embedding(vocab, width)
        nn.init.normal_(self.embed.weight, std=0.05)
        self.projector = Projector(dim, prefix, width)
        self.decoder = Decoder(vocab, width, layers, heads, positions)
        self.decoder.out.weight = self.embed.weight

    def nothing(self, batch=1):
        """Keys and values before the first step."""
        d, like = self.decoder, self.embed.weight
        return [like.new_zeros(batch, d.heads, 0, d.size) for _ in range(2 * len(d.layers))]

    def assemble(self, windows, begin, prompt):
        """[1, N, width]: `begin` ids, the prefixes of windows ([T, dim] each) in order, `prompt` ids."""
        made = [self.projector(w[None]) for w in windows]
        return torch.cat([self.embed(begin)[None], *made, self.embed(prompt)[None]], dim=1)

    def logits(self, embedded):
        """All at once, without a cache."""
        batch, n, _ = embedded.shape
        mask = torch.ones(batch, n, dtype=torch.long, device=embedded.device)
        place = torch.arange(n, device=embedded.device).expand(batch, n)
        return self.decoder(embedded, mask, place, *self.nothing(batch))[0]

    @torch.no_grad()
    def greedy(self, embedded, stop, most):
        """Token ids, each step computed anew from the beginning: the truth for what has a cache."""
        out = []
        while len(out) < most and embedded.shape[1] < self.positions:
            token = int(self.logits(embedded)[0, -1].argmax())
            if token == stop:
                break
            out.append(token)
            embedded = torch.cat([embedded, self.embed(torch.tensor([[token]], device=embedded.device))], dim=1)
        return out


def write(folder, captioner):
    """The three graphs, in float16 where there is much; returns their part of the manifest's `captioner`."""
    folder, d = Path(folder), captioner.decoder
    folder.mkdir(parents=True, exist_ok=True)
    steps, kept = 3, 2
    past = [torch.zeros(1, d.heads, kept, d.size) for _ in range(2 * len(d.layers))]
    names = [f"{n}.{kind}" for n in range(len(d.layers)) for kind in ("key", "value")]
    axes = {
        "inputs_embeds": {0: "batch", 1: "steps"},
        "attention_mask": {0: "batch", 1: "all"},
        "position_ids": {0: "batch", 1: "steps"},
        "logits": {0: "batch", 1: "steps"},
    }
    axes |= {f"past_key_values.{n}": {0: "batch", 2: "past"} for n in names}
    axes |= {f"present.{n}": {0: "batch", 2: "all"} for n in names}
    mask, place = torch.ones(1, kept + steps, dtype=torch.long), torch.arange(kept, kept + steps)[None]
    export.write(
        d,
        (torch.randn(1, steps, captioner.width), mask, place, *past),
        ["inputs_embeds", "attention_mask", "position_ids", *(f"past_key_values.{n}" for n in names)],
        ["logits", *(f"present.{n}" for n in names)],
        axes,
        folder / "decoder.onnx",
        half=2000,
    )
    export.write(
        captioner.embed,
        (torch.zeros(1, 4, dtype=torch.long),),
        ["input_ids"],
        ["inputs_embeds"],
        {"input_ids": {0: "batch", 1: "ids"}, "inputs_embeds": {0: "batch", 1: "ids"}},
        folder / "embed_tokens.onnx",
        half=2000,
    )
    export.write(
        captioner.projector,
        (torch.randn(1, 12, captioner.dim),),
        ["embedding"],
        ["prefix"],
        {"embedding": {0: "batch", 1: "columns"}, "prefix": {0: "batch"}},
        folder / "projector.onnx",
        half=2000,
    )
    return {
        "decoder": {
            "file": "decoder.onnx",
            "external_data": [],
            "layers": len(d.layers),
            "kv_heads": d.heads,
            "head_dim": d.size,
            "hidden": captioner.width,
            "vocab": captioner.vocab,
            "max_positions": captioner.positions,
            "position_ids": True,
        },
        "embed_tokens": {
            "file": "embed_tokens.onnx",
            "external_data": [],
            "input": "input_ids",
            "output": "inputs_embeds",
        },
        "projector": {
            "file": "projector.onnx",
            "external_data": [],
            "input": "embedding",
            "output": "prefix",
            "takes": "frames",
            "prefix": captioner.prefix,
            "max_windows": 10,
        },
    }


def rounded(captioner):
    """The weights as the graphs store them: float16 where there are more than 2000 in one, in place."""
    with torch.no_grad():
        for p in captioner.parameters():
            if p.numel() > 2000:
                p.copy_(p.half().float())
    return captioner


class Runner:
    """The exported graphs in onnxruntime: greedy decoding with the cache."""

    def __init__(self, folder, block):
        self.block = block
        self.decoder, self.embed, self.projector = (
            export.session(Path(folder) / block[part]["file"]) for part in ("decoder", "embed_tokens", "projector")
        )

    def embedded(self, ids):
        """Ids to [1, N, width]."""
        return self.embed.run(None, {"input_ids": np.asarray([ids], np.int64)})[0]

    def greedy(self, windows, begin, prompt, stop, most):
        """Token ids: the prompt in one step, then one token a step."""
        d = self.block["decoder"]
        names = [f"{n}.{kind}" for n in range(d["layers"]) for kind in ("key", "value")]
        past = [np.zeros((1, d["kv_heads"], 0, d["head_dim"]), np.float32) for _ in names]
        parts = [self.embedded(begin)] if len(begin) else []
        parts += [self.projector.run(None, {"embedding": w[None].astype(np.float32)})[0] for w in windows]
        x, at, out = np.concatenate([*parts, self.embedded(prompt)], axis=1), 0, []
        while len(out) < most and at + x.shape[1] <= d["max_positions"]:
            steps = x.shape[1]
            given = {
                "inputs_embeds": x,
                "attention_mask": np.ones((1, at + steps), np.int64),
                "position_ids": np.arange(at, at + steps, dtype=np.int64)[None],
                **{f"past_key_values.{n}": p for n, p in zip(names, past, strict=True)},
            }
            logits, *past = self.decoder.run(None, given)
            token = int(logits[0, -1].argmax())
            if token == stop:
                break
            out.append(token)
            x, at = self.embedded([token]), at + steps
        return out
