"""The transformer of M2D's line in float64, from its papers, token by token and head by head."""
import math

import numpy as np

ERF = np.vectorize(math.erf, otypes=[np.float64])


def layer_norm(x, weight, bias, eps):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + eps) * weight + bias


def gelu(x):
    return 0.5 * x * (1 + ERF(x / math.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(w, name, x, heads):
    """Rows of `qkv` are q, k, v; each has the heads one after the other."""
    n, d = x.shape
    size = d // heads
    qkv = x @ w[f"{name}.qkv.weight"].T + w[f"{name}.qkv.bias"]
    out = np.empty((n, d))
    for h in range(heads):
        q, k, v = (qkv[:, part * d + h * size : part * d + (h + 1) * size] for part in range(3))
        out[:, h * size : (h + 1) * size] = softmax(q @ k.T / math.sqrt(size)) @ v
    return out @ w[f"{name}.proj.weight"].T + w[f"{name}.proj.bias"]


def block(w, name, x, heads, eps):
    x = x + attention(w, f"{name}.attn", layer_norm(x, w[f"{name}.norm1.weight"], w[f"{name}.norm1.bias"], eps), heads)
    y = layer_norm(x, w[f"{name}.norm2.weight"], w[f"{name}.norm2.bias"], eps)
    y = gelu(y @ w[f"{name}.mlp.fc1.weight"].T + w[f"{name}.mlp.fc1.bias"])
    return x + y @ w[f"{name}.mlp.fc2.weight"].T + w[f"{name}.mlp.fc2.bias"]


def grid(weights, window, columns, eps=1e-6):
    """A normalised window `[T, 80]` to its grid of tokens `[rows, floor(T / pw), D]`. `columns`: of the trained length."""
    w = {k: np.asarray(v, np.float64) for k, v in weights.items()}
    kernel = w["patch_embed.proj.weight"][:, 0]  # [D, ph, pw]
    dim, high, wide = kernel.shape
    rows, here = 80 // high, len(window) // wide
    tokens = [w["cls_token"][0, 0] + w["pos_embed"][0, 0]]
    for f in range(rows):
        for t in range(here):
            patch = window[t * wide : (t + 1) * wide, f * high : (f + 1) * high].T
            token = (kernel * patch).sum(axis=(1, 2)) + w["patch_embed.proj.bias"]
            tokens.append(token + w["pos_embed"][0, 1 + f * columns + t])
    x, k = np.array(tokens), 0
    while f"blocks.{k}.norm1.weight" in w:
        x = block(w, f"blocks.{k}", x, dim // 64, eps)
        k += 1
    x = layer_norm(x, w["norm.weight"], w["norm.bias"], eps)[1:]
    return np.array([[x[f * here + t] for t in range(here)] for f in range(rows)])


def stacked(tokens):
    """`[rows, columns, D]` to `[columns, rows * D]`: row 0's values, then row 1's, …"""
    return np.array([np.concatenate([tokens[f, t] for f in range(len(tokens))]) for t in range(tokens.shape[1])])


def flat_mean(tokens):
    """The mean over the rows of each column."""
    return np.array([np.mean([tokens[f, t] for f in range(len(tokens))], axis=0) for t in range(tokens.shape[1])])


def by_time(tokens):
    """`[columns * rows, D]`: a column's rows one after the other, as `output=tokens` gives them."""
    return np.array([tokens[f, t] for t in range(tokens.shape[1]) for f in range(len(tokens))])


def tag(head, clip):
    """Scores before the sigmoid: a batch norm without weights (eps 1e-5), then a layer."""
    w = {k: np.asarray(v, np.float64) for k, v in head.items()}
    x = (clip - w["module.head.norm.running_mean"]) / np.sqrt(w["module.head.norm.running_var"] + 1e-5)
    return w["module.head.mlp.mlp.0.weight"] @ x + w["module.head.mlp.mlp.0.bias"]
