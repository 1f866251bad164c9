"""BYOL-A: a vector per 80 ms (v1: d512, d1024, d2048) or per 40 ms (v2: d3072); a window is the mean plus the maximum.

The checkpoint says nothing of the level of the sound it was trained on, so you say how frames are normalised:

  --normalize fixed --mean -9.66 --std 4.72    numbers of your own
  --normalize fixed --statistics FOLDER        taken from WAV files that sound like what will be listened to
  --normalize running --statistics FOLDER      following the stream, from those at its start
  --normalize per-window                       each window by itself

Tensors are found by what they are, not by what they are called: a block is a convolution and the batch norm behind it, two
(v2) or three (v1) of them, then two linear layers. A file that leaves a choice is refused.
"""

from pathlib import Path

from gst_listen_export import frontend
from gst_listen_export.errors import ExportError

NAME = "byol-a"
HELP = "BYOL-A v1 and v2 (AudioNTT2020, AudioNTT2022)"
MAX_FRAMES = 6000  # a minute; the model itself has no limit


def add_arguments(parser):
    parser.add_argument("--normalize", choices=["fixed", "per-window", "running"], required=True)
    parser.add_argument("--mean", type=float, help="of the log-mel, natural logarithm")
    parser.add_argument("--std", type=float, help="of the log-mel")
    parser.add_argument("--statistics", type=Path, metavar="FOLDER", help="WAV files to take mean and deviation from")
    parser.add_argument("--tau", type=float, default=30.0, help="seconds that running statistics follow (default: 30)")
    parser.add_argument("--streaming", action="store_true",
                        help="say in the package that a stream may be encoded in chunks, each with the context that makes it exact (fixed only)")
    parser.add_argument("--window", type=int, default=96, help="frames of a window (default: 96, 0.96 s, as trained)")


def recognise(checkpoint):
    """What a checkpoint is, in words; None if it is none of this family."""
    from gst_listen_export import byol_a_layers

    if not byol_a_layers.looks_like(checkpoint):
        return None
    layers = byol_a_layers.find(checkpoint)
    return f"BYOL-A v{layers.version}, {layers.dim} values per {10 << layers.blocks} ms"


def required(_checkpoint):
    """What the command line needs besides."""
    return "--normalize fixed --statistics FOLDER_OF_WAV_FILES"


def build(checkpoint):
    """`(module, blocks, dim)`."""
    from gst_listen_export import byol_a_layers
    from gst_listen_export.checkpoint import take
    from gst_listen_export.nets.byol_a import ByolA, fold

    found = byol_a_layers.find(checkpoint)
    w = take(checkpoint, found.shapes, what=f"BYOL-A v{found.version}")
    convolutions = []
    for conv, norm in zip(found.convolutions, found.norms, strict=True):
        norms = (w[f"{norm}.{k}"] for k in ("weight", "bias", "running_mean", "running_var"))
        convolutions.append(fold(w[f"{conv}.weight"], w[f"{conv}.bias"], *norms))
    layers = [(w[f"{name}.weight"], w[f"{name}.bias"]) for name in found.linears]
    return ByolA(convolutions, layers, keep_column=found.version == 2).eval(), found.blocks, found.dim


def normalization(args):
    """The manifest's section `normalize`.

    # Errors
    Numbers that are missing or too many.
    """
    if args.normalize == "per-window":
        if args.mean is not None or args.std is not None or args.statistics:
            raise ExportError("--normalize per-window takes no --mean, --std or --statistics")
        return {"kind": "per_window"}
    if args.statistics:
        if args.mean is not None or args.std is not None:
            raise ExportError("--statistics gives mean and deviation: leave --mean and --std out")
        mean, std = statistics(args.statistics)
    elif args.mean is None or args.std is None:
        raise ExportError(f"--normalize {args.normalize} needs --mean and --std, or --statistics FOLDER")
    else:
        mean, std = args.mean, args.std
    if not std > 0:
        raise ExportError(f"--std: expected a number above 0; found {std}")
    if args.normalize == "fixed":
        return {"kind": "fixed", "mean": mean, "std": std}
    return {"kind": "running", "tau": args.tau, "mean": mean, "std": std}


