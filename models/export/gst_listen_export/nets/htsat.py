"""HTS-AT (arXiv 2202.00874): a Swin transformer (arXiv 2103.14030) on log-mel frames that are folded into a square.

Names of parameters are those of the checkpoints of LAION-CLAP and MS-CLAP. Sizes come from the checkpoint:

    frames [B, 1, T, F] -> batch norm per band -> T stretched to S r frames (bicubic, ends on ends) -> cut into r pieces of S
    frames, one above the other: a square of S = r F -> patches p x p -> stages of window attention, each but the last
    halving the grid -> layer norm -> mean over all positions: [B, D]

Time is stretched by integer arithmetic in the graph, so that a frame's place is exact for any T up to S r.
"""

from dataclasses import dataclass

import torch
from torch import nn

CUBIC = -0.75  # the kernel's a, as PyTorch has it
BLOCKED = -100.0  # added to the logits of positions that lie apart: Swin's value
LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True)
class Sizes:
    """What a checkpoint's shapes say."""

    bands: int  # F
    patch: int
    width: int  # of the first stage; twice as much in each that follows
    depths: tuple
    heads: tuple
    window: int
    side: int  # S
    mlp: int  # ratio

    @property
    def ratio(self):
        return self.side // self.bands

    @property
    def longest(self):
        """Frames that fill the square."""
        return self.side * self.ratio

    @property
    def dim(self):
        return self.width << (len(self.depths) - 1)

    def shapes(self):
        """`{name: shape}` of every parameter."""
        f, w = self.bands, self.width
        out = {f"bn0.{k}": (f,) for k in ("weight", "bias", "running_mean", "running_var")}
        out |= {"patch_embed.proj.weight": (w, 1, self.patch, self.patch), "patch_embed.proj.bias": (w,)}
        out |= norm("patch_embed.norm", w)
        for i, depth in enumerate(self.depths):
            for j in range(depth):
                out |= self.block(f"layers.{i}.blocks.{j}", w << i, self.heads[i], min(self.window, self.side // self.patch >> i))
            if i + 1 < len(self.depths):
                out |= norm(f"layers.{i}.downsample.norm", 4 * w << i)
                out[f"layers.{i}.downsample.reduction.weight"] = (2 * w << i, 4 * w << i)
        return out | norm("norm", self.dim)

    def block(self, name, d, heads, window):
        linear = lambda n, to, of: {f"{name}.{n}.weight": (to, of), f"{name}.{n}.bias": (to,)}
        return (norm(f"{name}.norm1", d) | norm(f"{name}.norm2", d) | linear("attn.qkv", 3 * d, d) | linear("attn.proj", d, d)
                | linear("mlp.fc1", self.mlp * d, d) | linear("mlp.fc2", d, self.mlp * d)
                | {f"{name}.attn.relative_position_bias_table": ((2 * window - 1) ** 2, heads)})


def norm(name, d):
    return {f"{name}.weight": (d,), f"{name}.bias": (d,)}


def stretch(x, length):
    """`[B, 1, T, F]` to `length` frames: cubic convolution (a = -0.75), first on first and last on last, edges repeated."""
    frames = x.shape[2]
    place = torch.arange(length, dtype=torch.int64) * (frames - 1)
    first = torch.div(place, length - 1, rounding_mode="floor")
    t = (place - first * (length - 1)).to(x.dtype) / (length - 1)
    near = lambda d: ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1  # 0 <= d <= 1
    far = lambda d: ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC  # 1 <= d <= 2
    weights = (far(t + 1), near(t), near(1 - t), far(2 - t))
    total = 0
    for offset, weight in enumerate(weights):
        index = torch.clamp(first + (offset - 1), min=0)
        index = torch.minimum(index, torch.zeros_like(index) + (frames - 1))
        total = total + x.index_select(2, index) * weight[:, None]
    return total


class Attention(nn.Module):
    """Self-attention among the positions of a window, with a bias for each distance."""

    def __init__(self, dim, heads, window):
        super().__init__()
        self.dim, self.heads, self.scale, self.positions = dim, heads, (dim // heads) ** -0.5, window * window
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        at = torch.arange(window * window)
        row, column = at // window, at % window
        down, right = row[:, None] - row[None, :] + window - 1, column[:, None] - column[None, :] + window - 1
        self.register_buffer("distance", down * (2 * window - 1) + right, persistent=False)

    def forward(self, x, mask):
        """`x` `[B windows, N, D]`; `mask` `[windows, N, N]`, added, or None."""
        n, d = self.positions, self.dim
        q, k, v = self.qkv(x).reshape(-1, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        logits = (q * self.scale) @ k.transpose(-2, -1)
        logits = logits + self.relative_position_bias_table[self.distance].permute(2, 0, 1)
        if mask is not None:
            windows = len(mask)
            logits = (logits.reshape(-1, windows, self.heads, n, n) + mask[:, None]).reshape(-1, self.heads, n, n)
        return self.proj((logits.softmax(-1) @ v).transpose(1, 2).reshape(-1, n, d))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention in windows of a grid `side` x `side`; every second block moves the windows by half of one."""

    def __init__(self, dim, heads, side, window, shifted, mlp):
        super().__init__()
        self.dim, self.side, self.window = dim, side, min(window, side)
        self.shift = window // 2 if shifted and side > window else 0
        self.norm1, self.norm2 = nn.LayerNorm(dim, LAYER_NORM_EPS), nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.attn, self.mlp = Attention(dim, heads, self.window), Mlp(dim, mlp * dim)
        self.register_buffer("mask", self.apart() if self.shift else None, persistent=False)

    def apart(self):
        """`[windows, N, N]`: where moving the windows around the edge put positions side by side that are not neighbours."""
        at = torch.arange(self.side)
        part = (at >= self.side - self.window).long() + (at >= self.side - self.shift).long()
        region = self.cut((3 * part[:, None] + part[None, :]).reshape(1, self.side, self.side, 1), 1)[..., 0]
        return torch.where(region[:, :, None] == region[:, None, :], 0.0, BLOCKED)

    def cut(self, grid, dim):
        """`[B, side, side, D]` to `[B windows, N, D]`."""
        n, w = self.side // self.window, self.window
        return grid.reshape(-1, n, w, n, w, dim).permute(0, 1, 3, 2, 4, 5).reshape(-1, w * w, dim)

    def join(self, windows):
        n, w, d = self.side // self.window, self.window, self.dim
        return windows.reshape(-1, n, n, w, w, d).permute(0, 1, 3, 2, 4, 5).reshape(-1, self.side, self.side, d)

    def forward(self, x):
        """`[B, side, side, D]`."""
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = self.join(self.attn(self.cut(y, self.dim), self.mask))
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class Merging(nn.Module):
    """Four neighbours become one of twice the width: above left, below left, above right, below right."""

    def __init__(self, dim):
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * dim, LAYER_NORM_EPS), nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x):
        corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(corners, -1)))


class Stage(nn.Module):
    def __init__(self, sizes, i):
        super().__init__()
        dim, side = sizes.width << i, sizes.side // sizes.patch >> i
        self.blocks = nn.Sequential(*(Block(dim, sizes.heads[i], side, sizes.window, j % 2 == 1, sizes.mlp) for j in range(sizes.depths[i])))
        self.downsample = Merging(dim) if i + 1 < len(sizes.depths) else nn.Identity()

    def forward(self, x):
        return self.downsample(self.blocks(x))


class Patches(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.proj, self.norm = nn.Conv2d(1, sizes.width, sizes.patch, sizes.patch), nn.LayerNorm(sizes.width, LAYER_NORM_EPS)

    def forward(self, image):
        return self.norm(self.proj(image).permute(0, 2, 3, 1))


class Htsat(nn.Module):
    """`[B, 1, T, F]`, decibels, `T` up to `sizes.longest`, to `[B, D]`."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes
        self.bn0, self.patch_embed = nn.BatchNorm2d(sizes.bands), Patches(sizes)
        self.layers = nn.Sequential(*(Stage(sizes, i) for i in range(len(sizes.depths))))
        self.norm = nn.LayerNorm(sizes.dim, LAYER_NORM_EPS)

    def forward(self, frames):
        x = self.bn0(frames.transpose(1, 3)).transpose(1, 3)
        x = stretch(x, self.sizes.longest)
        # [B, 1, r S, F] -> r pieces of [S, F] -> rows r F, columns S
        x = x.reshape(-1, self.sizes.ratio, self.sizes.side, self.sizes.bands).permute(0, 1, 3, 2)
        x = self.layers(self.patch_embed(x.reshape(-1, 1, self.sizes.side, self.sizes.side)))
        return self.norm(x).mean((1, 2))
