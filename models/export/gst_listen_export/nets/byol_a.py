"""BYOL-A's encoders: convolutions over a log-mel spectrogram, a vector per 8 (v1) or 4 (v2) frames.

v1: Niizumi et al., IJCNN 2021 (arXiv 2103.06695); v2: IEEE/ACM TASLP 2023 (arXiv 2204.07402).
"""

import torch
from torch import nn
from torch.nn import functional as F

BN_EPS = 1e-5


class ByolA(nn.Module):
    """`[B, 1, F, T]` normalised log-mel to `[B, floor(T / 2^blocks), d]`; no frame sees further than its neighbourhood.

    A block is convolution 3x3, batch norm, ReLU, max pooling 2x2 (a last odd frame is left out). A column's values are
    its bands one after the other, each with all channels. v2 gives the column itself before what the layers make of it.
    """

    def __init__(self, convolutions, layers, keep_column):
        """`convolutions`: (weight, bias) with the batch norm folded in; `layers`: two (weight, bias)."""
        super().__init__()
        self.convolutions = nn.ModuleList(self._conv(*c) for c in convolutions)
        self.layers = nn.ModuleList(self._linear(*layer) for layer in layers)
        self.keep_column = keep_column

    @staticmethod
    def _conv(weight, bias):
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        conv.weight.data, conv.bias.data = weight, bias
        return conv

    @staticmethod
    def _linear(weight, bias):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data, linear.bias.data = weight, bias
        return linear

    def forward(self, lms):
        x = lms
        for conv in self.convolutions:
            x = F.max_pool2d(F.relu(conv(x)), 2)
        column = x.permute(0, 3, 2, 1).flatten(2)  # [B, C, F', T'] -> [B, T', F' * C]
        y = column
        for layer in self.layers:
            y = F.relu(layer(y))
        return torch.cat([column, y], dim=2) if self.keep_column else y


def fold(weight, bias, gamma, beta, mean, var):
    """A convolution and the batch norm after it as one convolution; in float64, rounded once."""
    weight, bias, gamma, beta, mean, var = (x.double() for x in (weight, bias, gamma, beta, mean, var))
    factor = gamma / torch.sqrt(var + BN_EPS)
    return (weight * factor[:, None, None, None]).float(), ((bias - mean) * factor + beta).float()
