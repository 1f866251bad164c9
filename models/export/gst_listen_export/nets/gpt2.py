"""GPT-2 as MS-CLAP's text tower: the hidden state of the last token that is not id 0, projected.

Names of parameters are those of Hugging Face's state dicts; its `Conv1D` weights are `[in, out]`.
"""

import torch
from torch import nn

MASKED = -1e9  # added to the logits of what comes later
EPS = 1e-5


class Gpt2(nn.Module):
    """`input_ids` `[B, N]` int64 to `[B, D]`. What stands after the last token cannot be seen by it: no mask is needed."""

    def __init__(self, weights, heads):
        super().__init__()
        self.heads = heads
        self.depth = 1 + max(int(k.split(".")[1]) for k in weights if k.startswith("h."))
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "/"), value)

    def of(self, name):
        return getattr(self, name.replace(".", "/"))

    def linear(self, name, x):
        return x @ self.of(f"{name}.weight") + self.of(f"{name}.bias")

    def norm(self, name, x):
        weight, bias = self.of(f"{name}.weight"), self.of(f"{name}.bias")
        return nn.functional.layer_norm(x, weight.shape, weight, bias, EPS)

    def layer(self, name, x, mask):
        split = lambda y: y.reshape(y.shape[0], -1, self.heads, y.shape[2] // self.heads).transpose(1, 2)
        q, k, v = (split(y) for y in self.linear(f"{name}.attn.c_attn", self.norm(f"{name}.ln_1", x)).chunk(3, -1))
        logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + mask
        y = (logits.softmax(-1) @ v).transpose(1, 2).reshape(x.shape[0], -1, x.shape[2])
        x = x + self.linear(f"{name}.attn.c_proj", y)
        hidden = self.linear(f"{name}.mlp.c_fc", self.norm(f"{name}.ln_2", x))
        return x + self.linear(f"{name}.mlp.c_proj", nn.functional.gelu(hidden, approximate="tanh"))

    def forward(self, input_ids):
        length = input_ids.shape[1]
        places = torch.arange(length)
        x = self.of("wte.weight")[input_ids] + self.of("wpe.weight")[places]
        mask = (places[None, :] > places[:, None]).to(x.dtype) * MASKED
        for i in range(self.depth):
            x = self.layer(f"h.{i}", x, mask)
        x = self.norm("ln_f", x)
        # Ids of 0 are counted, not looked for: so it was trained, and id 0 ("!") is also the padding.
        last = (input_ids != 0).sum(1) - 1
        return x.gather(1, last.clamp(min=0)[:, None, None].expand(-1, 1, x.shape[2]))[:, 0]


def shapes(width, depth, words, places):
    """`{name: shape}` of a tower."""
    linear = lambda name, of, to: {f"{name}.weight": (of, to), f"{name}.bias": (to,)}
    norm = lambda name: {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    out = {"wte.weight": (words, width), "wpe.weight": (places, width)}
    for i in range(depth):
        out |= norm(f"h.{i}.ln_1") | linear(f"h.{i}.attn.c_attn", width, 3 * width) | linear(f"h.{i}.attn.c_proj", width, width)
        out |= norm(f"h.{i}.ln_2") | linear(f"h.{i}.mlp.c_fc", width, 4 * width) | linear(f"h.{i}.mlp.c_proj", 4 * width, width)
    return out | norm("ln_f")
