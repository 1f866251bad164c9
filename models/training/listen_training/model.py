"""The audio encoder, its pooling head, and the text tower."""

import math

import torch
from torch import nn
from torch.nn import functional as F

COLUMN = 8


def unit(outs, kernel, stride=1, groups=1, ins=None, act=True):
    """Convolution, batch norm (folded at export), ReLU."""
    ins = ins or outs
    pad = (kernel[0] // 2, kernel[1] // 2) if isinstance(kernel, tuple) else kernel // 2
    layers = [nn.Conv2d(ins, outs, kernel, stride, pad, groups=groups, bias=False), nn.BatchNorm2d(outs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if act else nn.Sequential(*layers)


class Inverted(nn.Module):
    """Inverted residual block: expand, depthwise, project."""

    def __init__(self, ins, outs, expand, stride=1, kernel=3):
        super().__init__()
        wide = ins * expand
        self.body = nn.Sequential(
            unit(wide, 1, ins=ins), unit(wide, kernel, stride, groups=wide), unit(outs, 1, ins=wide, act=False)
        )
        self.add = stride == 1 and ins == outs

    def forward(self, x):
        y = self.body(x)
        return x + y if self.add else y


class Context(nn.Module):
    """What stands out within `before` columns before each and `after` behind: a weighted mean over a sliding box.

    The weights are exp(key) channel by channel, as in AFT-local (Zhai et al. 2021, arXiv 2105.14103); outside the input
    they are 0, so that a cut differs from the whole only within the reach of the cut.
    """

    def __init__(self, width, before, after):
        super().__init__()
        self.key, self.value = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1, bias=False)
        self.join = unit(width, 1, act=False)
        nn.init.zeros_(self.key.weight)
        nn.init.zeros_(self.key.bias)
        self.reach = before, after
        self.box = nn.AvgPool2d((1, before + after + 1), 1)

    def forward(self, x):
        weight = torch.exp(6 * torch.tanh(self.key(x) / 6))
        mean = lambda y: self.box(F.pad(y, (*self.reach, 0, 0)))
        return self.join(mean(weight * self.value(x)) / mean(weight).clamp(min=1e-6))


class Encoder(nn.Module):
    """[B, 1, 80, T] normalised log-mel to tokens [B, T / 8, dim] in the text's space.

    Only operations of bounded reach over time, so that a stream can be cut: how far a token sees, `reach_of` says.
    """

    def __init__(self, dim=256, widths=(16, 32, 64, 96, 160), trunk=256, temporal=2, reach=6, memory=24):
        super().__init__()
        a, b, c, d, e = widths
        self.front = nn.Sequential(
            unit(a, 3, 2, ins=1),  # 40 x T/2
            unit(b, 3, 2, ins=a),  # 20 x T/4
            unit(c, 3, 2, ins=b),  # 10 x T/8
            Inverted(c, d, 3, stride=(2, 1)),  # 5 x T/8
            Inverted(d, d, 3),
            Inverted(d, d, 3),
            Inverted(d, e, 3, stride=(2, 1)),  # 3 x T/8
            Inverted(e, e, 3),
        )
        self.collapse = nn.Sequential(
            nn.Conv2d(e, trunk, (3, 1), bias=False), nn.BatchNorm2d(trunk), nn.ReLU(inplace=True)
        )
        self.temporal = nn.ModuleList(
            nn.Sequential(unit(trunk, (1, 5), groups=trunk), unit(trunk, 1, act=False)) for _ in range(temporal)
        )
        self.wide = Context(trunk, reach, reach)
        self.memory = Context(trunk, memory, 0) if memory else None
        if memory:
            # Nothing at first.
            nn.init.zeros_(self.memory.join[1].weight)
        self.out = nn.Linear(trunk, dim)

    def features(self, x):
        """[B, 1, 80, T] to [B, T / 8, trunk]."""
        x = self.collapse(self.front(x))
        for block in self.temporal:
            x = F.relu(x + block(x))
        x = F.relu(x + self.wide(x))
        if self.memory is not None:
            x = F.relu(x + self.memory(x))
        return x.squeeze(2).transpose(1, 2)

    def forward(self, x):
        return self.out(self.features(x))


def reach_of(config):
    """How many frames before its own 8 and behind them a token sees at most."""
    # Five convolutions of 3 columns, `temporal` of 5, and the boxes; three of stride 2 see the column itself and 7 frames before.
    after = COLUMN * (5 + 2 * config.temporal + config.reach)
    return 7 + after + COLUMN * config.memory, after


class Head(nn.Module):
    """Pools tokens [B, N, dim] to [B, dim] with one learned query; one token alone stays as it is (up to length)."""

    def __init__(self, dim=256):
        super().__init__()
        self.key = nn.Linear(dim, 1)

    def forward(self, tokens):
        weight = torch.softmax(self.key(tokens), dim=1)
        return F.normalize((weight * tokens).sum(dim=1), dim=-1)


class TextTower(nn.Module):
    """Token ids and mask [B, N] to unit vectors [B, dim] in the space of the sentence encoder's linear map."""

    def __init__(self, vocab, width=128, inner=192, layers=2, heads=4, teacher=384, length=32):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.widen = nn.Linear(width, inner)
        self.place = nn.Parameter(torch.zeros(length, inner))
        nn.init.normal_(self.place, std=0.02)
        self.blocks = nn.ModuleList(TextBlock(inner, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(inner)
        self.out = nn.Linear(2 * inner, teacher)
        self.map = None  # [teacher, dim] and its bias, set when the audio side is trained

    def sentence(self, ids, mask):
        """[B, N] to [B, 384]: what the sentence encoder would give, not normalised."""
        x = self.widen(self.embed(ids)) + self.place[: ids.shape[1]]
        keep = mask.to(x.dtype)
        bias = (1.0 - keep)[:, None, None, :] * -1e4
        for block in self.blocks:
            x = block(x, bias)
        x = self.norm(x)
        mean = (x * keep[..., None]).sum(1) / keep.sum(1, keepdim=True).clamp(min=1.0)
        top = (x - (1.0 - keep)[..., None] * 1e4).amax(1)
        return self.out(torch.cat([mean, top], dim=-1))

    def forward(self, ids, mask):
        x = F.normalize(self.sentence(ids, mask), dim=-1)
        return F.normalize(self.map(x), dim=-1)


class TextBlock(nn.Module):
    """One transformer layer, normalised before."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x, bias):
        batch, n, width = x.shape
        q, k, v = self.qkv(self.before(x)).view(batch, n, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weight = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(width // self.heads) + bias, dim=-1)
        x = x + self.join((weight @ v).transpose(1, 2).reshape(batch, n, width))
        return x + self.down(F.relu(self.up(self.between(x))))


class Student(nn.Module):
    """Everything of the audio side that is trained together."""

    def __init__(self, config, text_mean, text_map):
        super().__init__()
        dim = config.dim
        self.encoder = Encoder(dim, config.widths, config.trunk, config.temporal, config.reach, config.memory)
        self.head = Head(dim)
        # Text: a linear map of the sentence encoder's space, begun as its whitened principal axes.
        self.map = nn.Linear(text_map.shape[0], dim)
        with torch.no_grad():
            self.map.weight.copy_(torch.as_tensor(text_map.T))
            self.map.bias.copy_(torch.as_tensor(-text_mean @ text_map))
        self.scale = nn.Parameter(torch.tensor(math.log(12.0)))
        self.bias = nn.Parameter(torch.tensor(-6.0))
        self.teacher_bias = nn.Parameter(torch.tensor(-6.0))
        self.recall = nn.Linear(config.trunk, 1024)

    def text(self, sentence):
        """Sentence vectors [..., 384] to unit vectors [..., dim]."""
        return F.normalize(self.map(sentence), dim=-1)
