"""The encoder as it is exported: run on the whole, or on the next part of a stream with what it carries over from the last.

Each layer that looks along time lies behind a join: what it carries over from before, what has come, and what stands
behind the end. Given nothing but the log-mel, both ends are what its own padding would be, so that the graph is the encoder
run on the whole. While a stream goes on, nothing stands behind (`tail` has no columns): a layer gives only what it has
heard the end of, and its last columns are what it carries over. So each column goes through each layer once.
"""

import torch
from torch import nn
from torch.nn import functional as F

TAIL = "tail"


def names(count):
    """Input and output of each carried state."""
    return [(f"before_{i}", f"after_{i}") for i in range(count)]


class Grow(torch.autograd.Function):
    """[1 or B, 1 or C, 1 or F, n] as [B, C, F, n]; in the graph the sizes but for the batch are constants."""

    @staticmethod
    def forward(ctx, x, batch, channels, rows):
        return x.expand(int(batch), channels, rows, -1)

    @staticmethod
    def symbolic(g, x, batch, channels, rows):
        rest = g.op("Constant", value_t=torch.tensor([channels, rows, 1]))
        return g.op("Expand", x, g.op("Concat", batch, rest, axis_i=0))


class Carrying(nn.Module):
    """`Encoder` (batch norms folded) with its states as inputs and outputs.

    Called with the log-mel [B, 1, 80, T], the columns behind the end [1, 1, 1, n] and the states [B or 1, C or 1, F or 1, n];
    gives the tokens and the states that the next part is called with.
    """

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        # Columns that stand before the start, for each state, and at most behind the end: zeros, as many as layers pad.
        skips = [1 if getattr(block, "add", False) else 0 for block in encoder.front]
        self.starts = (
            [1] * (len(encoder.front) + sum(skips)) + [2] * len(encoder.temporal) + [encoder.wide.reach[0]] * 3
        )
        if encoder.memory is not None:
            self.starts += [encoder.memory.reach[0]] * 2
        self.tail = max(2, encoder.wide.reach[1])

    def ends(self):
        """What stands before the start and behind the end: `tail` and the states to begin with."""
        return [torch.zeros(1, 1, 1, n) for n in (self.tail, *self.starts)]

    def forward(self, mel, tail, *before):
        encoder, before, after = self.encoder, list(before), []
        batch = torch._shape_as_tensor(mel)[:1]

        def join(x, keep, behind=0):
            channels, rows = int(x.shape[1]), int(x.shape[2])
            parts = [Grow.apply(before[len(after)], batch, channels, rows), x]
            if behind:
                parts.append(Grow.apply(tail[..., :behind], batch, channels, rows))
            x = torch.cat(parts, 3)
            after.append(x[..., -keep:])
            return x

        def along(conv, x):
            """A convolution whose padding over time is there already."""
            pad = (conv.padding[0], 0)
            return F.conv2d(x, conv.weight, conv.bias, conv.stride, pad, conv.dilation, conv.groups)

        def context(layer, x):
            first, behind = layer.reach
            weight = torch.exp(6 * torch.tanh(layer.key(x) / 6))
            mean = lambda y: layer.box(join(y, first + behind, behind))
            y = layer.join(mean(weight * layer.value(x)) / mean(weight).clamp(min=1e-6))
            # What comes behind a column is not there yet when it comes: then it waits too.
            return F.relu((join(x, first + behind, behind)[..., first:-behind] if behind else x) + y)

        x = mel
        for i in range(3):
            x = F.relu(along(encoder.front[i][0], join(x, 1)))
        for block in encoder.front[3:]:
            wide, deep, out = block.body
            y = out(F.relu(along(deep[0], join(wide(x), 2, 1))))
            x = join(x, 2, 1)[..., 1:-1] + y if block.add else y
        x = encoder.collapse(x)
        for block in encoder.temporal:
            z = join(x, 4, 2)
            x = F.relu(z[..., 2:-2] + block[1](F.relu(along(block[0][0], z))))
        x = context(encoder.wide, x)
        if encoder.memory is not None:
            x = context(encoder.memory, x)
        return encoder.out(x.squeeze(2).transpose(1, 2)), *after
