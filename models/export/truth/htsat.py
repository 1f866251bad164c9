"""HTS-AT, RoBERTa and GPT-2 as the two CLAP families use them, in NumPy float64 with loops (arXiv 2202.00874, 2103.14030).

Weights are a dictionary under the names of the checkpoints.
"""
from math import erf, floor

import numpy as np

LOUD = np.vectorize(erf)


def layer_norm(x, weight, bias, eps):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


def gelu(x):
    return 0.5 * x * (1 + LOUD(x / np.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Named:
    """A dictionary of weights in float64, under a prefix."""

    def __init__(self, weights, prefix=""):
        self.weights, self.prefix = weights, prefix

    def __call__(self, name):
        return np.asarray(self.weights[self.prefix + name], np.float64)

    def at(self, name):
        return Named(self.weights, f"{self.prefix}{name}.")

    def linear(self, name, x):
        return x @ self(f"{name}.weight").T + self(f"{name}.bias")

    def norm(self, name, x, eps=1e-5):
        return layer_norm(x, self(f"{name}.weight"), self(f"{name}.bias"), eps)


def cubic(d):
    """Keys' kernel with a = -0.75 at distance d."""
    a, d = -0.75, abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def stretched(x, length):
    """`[T, F]` to `[length, F]`: the first on the first, the last on the last."""
    out = np.zeros((length, x.shape[1]))
    for i in range(length):
        place = i * (len(x) - 1) / (length - 1)
        left = floor(place)
        for j in range(left - 1, left + 3):
            out[i] += cubic(place - j) * x[min(max(j, 0), len(x) - 1)]
    return out


def folded(x, pieces):
    """`[r S, F]` to the square `[r F, S]`: piece after piece, each with its bands downwards."""
    size = len(x) // pieces
    return np.concatenate([x[p * size : (p + 1) * size].T for p in range(pieces)])


def window_attention(w, x, side, window, shift):
    """`[side, side, D]`, already normalised; positions of the moved grid see each other if they were neighbours."""
    table = w("attn.relative_position_bias_table")
    heads, dim = table.shape[1], x.shape[-1]
    size, out = dim // heads, np.zeros_like(x)
    qkv = w.linear("attn.qkv", x)
    for top in range(0, side, window):
        for left in range(0, side, window):
            # Where the window's positions come from, and in which part of the moved grid they lie.
            places = [(top + i, left + j) for i in range(window) for j in range(window)]
            origin = [((r + shift) % side, (c + shift) % side) for r, c in places]
            part = lambda p: 0 if p < side - window or not shift else (1 if p < side - shift else 2)
            region = [(part(r), part(c)) for r, c in places]
            picked = np.array([qkv[r, c] for r, c in origin])
            mixed = np.zeros((len(places), dim))
            for h in range(heads):
                q, k, v = (picked[:, n * dim + h * size : n * dim + (h + 1) * size] for n in range(3))
                logits = q @ k.T / np.sqrt(size)
                for a, (ra, ca) in enumerate(places):
                    for b, (rb, cb) in enumerate(places):
                        logits[a, b] += table[(ra - rb + window - 1) * (2 * window - 1) + ca - cb + window - 1, h]
                        if region[a] != region[b]:
                            logits[a, b] -= 100
                mixed[:, h * size : (h + 1) * size] = softmax(logits) @ v
            for (r, c), row in zip(origin, w.linear("attn.proj", mixed), strict=True):
                out[r, c] = row
    return out


def block(w, x, window, shifted):
    side = len(x)
    shift = window // 2 if shifted and side > window else 0
    x = x + window_attention(w, w.norm("norm1", x), side, min(window, side), shift)
    return x + w.linear("mlp.fc2", gelu(w.linear("mlp.fc1", w.norm("norm2", x))))


def merged(w, x):
    side = len(x) // 2
    four = np.zeros((side, side, 4 * x.shape[-1]))
    for r in range(side):
        for c in range(side):
            four[r, c] = np.concatenate([x[2 * r, 2 * c], x[2 * r + 1, 2 * c], x[2 * r, 2 * c + 1], x[2 * r + 1, 2 * c + 1]])
    return w.norm("norm", four) @ w("reduction.weight").T


def htsat(weights, prefix, frames, side, window):
    """`[T, F]` in decibels to `[D]`."""
    w = Named(weights, prefix)
    bands = frames.shape[1]
    x = (frames - w("bn0.running_mean")) / np.sqrt(w("bn0.running_var") + 1e-5) * w("bn0.weight") + w("bn0.bias")
    image = folded(stretched(x, side * (side // bands)), side // bands)
    kernel = w("patch_embed.proj.weight")[:, 0]
    p = kernel.shape[-1]
    x = np.zeros((side // p, side // p, len(kernel)))
    for r in range(side // p):
        for c in range(side // p):
            patch = image[r * p : (r + 1) * p, c * p : (c + 1) * p]
            x[r, c] = np.einsum("dij,ij->d", kernel, patch) + w("patch_embed.proj.bias")
    x, stage = w.norm("patch_embed.norm", x), 0
    while f"{prefix}layers.{stage}.blocks.0.norm1.weight" in weights:
        j = 0
        while f"{prefix}layers.{stage}.blocks.{j}.norm1.weight" in weights:
            x = block(w.at(f"layers.{stage}.blocks.{j}"), x, window, j % 2 == 1)
            j += 1
        if f"{prefix}layers.{stage}.downsample.reduction.weight" in weights:
            x = merged(w.at(f"layers.{stage}.downsample"), x)
        stage += 1
    x = w.norm("norm", x)
    return x.reshape(-1, x.shape[-1]).mean(0)


def laion_projection(weights, side, x):
    w = Named(weights, f"{side}_projection.")
    return w.linear("2", np.maximum(w.linear("0", x), 0))


def roberta(weights, prefix, ids, heads, eps):
    """The pooled first token of one text, `[D]`; positions count from 2 on, as padding has id and place 1."""
    w = Named(weights, prefix)
    x = np.array([w("embeddings.word_embeddings.weight")[t] + w("embeddings.position_embeddings.weight")[2 + i] for i, t in enumerate(ids)])
    x = w.norm("embeddings.LayerNorm", x + w("embeddings.token_type_embeddings.weight")[0], eps)
    layer, size = 0, x.shape[1] // heads
    while f"{prefix}encoder.layer.{layer}.output.dense.weight" in weights:
        y = w.at(f"encoder.layer.{layer}")
        q, k, v = (y.linear(f"attention.self.{n}", x) for n in ("query", "key", "value"))
        mixed = np.zeros_like(x)
        for h in range(heads):
            at = slice(h * size, (h + 1) * size)
            mixed[:, at] = softmax(q[:, at] @ k[:, at].T / np.sqrt(size)) @ v[:, at]
        x = y.norm("attention.output.LayerNorm", x + y.linear("attention.output.dense", mixed), eps)
        x = y.norm("output.LayerNorm", x + y.linear("output.dense", gelu(y.linear("intermediate.dense", x))), eps)
        layer += 1
    return np.tanh(w.linear("pooler.dense", x[0]))


def gpt2(weights, prefix, ids, heads):
    """The last token's state of one text, `[D]`."""
    w = Named(weights, prefix)
    x = np.array([w("wte.weight")[t] + w("wpe.weight")[i] for i, t in enumerate(ids)])
    layer, size = 0, x.shape[1] // heads
    linear = lambda y, name, of: of @ y(f"{name}.weight") + y(f"{name}.bias")
    while f"{prefix}h.{layer}.ln_1.weight" in weights:
        y = w.at(f"h.{layer}")
        q, k, v = np.split(linear(y, "attn.c_attn", y.norm("ln_1", x)), 3, axis=-1)
        mixed = np.zeros_like(x)
        for t in range(len(x)):  # a token sees itself and what came before
            for h in range(heads):
                at = slice(h * size, (h + 1) * size)
                mixed[t, at] = softmax(k[: t + 1, at] @ q[t, at] / np.sqrt(size)) @ v[: t + 1, at]
        x = x + linear(y, "attn.c_proj", mixed)
        hidden = linear(y, "mlp.c_fc", y.norm("ln_2", x))
        hidden = 0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
        x = x + linear(y, "mlp.c_proj", hidden)
        layer += 1
    return w.norm("ln_f", x)[-1]


def ms_projection(weights, prefix, x):
    """LN(y + W2 gelu(y)), y = W1 x."""
    w = Named(weights, prefix)
    y = w("linear1.weight") @ x
    return w.norm("layer_norm", y + w("linear2.weight") @ gelu(y))


def repeated(frames, length, silence):
    """As often as it fits whole, then digital silence."""
    out = np.concatenate([frames] * max(length // len(frames), 1))
    return np.concatenate([out, np.full((length - len(out), frames.shape[1]), silence)])
