"""The heads of M2D-CLAP: from an encoder's tokens `[B, N, D]` to the space of the texts `[B, E]`."""

import torch
from torch import nn

from gst_listen_export.nets.vit import Block

EPS = 1e-5  # of the attention head's norms; the encoder's have 1e-6


class MeanMlp(nn.Module):
    """M2D-CLAP 2024 (arXiv 2406.02032): the mean of all tokens, then two layers with a ReLU between."""

    def __init__(self, dim, hidden, out):
        super().__init__()
        self.audio_proj = nn.ModuleDict({"0": nn.Linear(dim, hidden), "2": nn.Linear(hidden, out)})

    def forward(self, tokens):
        return self.audio_proj["2"](torch.relu(self.audio_proj["0"](tokens.mean(dim=1))))


class AttentionPool(nn.Module):
    """M2D-CLAP 2025 (arXiv 2503.22104): a learned token before all others, blocks with one head, that token's norm."""

    def __init__(self, dim, depth, hidden):
        super().__init__()
        self.sem_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.sem_blocks = nn.ModuleList(Block(dim, 1, hidden, EPS) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, EPS)

    def forward(self, tokens):
        x = torch.cat([self.sem_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        for block in self.sem_blocks:
            x = block(x)
        return self.norm(x[:, 0])
