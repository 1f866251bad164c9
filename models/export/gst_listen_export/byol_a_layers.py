"""Finds BYOL-A's layers in a checkpoint by what they are: kinds, shapes and order; names may be any.

v1 (arXiv 2103.06695): three blocks, a linear layer `[d, 8 C]`, another `[d, d]`. v2 (arXiv 2204.07402): two blocks, a linear layer
`[h, 16 C]`, another `[d, h]`, and the block's own column kept before them. A block is a convolution 3x3 with a bias and the batch norm
behind it. v1's released files call them `features.0` .. `features.9`, `fc.0`, `fc.3`; what v2's are called is written nowhere that we
may read, and need not be known: six layers of these shapes fit together in one way, and the order tells the batch norms apart.
"""

import fnmatch
import re
from dataclasses import dataclass

from gst_listen_export.checkpoint import some, training_only
from gst_listen_export.errors import ExportError

BANDS = 64
CONVOLUTION, NORM, LINEAR = "a convolution 3x3", "a batch norm", "a linear layer"
NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
FIRST = "features.0.weight [C, 1, 3, 3]"


@dataclass
class Layers:
    """Names of the layers, from the sound to the embedding, and the shapes of their tensors."""

    convolutions: list
    norms: list
    linears: list
    shapes: dict
    dim: int

    @property
    def blocks(self):
        return len(self.convolutions)

    @property
    def version(self):
        return 1 if self.blocks == 3 else 2


def modules(checkpoint):
    """`{layer: {part: shape}}` in the file's order, without what is training's or the user's to ignore."""
    left_out, found = [*training_only(), *checkpoint.ignored], {}
    for name, tensor in checkpoint.tensors.items():
        if not any(fnmatch.fnmatchcase(name, p) for p in left_out):
            layer, _, part = name.rpartition(".")
            found.setdefault(layer, {})[part] = tuple(tensor.shape)
    return found


def kind(parts):
    """What a layer with these tensors is; None if it is none of BYOL-A's."""
    shape = parts.get("weight", ())
    if len(shape) == 4 and shape[2:] == (3, 3):
        return CONVOLUTION
    if len(shape) == 2:
        return LINEAR
    return NORM if "running_var" in parts or "running_mean" in parts else None


def looks_like(checkpoint):
    """Whether there is a convolution of one channel, a batch norm and a linear layer."""
    found = modules(checkpoint)
    kinds = [kind(parts) for parts in found.values()]
    first = any(kind(parts) == CONVOLUTION and parts["weight"][1] == 1 for parts in found.values())
    return first and kinds.count(CONVOLUTION) in (2, 3) and NORM in kinds and LINEAR in kinds


def natural(name):
    """A name as a key for sorting: numbers by their value."""
    return [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in re.split(r"(\d+)", name)]


def find(checkpoint):
    """The layers of the one BYOL-A that these tensors make.

    # Errors
    Too few or too many layers of a kind, shapes that do not follow one another, an order that leaves a choice.
    """
    found = modules(checkpoint)
    of = {k: [layer for layer, parts in found.items() if kind(parts) == k] for k in (CONVOLUTION, NORM, LINEAR)}
    if len(of[CONVOLUTION]) in (2, 3) and len(of[NORM]) == len(of[CONVOLUTION]) and len(of[LINEAR]) == 2:
        for layers in (of[CONVOLUTION], of[NORM]):
            if layers != sorted(layers, key=natural):
                raise ExportError(f"{checkpoint.path}: expected layers in the same order in the file and by their names; found "
                                  f"{', '.join(layers)}: which comes first is not ours to guess")
        return sized(checkpoint, list(zip(of[CONVOLUTION], of[NORM], strict=True)), linears(checkpoint, found, of[LINEAR]))
    if "features.0.weight" in checkpoint.tensors:
        # v1's own names: what is missing or too much is said by name. Of v2's no name is known, but those in the file.
        count = 3 if any(name.startswith(("features.8.", "features.9.")) for name in checkpoint.tensors) else 2
        second = "fc.3" if count == 3 else next((name for name in ("fc.3", "fc.2") if f"{name}.weight" in checkpoint.tensors), None)
        if second:
            return sized(checkpoint, [(f"features.{4 * i}", f"features.{4 * i + 1}") for i in range(count)], ["fc.0", second])
    here = ", ".join(f"{len(of[k])} x {k}" for k in of)
    names = some([f"{k} {list(v.shape)}" for k, v in checkpoint.tensors.items()])
    raise ExportError(f"{checkpoint.path}: expected BYOL-A: two (v2) or three (v1) blocks of a convolution 3x3 and a batch norm, then two linear "
                      f"layers, such as {FIRST}; found {here}: {names}")


def linears(checkpoint, found, names):
    """The two linear layers: the second takes what the first gives."""
    fits = [(a, b) for a, b in (names, names[::-1]) if found[b]["weight"][1] == found[a]["weight"][0]]
    if len(fits) == 2:  # squares: the order must say it, both ways
        fits = fits[:1] if sorted(names, key=natural) == names else []
    if len(fits) != 1:
        shapes = ", ".join(f"{n}.weight {list(found[n]['weight'])}" for n in names)
        raise ExportError(f"{checkpoint.path}: expected two linear layers of which the second takes what the first gives; found {shapes}")
    return list(fits[0])


def sized(checkpoint, pairs, second):
    """`Layers` with the shapes that follow from the first tensors.

    # Errors
    A tensor that says a size is missing or has another shape.
    """
    channels = checkpoint.shape(f"{pairs[0][0]}.weight", "C", 1, 3, 3)[0]
    column = channels * (BANDS >> len(pairs))
    hidden = checkpoint.shape(f"{second[0]}.weight", "d", column)[0]
    out = checkpoint.shape(f"{second[1]}.weight", "d", hidden)[0]
    shapes = {}
    for i, (conv, norm) in enumerate(pairs):
        shapes |= {f"{conv}.weight": (channels, 1 if i == 0 else channels, 3, 3), f"{conv}.bias": (channels,)}
        shapes |= {f"{norm}.{k}": (channels,) for k in NORM_PARTS}
    for name, shape in zip(second, ((hidden, column), (out, hidden)), strict=True):
        shapes |= {f"{name}.weight": shape, f"{name}.bias": (shape[0],)}
    return Layers([c for c, _ in pairs], [n for _, n in pairs], list(second), shapes, out + (column if len(pairs) == 2 else 0))
