"""M2D-CLAP's heads and text towers in float64, from the papers, head by head."""
import math

import numpy as np

from .vit import block, gelu, layer_norm, softmax


def head(weights, tokens):
    """All tokens `[N, D]` to the embedding, at unit length; by what the tensors are, 2024 or 2025."""
    w = {k: np.asarray(v, np.float64) for k, v in weights.items()}
    if "audio_proj.sem_token" in w:
        x, k = np.concatenate([w["audio_proj.sem_token"][0], tokens]), 0
        while f"audio_proj.sem_blocks.{k}.norm1.weight" in w:
            x = block(w, f"audio_proj.sem_blocks.{k}", x, 1, 1e-5)
            k += 1
        y = layer_norm(x[0], w["audio_proj.norm.weight"], w["audio_proj.norm.bias"], 1e-5)
    else:
        y = np.maximum(w["audio_proj.0.weight"] @ tokens.mean(axis=0) + w["audio_proj.0.bias"], 0)
        y = w["audio_proj.2.weight"] @ y + w["audio_proj.2.bias"]
    return y / np.linalg.norm(y)


def text(weights, ids, heads, mean):
    """One text's ids (no padding) through a BERT; at unit length."""
    w = {k: np.asarray(v, np.float64) for k, v in weights.items()}
    norm = lambda name, x: layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"], 1e-12)
    linear = lambda name, x: x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
    x = np.array([w["embeddings.word_embeddings.weight"][i] + w["embeddings.position_embeddings.weight"][n] for n, i in enumerate(ids)])
    x, k = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0]), 0
    while f"encoder.layer.{k}.output.dense.weight" in w:
        name = f"encoder.layer.{k}"
        q, key, v = (linear(f"{name}.attention.self.{p}", x) for p in ("query", "key", "value"))
        size, mixed = x.shape[1] // heads, np.empty_like(x)
        for h in range(heads):
            at = slice(h * size, (h + 1) * size)
            mixed[:, at] = softmax(q[:, at] @ key[:, at].T / math.sqrt(size)) @ v[:, at]
        x = norm(f"{name}.attention.output.LayerNorm", x + linear(f"{name}.attention.output.dense", mixed))
        x = norm(f"{name}.output.LayerNorm", x + linear(f"{name}.output.dense", gelu(linear(f"{name}.intermediate.dense", x))))
        k += 1
    y = x.mean(axis=0) if mean else x[0]
    return y / np.linalg.norm(y)
