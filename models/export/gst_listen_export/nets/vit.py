"""The vision transformer over log-mel patches that M2D and all that grew from it use.

Niizumi et al., M2D (arXiv 2210.14648, 2404.06095); the transformer is that of arXiv 2010.11929 with pre-norm blocks.
"""

import torch
from torch import nn
from torch.nn import functional as F

EPS = 1e-6  # of the encoder's layer norms; the heads of 2025 have 1e-5
HEAD = 64  # values of one attention head


class Block(nn.Module):
    """`x += attention(norm1(x))`, `x += mlp(norm2(x))`, on `[B, N, D]`."""

    def __init__(self, dim, heads, hidden, eps=EPS):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps), nn.LayerNorm(dim, eps)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, hidden), "fc2": nn.Linear(hidden, dim)})

    def attention(self, x):
        dim = x.shape[2]
        # [B, N, 3 D] -> three of [B, heads, N, D / heads]
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.attn["qkv"](x).split(dim, dim=2))
        weights = torch.softmax((q * (dim // self.heads) ** -0.5) @ k.transpose(2, 3), dim=3)
        return self.attn["proj"]((weights @ v).transpose(1, 2).flatten(2))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class PatchTransformer(nn.Module):
    """`[B, 1, F, T]` normalised log-mel to tokens `[B, rows * floor(T / pw), D]`, frequency-major: index = f * columns + t.

    Frames that fill no patch are left out. A shorter input takes the first columns of each row of the positions.
    Parameters have the names of the checkpoints.
    """

    def __init__(self, rows, columns, patch, dim, depth, hidden):
        super().__init__()
        self.rows, self.columns = rows, columns
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + rows * columns, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, dim, patch, stride=patch)})
        self.blocks = nn.ModuleList(Block(dim, dim // HEAD, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, EPS)

    def forward(self, lms):
        x = self.patch_embed["proj"](lms)  # [B, D, rows, columns]
        grid = self.pos_embed[:, 1:].unflatten(1, (self.rows, self.columns))[:, :, : x.shape[3]]
        x = (x.permute(0, 2, 3, 1) + grid).flatten(1, 2)
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(x.shape[0], -1, -1)
        x = torch.cat([cls, x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 1:]
