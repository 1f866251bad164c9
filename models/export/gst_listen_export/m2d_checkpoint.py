"""What all checkpoints of M2D's line have in common: geometry in the folder's name, the encoder's tensors, the front end."""

import re
from dataclasses import dataclass

from gst_listen_export import frontend
from gst_listen_export.checkpoint import Checkpoint, take
from gst_listen_export.errors import ExportError

FORM = "<family>-<bands>x<frames>p<height>x<width>[p16k|p32k][p<text tower>][pTI]-<tag>, such as m2d_vit_base-80x608p16x16-221006"
# Where training programs put the encoder; the first that any tensor has.
PREFIXES = ("module.ar.runtime.backbone.", "backbone.")
DEFAULT_STATS = (-7.1, 4.2)  # of log-mel, of checkpoints without `norm_stats`


@dataclass(frozen=True)
class Geometry:
    """What the name says: `bands` x `frames` in patches of `height` x `width`, the sample rate, the text tower's letter."""

    bands: int
    frames: int
    height: int
    width: int
    rate: int
    text: str  # "A" where none is named
    text_inside: bool

    @property
    def rows(self):
        return self.bands // self.height

    @property
    def columns(self):
        return self.frames // self.width

    @property
    def front_end(self):
        return frontend.M2D_16K if self.rate == 16000 else frontend.M2D_32K


def geometry(name):
    """The geometry in a folder's name, or what `--geometry` says.

    # Errors
    None in it, or one that no front end has.
    """
    found = re.search(r"(?:^|-)(\d+)x(\d+)p(\d+)x(\d+)((?:p[0-9A-Za-z]+)*)(?:-|_|\.|$)", name)
    if not found:
        raise ExportError(f"{name!r}: expected a geometry in the folder's name: {FORM}; found none. Say it with --geometry 80x608p16x16")
    bands, frames, height, width = (int(n) for n in found.groups()[:4])
    rate, text, inside = 16000, "A", False
    for part in found.group(5).split("p")[1:]:
        if part in ("16k", "32k"):
            rate = 1000 * int(part[:-1])
        elif part == "TI":
            inside = True
        elif re.fullmatch("[A-Z]", part):
            text = part
        else:
            raise ExportError(f"{name!r}: expected p16k, p32k, p<letter> or pTI after the patch size; found p{part}")
    if bands != 80 or height < 1 or bands % max(height, 1) or not 1 <= width <= frames:
        raise ExportError(f"{name!r}: expected 80 bands in patches that divide them, no wider than the frames; "
                          f"found {bands} bands, {height}x{width} in {frames} frames")
    return Geometry(bands, frames, height, width, rate, text, inside)


def add_arguments(parser):
    """Options of every family of the line."""
    parser.add_argument("--geometry", metavar="FxTpHxW[p32k]", help="the geometry, where the folder's name does not hold it")
    parser.add_argument("--window", type=int, help="frames of a window, a multiple of the patch width (default: as trained)")


def required(checkpoint):
    """What the command line needs besides, where the folder's name says no geometry."""
    try:
        geometry(checkpoint.name)
    except ExportError:
        return ["--geometry BANDSxFRAMESpHEIGHTxWIDTH"]
    return []


def parts(checkpoint):
    """`(encoder, rest)`: the encoder's tensors without their prefix, and all others under their own names."""
    for prefix in PREFIXES:
        inside = checkpoint.under(prefix)
        if inside:
            break
    else:
        inside, prefix = checkpoint.tensors, ""
    rest = {k: v for k, v in checkpoint.tensors.items() if prefix and not k.startswith(prefix)}
    return tuple(Checkpoint(checkpoint.path, checkpoint.name, checkpoint.sha256, t, checkpoint.other, checkpoint.ignored)
                 for t in (inside, rest))