def statistics(folder):
    """Mean and deviation of all log-mel values of the WAV files in a folder."""
    import numpy as np

    from gst_listen_export.logmel import log_mel
    from gst_listen_export.sounds import read_wav

    front_end = frontend.BYOL_A
    files = sorted(folder.rglob("*.wav"))
    sounds = [read_wav(f, front_end["sample_rate"]) for f in files]
    mels = [log_mel(front_end, x) for x in sounds if len(x) > front_end["n_fft"] // 2]
    if not mels:
        raise ExportError(f"{folder}: expected WAV files of 16 kHz, longer than 32 ms; found {len(files)} files and none such")
    values = np.concatenate(mels)
    return float(values.mean()), float(values.std())


def export(args):
    import torch

    from gst_listen_export import onnx_export
    from gst_listen_export.checkpoint import read
    from gst_listen_export.feeds import log_mel_feeds
    from gst_listen_export.package import NTT_EVALUATION, PackageWriter, licence, package_id

    checkpoint = read(args.source, args.ignore)
    module, blocks, dim = build(checkpoint)
    step = 1 << blocks
    if not 8 <= args.window <= MAX_FRAMES or args.window % step:
        raise ExportError(f"--window: expected a multiple of {step} from 8 to {MAX_FRAMES}; found {args.window}")
    if args.streaming and args.normalize != "fixed":
        raise ExportError(f"--streaming needs --normalize fixed; with {args.normalize} a chunk's numbers would depend on what is around it")
    manifest = {
        "id": package_id(args, checkpoint.name), "family": "byol-a",
        "license": licence(NTT_EVALUATION, checkpoint, "https://github.com/nttcslab/byol-a"),
        "audio": frontend.audio(frontend.BYOL_A), "frontend": frontend.BYOL_A, "normalize": normalization(args),
        "window": frontend.window(args.window, min_frames=8, multiple_of=step, max_frames=MAX_FRAMES, hop=args.window // 2,
                                  short_pad="zero_normalized", edge="rolling" if args.streaming else "exact"),
        "encoder": {"input": {"name": "lms", "layout": "B1FT"}, "output": {
            "name": "frames", "kind": "frames", "dim": dim, "freq_rows": 1, "frames_per_column": step}},
        "frame_embedding": "identity", "clip_pooling": "mean_plus_max_time"}
    if args.streaming:
        # A vector sees 7 (v1) or 3 (v2) frames beyond its own: a column of context on either side is enough.
        manifest["streaming"] = {"chunk_frames": args.window, "left_context": step, "right_context": step}
    size = sum(p.numel() * 4 for p in module.parameters())
    with PackageWriter(args, manifest, room=size * len(args.precision)) as package:
        examples = [(torch.randn(b, 1, 64, t),) for b, t in ((2, 88), (1, 96), (3, 203), (1, 8))]
        onnx_export.export(module, examples, package.path("encoder.onnx"), ["lms"], ["frames"],
                           {"lms": {0: "batch", 3: "time"}, "frames": {0: "batch", 1: "columns"}})
        feeds = log_mel_feeds(manifest, args.sounds) if len(args.precision) > 1 else []
        graphs = onnx_export.reduce(package.folder, "encoder", args.precision, feeds, args.int8 or "static",
                                    embed=lambda y: y.mean(axis=1) + y.max(axis=1))
        package.manifest["encoder"] = {"graphs": graphs} | manifest["encoder"]

        def clip(window):
            with torch.no_grad():
                frames = module(torch.from_numpy(window.T.copy())[None, None])[0]
            return (frames.mean(dim=0) + frames.max(dim=0).values).numpy()

        package.self_test(clip)
