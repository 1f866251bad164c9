"""BYOL-A in float64, from its papers (arXiv 2103.06695, 2204.07402), with loops."""
import numpy as np


def relu(x):
    return np.maximum(x, 0.0)


def convolution(x, weight, bias):
    """`[C, H, W]` with a border of zeros: out[o, y, x] = b + sum over c, i, j of w[o, c, i, j] in[c, y + i - 1, x + j - 1]."""
    _, height, width = x.shape
    framed = np.zeros((x.shape[0], height + 2, width + 2))
    framed[:, 1:-1, 1:-1] = x
    out = np.tile(bias[:, None, None], (1, height, width))
    for i in range(3):
        for j in range(3):
            out += np.einsum("oc,chw->ohw", weight[:, :, i, j], framed[:, i : i + height, j : j + width])
    return out


def batch_norm(x, gamma, beta, mean, var):
    shape = (-1, 1, 1)
    return (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-5) * gamma.reshape(shape) + beta.reshape(shape)


def pool(x):
    """The largest of each 2 x 2; a last odd row or column is left out."""
    h, w = x.shape[1] // 2, x.shape[2] // 2
    return np.array([[[c[2 * y : 2 * y + 2, 2 * t : 2 * t + 2].max() for t in range(w)] for y in range(h)] for c in x])


def frames(weights, window):
    """A normalised window `[T, 64]` to a vector per 8 (v1) or 4 (v2) frames. `weights`: the checkpoint's, by its names."""
    w = {k: np.asarray(v, np.float64) for k, v in weights.items()}
    v1 = "features.8.weight" in w
    x = window.T[None]
    for block in (0, 4, 8) if v1 else (0, 4):
        x = convolution(x, w[f"features.{block}.weight"], w[f"features.{block}.bias"])
        norm = f"features.{block + 1}"
        x = pool(relu(batch_norm(x, *(w[f"{norm}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")))))
    channels, bands, columns = x.shape
    out = []
    for t in range(columns):
        column = np.array([x[c, m, t] for m in range(bands) for c in range(channels)])
        y = column
        for layer in ("fc.0", "fc.3"):
            y = relu(w[f"{layer}.weight"] @ y + w[f"{layer}.bias"])
        out.append(y if v1 else np.concatenate([column, y]))
    return np.array(out)


def clip(vectors):
    """A window's one vector: the mean over time plus the maximum over time."""
    return vectors.mean(axis=0) + vectors.max(axis=0)