def encoder(checkpoint, shape, ignored=()):
    """`(module, (mean, std))` of the encoder's part of a checkpoint. `ignored`: patterns of what else it may hold.

    # Errors
    As `checkpoint.take`; a width that is no multiple of 64, blocks that are not numbered from 0.
    """
    from gst_listen_export.nets.vit import HEAD, PatchTransformer

    dim = checkpoint.shape("patch_embed.proj.weight", "D", 1, shape.height, shape.width)[0]
    if dim % HEAD:
        raise ExportError(f"{checkpoint.path}: expected a width that is a multiple of {HEAD}, the size of a head; found {dim}")
    numbers = {int(m.group(1)) for k in checkpoint.tensors if (m := re.match(r"blocks\.(\d+)\.", k))}
    if numbers != set(range(len(numbers))) or not numbers:
        raise ExportError(f"{checkpoint.path}: expected blocks.0, blocks.1, …; found numbers {sorted(numbers)}")
    hidden = checkpoint.shape("blocks.0.mlp.fc1.weight", "hidden", dim)[0]
    module = PatchTransformer(shape.rows, shape.columns, (shape.height, shape.width), dim, len(numbers), hidden)
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    taken = take(checkpoint, wanted, {"norm_stats": (2,)}, ignored, what=f"an M2D encoder of {shape.bands}x{shape.frames}p{shape.height}x{shape.width}")
    mean, std = taken.pop("norm_stats").tolist() if "norm_stats" in taken else DEFAULT_STATS
    if not std > 0:
        raise ExportError(f"{checkpoint.path}: norm_stats: expected a deviation above 0; found {std}")
    module.load_state_dict(taken)
    return module.eval(), (mean, std)


def sections(shape, stats, dim, args, features):
    """The manifest's sections `audio` to `clip_pooling`, without graphs. `features`: `stack_freq` or `mean_freq`.

    # Errors
    A window that is no multiple of the patch width, or out of range.
    """
    step, front_end = shape.width, shape.front_end
    # The shortest window that can be reflected at both ends: more than half a transform of samples.
    shortest = step
    while (shortest - 1) * front_end["hop_length"] <= front_end["n_fft"] // 2:
        shortest += step
    longest = shape.columns * step
    frames = longest if args.window is None else args.window
    if not shortest <= frames <= longest or frames % step:
        raise ExportError(f"--window: expected a multiple of {step} from {shortest} to {longest}; found {frames}")
    hop = max(step, min(frames, 100 // step * step))
    return {
        "audio": frontend.audio(front_end), "frontend": front_end, "normalize": {"kind": "fixed", "mean": stats[0], "std": stats[1]},
        "window": frontend.window(frames, min_frames=shortest, multiple_of=step, max_frames=shape.frames, hop=hop, short_pad="zero_normalized"),
        "encoder": {"input": {"name": "lms", "layout": "B1FT"}, "output": {
            "name": "tokens", "kind": "tokens", "dim": dim, "order": "f_major", "freq_rows": shape.rows, "frames_per_column": step}},
        "frame_embedding": features, "clip_pooling": "mean_time"}


def write_encoder(module, shape, manifest, package, args, embed=None):
    """Writes the encoder's graphs into a package, and `encoder.graphs` into its manifest."""
    import torch

    from gst_listen_export import onnx_export
    from gst_listen_export.feeds import log_mel_feeds

    lengths = sorted({shape.width, *(max(shape.width, shape.frames * n // 8) for n in (3, 5)), shape.frames})
    # Traced below the longest input: a slice that takes all positions would be baked in.
    traced = lengths[-2] if len(lengths) > 1 else lengths[0]
    examples = [(torch.randn(2, 1, shape.bands, traced),)] + [(torch.randn(b + 1, 1, shape.bands, t),) for b, t in enumerate(lengths)]
    onnx_export.export(module, examples, package.path("encoder.onnx"), ["lms"], ["tokens"],
                       {"lms": {0: "batch", 3: "time"}, "tokens": {0: "batch", 1: "count"}})
    feeds = log_mel_feeds(manifest, args.sounds) if len(args.precision) > 1 else []
    stacked = manifest["frame_embedding"] == "stack_freq"

    def pooled(tokens):
        grid = tokens.reshape(len(tokens), shape.rows, -1, tokens.shape[2]).mean(axis=2)  # over time: [B, rows, D]
        return grid.reshape(len(tokens), -1) if stacked else grid.mean(axis=1)

    graphs = onnx_export.reduce(package.folder, "encoder", args.precision, feeds, args.int8 or "dynamic", embed or pooled)
    package.manifest["encoder"] = {"graphs": graphs} | manifest["encoder"]


def clip(module, shape, stacked):
    """`f(window [T, F])`: what `output=clip` gives, by PyTorch."""
    import torch

    def run(window):
        with torch.no_grad():
            tokens = module(torch.from_numpy(window.T.copy())[None, None])[0]
        grid = tokens.unflatten(0, (shape.rows, -1)).mean(dim=1)
        return (grid.flatten() if stacked else grid.mean(dim=0)).numpy()

    return run
