"""YAMNet's front end in float64, and an int8 network in whole numbers: written from the format's description, without ONNX."""
import numpy as np


class FrontEnd:
    """400 samples under a periodic Hann window, transform of 512, magnitude, triangles linear in HTK mel, ln(x + 0.001)."""

    rate, window, transform, hop, bands = 16000, 400, 512, 160, 64

    def __init__(self):
        mel = lambda f: 1127 * np.log(1 + f / 700)
        edges = np.linspace(mel(125.0), mel(7500.0), self.bands + 2)
        self.filters = np.zeros((self.bands, self.transform // 2 + 1))
        for b in range(self.bands):
            for k in range(1, self.transform // 2 + 1):  # the bin of 0 Hz is left out
                at = mel(k * self.rate / self.transform)
                self.filters[b, k] = max(0.0, min((at - edges[b]) / (edges[b + 1] - edges[b]), (edges[b + 2] - at) / (edges[b + 2] - edges[b + 1])))
        n, k = np.arange(self.window), np.arange(self.transform // 2 + 1)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / self.window)
        self.basis = hann[:, None] * np.exp(-2j * np.pi * (np.outer(n, k) % self.transform) / self.transform)

    def __call__(self, samples):
        count = 1 + (len(samples) - self.window) // self.hop
        frames = np.array([samples[t * self.hop : t * self.hop + self.window] for t in range(count)], np.float64)
        return np.log(np.abs(frames @ self.basis) @ self.filters.T + 0.001)


def near(values):
    return np.rint(values).astype(np.int64)


def limits(out, relu6):
    """The whole numbers that a tensor of scale and zero `out` may have."""
    scale, zero = out
    return (max(-128, zero), min(127, zero + int(np.rint(6 / scale)))) if relu6 else (-128, 127)


def convolution(q, given, weights, scales, bias, stride, out, relu6, depthwise=False):
    """`q` [T, F, C] of scale and zero `given` → [T', F', C'], padding SAME; weights [C', kT, kF, C] (depthwise: [C, kT, kF, 1])."""
    kernel = weights.shape[1:3]
    size = [-(-q.shape[i] // stride) for i in (0, 1)]
    pads = [max((size[i] - 1) * stride + kernel[i] - q.shape[i], 0) for i in (0, 1)]
    x = np.pad(q.astype(np.int64) - given[1], [(pads[0] // 2, pads[0] - pads[0] // 2), (pads[1] // 2, pads[1] - pads[1] // 2), (0, 0)])
    total = np.tile(bias.astype(np.int64), (*size, 1))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            part = x[i : i + (size[0] - 1) * stride + 1 : stride, j : j + (size[1] - 1) * stride + 1 : stride]
            total += part * weights[:, i, j, 0].astype(np.int64) if depthwise else part @ weights[:, i, j].astype(np.int64).T
    return np.clip(near(total * (given[0] * scales / out[0])) + out[1], *limits(out, relu6))


def network(layers, mel):
    """Scores [classes] of a window [T, F]; `layers` as fixtures/tiny_tflite.py has them."""
    scale, zero = layers["input"]
    q, at = np.clip(near(mel.astype(np.float32) * (np.float32(1) / np.float32(scale))) + zero, -128, 127)[..., None], layers["input"]
    for layer in layers["convolutions"]:
        q = convolution(q, at, layer["weights"], layer["scales"], layer["bias"], layer["stride"], layer["out"], True, layer["depthwise"])
        at = layer["out"]
    mean = (q - at[1]).mean(axis=(0, 1)) * at[0]
    q, at = np.clip(near(mean / layers["mean"][0]) + layers["mean"][1], -128, 127), layers["mean"]
    dense = layers["dense"]
    total = dense["weights"].astype(np.int64) @ (q - at[1]) + dense["bias"]
    q = np.clip(near(total * (at[0] * dense["scales"] / dense["out"][0])) + dense["out"][1], -128, 127)
    scores = 1 / (1 + np.exp(-(q - dense["out"][1]) * dense["out"][0]))
    return np.clip(near(256 * scores), 0, 255) / 256
