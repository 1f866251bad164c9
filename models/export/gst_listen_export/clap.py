"""What the two CLAP families have in common: encoder, head, text tower, calibration."""

import numpy as np

from gst_listen_export import logmel, onnx_export, sounds
from gst_listen_export.checkpoint import take
from gst_listen_export.errors import ExportError
from gst_listen_export.frontend import samples_of
from gst_listen_export.package import condition

BACKGROUND = 48  # sounds that no label means
PROMPTS = ["silence", "background noise", "speech", "music"]


def htsat_sizes(checkpoint, prefix, side=None):
    """The sizes of the HTS-AT whose tensors begin with `prefix`; `side` of the square where no attention mask says it.

    # Errors
    Tensors that are missing or disagree.
    """
    from gst_listen_export.nets.htsat import Sizes

    names = checkpoint.tensors
    bands, = checkpoint.shape(f"{prefix}bn0.weight", "F")
    width, _, patch, _ = checkpoint.shape(f"{prefix}patch_embed.proj.weight", "D", 1, "p", "p")
    depths, heads, window = [], [], 0
    while f"{prefix}layers.{len(depths)}.blocks.0.norm1.weight" in names:
        stage = f"{prefix}layers.{len(depths)}.blocks"
        depths.append(sum(f"{stage}.{j}.norm1.weight" in names for j in range(1000)))
        rows, count = checkpoint.shape(f"{stage}.0.attn.relative_position_bias_table", "(2w-1)^2", "heads")
        heads.append(count)
        if len(depths) == 1:
            window = (int(round(rows**0.5)) + 1) // 2
    if not depths:
        checkpoint.shape(f"{prefix}layers.0.blocks.0.norm1.weight", "D")
    mask = f"{prefix}layers.0.blocks.1.attn_mask"
    if side is None and mask in names:
        side = int(round(names[mask].shape[0] ** 0.5)) * window * patch
    side = side or 4 * bands
    hidden, _ = checkpoint.shape(f"{prefix}layers.0.blocks.0.mlp.fc1.weight", "4D", width)
    grid = side // patch
    if side % bands or side % patch or any((grid >> i) % min(window, grid >> i) for i in range(len(depths))) or grid >> (len(depths) - 1) < 1:
        raise ExportError(f"{checkpoint.path}: a square of {side} does not divide into {bands} bands, patches of {patch} and "
                          f"windows of {window} over {len(depths)} stages")
    return Sizes(bands, patch, width, tuple(depths), tuple(heads), window, side, hidden // width)


def build_htsat(checkpoint, prefix, sizes, rest, ignored, what):
    """The network with its weights, and the tensors that `rest` ({name: shape}) names.

    # Errors
    What `checkpoint.take` finds.
    """
    from gst_listen_export.nets.htsat import Htsat

    wanted = {prefix + name: shape for name, shape in sizes.shapes().items()}
    weights = take(checkpoint, wanted | rest, ignored=ignored, what=what)
    module = Htsat(sizes)
    module.load_state_dict({name: weights[prefix + name] for name in sizes.shapes()} | {"bn0.num_batches_tracked": module.bn0.num_batches_tracked})
    return module.eval(), {name: weights[name] for name in rest}


def scalars(checkpoint, *names):
    """The shapes of single numbers, as a file has them: `[]`, or `[1]`."""
    found = {name: tuple(checkpoint.tensors[name].shape) for name in names if name in checkpoint.tensors}
    return {name: (1,) if found.get(name) == (1,) else () for name in names}


def scale(checkpoint, name):
    """The factor on cosines, of which files have the natural logarithm.

    # Errors
    Not a single number, or one whose exponential is none that can be multiplied with.
    """
    shape = tuple(checkpoint.tensors[name].shape)
    if shape not in ((), (1,)):
        raise ExportError(f"{checkpoint.path}: tensor {name} must be a single number and is {list(shape)}")
    value = checkpoint.numbers(name).float().reshape(())
    if not -80 < float(value) < 80:
        raise ExportError(f"{checkpoint.path}: {name}: expected the logarithm of a factor, between -80 and 80; found {float(value):g}")
    return float(value.exp())


def window_frames(seconds, front_end, sizes):
    """Frames of a window of so many seconds.

    # Errors
    None, or more than fill the square.
    """
    frames = int(seconds * front_end["sample_rate"]) // front_end["hop_length"] + 1 if 0 < seconds < 1e6 else 0
    shortest = front_end["n_fft"] // 2 // front_end["hop_length"] + 2
    if not shortest <= frames <= sizes.longest:
        most = (sizes.longest - 1) * front_end["hop_length"] / front_end["sample_rate"]
        raise ExportError(f"--seconds: expected a window of {shortest} frames to {most:.2f} s ({sizes.longest} frames); found {seconds:g}")
    return frames


def export_audio(package, htsat, head, frames):
    """Writes encoder and head; `frames`: what a window has."""
    import torch

    bands, dim = htsat.sizes.bands, htsat.sizes.dim
    torch.manual_seed(0)
    examples = [(torch.randn(b, 1, t, bands) * 10 - 20,) for b, t in ((2, frames - 1), (1, frames), (3, max(frames // 3, 1)))]
    onnx_export.export(htsat, examples, package.path("encoder.onnx"), ["lms"], ["clip"], {"lms": {0: "batch", 2: "time"}, "clip": {0: "batch"}})
    onnx_export.export(head, [(torch.randn(2, dim),), (torch.randn(1, dim),)], package.path("head.onnx"), ["clip"], ["embedding"],
                       {"clip": {0: "batch"}, "embedding": {0: "batch"}})


def encoder_section(dim):
    return {"input": {"name": "lms", "layout": "B1TF"},
            "output": {"name": "clip", "kind": "clip", "dim": dim, "freq_rows": 1, "frames_per_column": 0}}


def embedder(htsat, head):
    """`[T, F]` to the embedding `[D]` by the PyTorch modules."""
    import torch

    def clip(window):
        with torch.no_grad():
            return head(htsat(torch.from_numpy(window)[None, None]))[0].numpy()

    return clip


def through(head):
    """`[B, D]` of the encoder to the embeddings, whose cosine to fp32 is what counts."""
    import torch

    def embed(clip):
        with torch.no_grad():
            return head(torch.from_numpy(clip)).numpy()

    return embed


def clap_section(package, embed, templates, scale, folder):
    """The section `clap`, with a calibration over sounds that no label means: the user's, or sounds by formula.

    The scale was trained for a softmax among captions. As a bound beside the calibration it keeps a label whose cosine is
    negative from ever scoring high.
    """
    m = package.manifest
    front_end, rate = m["frontend"], m["audio"]["sample_rate"]
    pieces = sounds.windows(folder, rate, samples_of(front_end, m["window"]["frames"]), BACKGROUND)
    rows = [embed(logmel.log_mel(front_end, condition(x, m["audio"]), package.folder).astype(np.float32)) for x in pieces]
    rows = np.stack([row / np.linalg.norm(row) for row in np.asarray(rows, np.float64)]).astype(np.float32)
    package.save_tensors("background.safetensors", {"background": rows})
    return {"dim": rows.shape[1], "logit_scale": scale, "prompt_templates": templates, "background_prompts": PROMPTS,
            "calibration": {"file": "background.safetensors", "a": 1.0, "b": -4.0, "min_std": 0.05},
            "default_threshold": 0.35, "default_offset_threshold": 0.15}
