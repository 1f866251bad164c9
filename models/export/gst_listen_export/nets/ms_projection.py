"""The projection on either side of MS-CLAP."""

from torch import nn


class Projection(nn.Module):
    """LN(y + W2 gelu(y)) of y = W1 x, without biases: `[B, of]` to `[B, to]`."""

    def __init__(self, of, to):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(of, to, bias=False), nn.Linear(to, to, bias=False)
        self.layer_norm = nn.LayerNorm(to)

    def forward(self, x):
        y = self.linear1(x)
        return self.layer_norm(y + self.linear2(nn.functional.gelu(y)))


def shapes(of, to):
    """`{name: shape}`."""
    return {"linear1.weight": (to, of), "linear2.weight": (to, to), "layer_norm.weight": (to,), "layer_norm.bias": (to,)}
