"""RoBERTa (arXiv 1907.11692) as CLAP's text tower: positions count from the padding id on, the pooled first token is projected.

Names of parameters are those of Hugging Face's state dicts.
"""

import torch
from torch import nn

MASKED = -1e9  # added to the logits of padding


class Roberta(nn.Module):
    """`input_ids`, `attention_mask` `[B, N]` int64 to `[B, D]`: `tanh(W x_0)` of the first token."""

    def __init__(self, weights, heads, eps, padding):
        super().__init__()
        self.heads, self.eps, self.padding = heads, eps, padding
        self.depth = 1 + max(int(k.split(".")[2]) for k in weights if k.startswith("encoder.layer."))
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "/"), value)

    def of(self, name):
        return getattr(self, name.replace(".", "/"))

    def linear(self, name, x):
        return nn.functional.linear(x, self.of(f"{name}.weight"), self.of(f"{name}.bias"))

    def norm(self, name, x):
        weight, bias = self.of(f"{name}.weight"), self.of(f"{name}.bias")
        return nn.functional.layer_norm(x, weight.shape, weight, bias, self.eps)

    def split(self, x):
        """`[B, N, D]` to `[B, heads, N, D / heads]`."""
        return x.reshape(x.shape[0], -1, self.heads, x.shape[2] // self.heads).transpose(1, 2)

    def layer(self, name, x, mask):
        q, k, v = (self.split(self.linear(f"{name}.attention.self.{part}", x)) for part in ("query", "key", "value"))
        logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + mask
        y = (logits.softmax(-1) @ v).transpose(1, 2).reshape(x.shape[0], -1, x.shape[2])
        x = self.norm(f"{name}.attention.output.LayerNorm", x + self.linear(f"{name}.attention.output.dense", y))
        y = self.linear(f"{name}.output.dense", nn.functional.gelu(self.linear(f"{name}.intermediate.dense", x)))
        return self.norm(f"{name}.output.LayerNorm", x + y)

    def forward(self, input_ids, attention_mask):
        real = (input_ids != self.padding).long()
        places = torch.cumsum(real, 1) * real + self.padding
        x = self.of("embeddings.word_embeddings.weight")[input_ids] + self.of("embeddings.position_embeddings.weight")[places]
        x = self.norm("embeddings.LayerNorm", x + self.of("embeddings.token_type_embeddings.weight")[0])
        mask = (1 - attention_mask[:, None, None, :].to(x.dtype)) * MASKED
        for i in range(self.depth):
            x = self.layer(f"encoder.layer.{i}", x, mask)
        return torch.tanh(self.linear("pooler.dense", x[:, 0]))


def shapes(width, depth, hidden, words, places, types):
    """`{name: shape}` of a tower."""
    linear = lambda name, to, of: {f"{name}.weight": (to, of), f"{name}.bias": (to,)}
    norm = lambda name: {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    out = {"embeddings.word_embeddings.weight": (words, width), "embeddings.position_embeddings.weight": (places, width),
           "embeddings.token_type_embeddings.weight": (types, width)} | norm("embeddings.LayerNorm")
    for i in range(depth):
        name = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            out |= linear(f"{name}.attention.{part}", width, width)
        out |= norm(f"{name}.attention.output.LayerNorm") | norm(f"{name}.output.LayerNorm")
        out |= linear(f"{name}.intermediate.dense", hidden, width) | linear(f"{name}.output.dense", width, hidden)
    return out | linear("pooler.dense", width, width)
