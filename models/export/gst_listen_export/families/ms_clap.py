"""MS-CLAP 2023: HTS-AT and GPT-2, 44.1 kHz, windows of 7 s.

SOURCE is Microsoft's CLAP_weights_2023.pth. Its tokenizer is GPT-2's: --text-tower FOLDER, or the local Hugging Face cache. The
2022 model (CNN14, BERT) and clapcap are other networks and are refused.

The network is our own, of arXiv 2202.00874; the names of its tensors were read in Microsoft's program (github.com/microsoft/CLAP,
MIT), of which nothing is copied. The filterbank is the checkpoint's: it was made for 32 kHz and is used at 44.1 kHz, so that no formula
gives it. Recordings shorter than 7 s are repeated, the last time as far as it fits.
"""

from pathlib import Path

from gst_listen_export import frontend
from gst_listen_export.errors import ExportError

NAME = "ms-clap"
HELP = "MS-CLAP 2023 (CLAP_weights_2023.pth)"
SOURCE_HELP = "CLAP_weights_2023.pth"

GPT2 = ("openai-community/gpt2", "gpt2")
SECONDS, RATE, HOP = 7, 44100, 320
MADE_FOR, F_MIN, F_MAX = 32000, 50, 14000  # what the filterbank was made for; in Hz of that rate
PLACES, PADDING, END = 77, 0, "<|endoftext|>"
MS_PL = {"id": "MS-PL", "redistributable": True, "commercial_use": True, "accept_required": True}
HTSAT, AUDIO, TEXT, WORDS = "audio_encoder.base.htsat.", "audio_encoder.projection.", "caption_encoder.projection.", "caption_encoder.base."
STFT, FILTERS = f"{HTSAT}spectrogram_extractor.stft.", f"{HTSAT}logmel_extractor.melW"
# Beside the two towers: the transform (compared with ours), AudioSet's classifier, tables that follow from the sizes, GPT-2's masks.
IGNORED = [f"{STFT}*", f"{HTSAT}tscam_conv.*", f"{HTSAT}head.*", f"{HTSAT}*.relative_position_index", f"{HTSAT}*.attn_mask",
           f"{WORDS}h.*.attn.bias", f"{WORDS}h.*.attn.masked_bias"]


def add_arguments(parser):
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a window; the model heard 7 (default), and any other "
                        "is stretched to the same square")
    parser.add_argument("--text-tower", type=Path, metavar="PATH", help="folder or tokenizer.json of GPT-2")


def recognise(checkpoint):
    """What a checkpoint is, in words; None if it is none of this family."""
    names = checkpoint.stripped("module.").tensors
    if f"{HTSAT}bn0.weight" not in names or f"{WORDS}wte.weight" not in names:
        return None
    clapcap = any(name.startswith(("clap_project.", "gpt.")) for name in names)
    return f"MS-CLAP 2023{' with a captioner (clapcap)' if clapcap else ''}, {names[f'{TEXT}linear1.weight'].shape[0]} values" if f"{TEXT}linear1.weight" in names else None


def required(_checkpoint):
    """What the command line needs besides."""
    from gst_listen_export.towers import cached

    return "" if cached(*GPT2) else "--text-tower FOLDER_OF_GPT2"


def read_source(args):
    """The tensors of a file, without those that training programs wrap around them.

    # Errors
    The 2022 model, or no checkpoint.
    """
    from gst_listen_export.checkpoint import read

    checkpoint = read(args.source, args.ignore).stripped("module.")
    if any(name.startswith("audio_encoder.base.conv_block") for name in checkpoint.tensors):
        raise ExportError(f"{checkpoint.path}: expected MS-CLAP 2023 ({HTSAT}…); found the model of 2022, whose CNN14 is another network")
    return checkpoint


def filterbank(checkpoint):
    """`[bands, n_fft / 2 + 1]` as the checkpoint has it, and the transform's length.

    # Errors
    Missing, negative, or beside a transform that is not that of a periodic Hann window.
    """
    import numpy as np

    bins, bands = checkpoint.shape(FILTERS, "n_fft / 2 + 1", "bands")
    weights = checkpoint.numbers(FILTERS).numpy()
    if not (np.isfinite(weights).all() and weights.min() >= 0 and (weights.max(axis=0) > 0).all()):
        raise ExportError(f"{checkpoint.path}: {FILTERS}: expected weights of at least 0, and some above 0 in each of {bands} bands; "
                          f"found {weights.min():g} to {weights.max():g}")
    n_fft = 2 * (bins - 1)
    n, k = np.arange(n_fft), np.arange(bins)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / n_fft)
    angle = 2 * np.pi * (np.outer(k, n) % n_fft) / n_fft
    for part, expected in (("conv_real", hann * np.cos(angle)), ("conv_imag", -hann * np.sin(angle))):
        name = f"{STFT}{part}.weight"
        if name not in checkpoint.tensors:
            continue
        checkpoint.shape(name, bins, 1, n_fft)
        worst = float(np.abs(checkpoint.numbers(name)[:, 0].numpy() - expected).max())
        if not worst <= 1e-4:
            raise ExportError(f"{checkpoint.path}: {name}: expected the transform of a periodic Hann window of {n_fft} samples; it differs by {worst:.1e}")
    return np.ascontiguousarray(weights.T.astype(np.float32)), n_fft


def build(checkpoint):
    """`(htsat, audio head, text tower, number of words, scale)`.

    # Errors
    What is missing, unknown, or of another shape.
    """
    import torch

    from gst_listen_export import clap
    from gst_listen_export.nets import gpt2, ms_projection

    sizes = clap.htsat_sizes(checkpoint, HTSAT)
    words, width = checkpoint.shape(f"{WORDS}wte.weight", "words", "D")
    places, _ = checkpoint.shape(f"{WORDS}wpe.weight", "places", width)
    depth = sum(f"{WORDS}h.{i}.ln_1.weight" in checkpoint.tensors for i in range(1000))
    if not depth:
        checkpoint.shape(f"{WORDS}h.0.ln_1.weight", width)
    dim, _ = checkpoint.shape(f"{AUDIO}linear1.weight", "d", sizes.dim)
    tower = gpt2.shapes(width, depth, words, places)
    rest = {WORDS + name: shape for name, shape in tower.items()} | {FILTERS: tuple(checkpoint.tensors[FILTERS].shape)}
    for prefix, of in ((AUDIO, sizes.dim), (TEXT, width)):
        rest |= {prefix + name: shape for name, shape in ms_projection.shapes(of, dim).items()}
    rest |= clap.scalars(checkpoint, "logit_scale")
    htsat, w = clap.build_htsat(checkpoint, HTSAT, sizes, rest, IGNORED, "MS-CLAP 2023")

    def projection(prefix, of):
        module = ms_projection.Projection(of, dim)
        module.load_state_dict({name: w[prefix + name] for name in ms_projection.shapes(of, dim)})
        return module.eval()

    class Tower(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.text = gpt2.Gpt2({name: w[WORDS + name] for name in tower}, max(width // 64, 1))
            self.projection = projection(TEXT, width)

        def forward(self, input_ids):
            return self.projection(self.text(input_ids))

    scale = clap.scale(checkpoint, "logit_scale")
    return htsat, projection(AUDIO, sizes.dim), Tower().eval(), words, min(places, PLACES), scale


def gpt2_words(place, words):
    """GPT-2's tokenizer, whose id 0 is `!` and which knows the token that ends a text.

    # Errors
    Another tokenizer.
    """
    from gst_listen_export.towers import tokenizer

    found = tokenizer(place, GPT2, words, PADDING, "MS-CLAP's text tower (GPT-2)")
    if found.id_to_token(PADDING) != "!" or found.token_to_id(END) is None:
        raise ExportError(f"{place or 'the Hugging Face cache'}: expected GPT-2's tokenizer, with `!` as id 0 and {END}; found "
                          f"{found.id_to_token(PADDING)!r} as id 0 and {'no' if found.token_to_id(END) is None else 'a'} {END}")
    return found


def export(args):
    import torch

    from gst_listen_export import clap, onnx_export
    from gst_listen_export.feeds import log_mel_feeds
    from gst_listen_export.package import PackageWriter, licence, package_id

    checkpoint = read_source(args)
    weights, n_fft = filterbank(checkpoint)
    # Its bands lie where those of 32 kHz come to lie at 44.1 kHz.
    front_end = frontend.logmel(RATE, n_fft, n_fft, HOP, len(weights), F_MIN * RATE / MADE_FOR, F_MAX * RATE / MADE_FOR,
                                {"kind": "db_max", "amin": 1e-10}, filterbank="filterbank.safetensors")
    htsat, head, tower, words, places, scale = build(checkpoint)
    if htsat.sizes.bands != len(weights):
        raise ExportError(f"{checkpoint.path}: expected a filterbank of {htsat.sizes.bands} bands, as {HTSAT}bn0 has; found {len(weights)}")
    frames = clap.window_frames(args.seconds, front_end, htsat.sizes)
    vocabulary = gpt2_words(args.text_tower, words)
    manifest = {
        "id": package_id(args, checkpoint.name), "family": "ms-clap",
        "license": licence(MS_PL, checkpoint, "https://huggingface.co/microsoft/msclap"),
        "audio": frontend.audio(front_end), "frontend": front_end, "normalize": {"kind": "none"},
        # One length: the network stretches any other to its square, and has heard 7 s only.
        "window": frontend.window(frames, min_frames=frames, multiple_of=1, max_frames=frames, hop=max(frames // 10, 1), short_pad="repeat_cut"),
        "encoder": clap.encoder_section(htsat.sizes.dim), "frame_embedding": "none", "clip_pooling": "none",
        "head": {"file": "head.onnx", "input": "clip", "output": "embedding", "takes": "pooled", "dim": len(head.layer_norm.weight), "frames": False},
        "text": {"file": "text.onnx", "tokenizer": "tokenizer.json", "inputs": ["input_ids"], "output": "embedding", "max_length": places,
                 "pad": "max_length", "pad_id": PADDING, "pooling": "in_graph", "append": f" {END}"}}
    size = sum(p.numel() * 4 for m in (htsat, tower) for p in [*m.parameters(), *m.buffers()])
    with PackageWriter(args, manifest, room=size * len(args.precision)) as package:
        package.save_tensors("filterbank.safetensors", {"filterbank": weights})
        clap.export_audio(package, htsat, head, frames)
        feeds = log_mel_feeds(manifest, args.sounds, package=package.folder) if len(args.precision) > 1 else []
        graphs = onnx_export.reduce(package.folder, "encoder", args.precision, feeds, args.int8 or "static", clap.through(head))
        package.manifest["encoder"] = {"graphs": graphs} | manifest["encoder"]
        torch.manual_seed(2)
        texts = [torch.randint(1, words, (b, n)) for b, n in ((2, min(7, places - 1)), (1, places), (3, 2))]
        texts[0][1, 3:] = PADDING
        onnx_export.export(tower, [(ids,) for ids in texts], package.path("text.onnx"), ["input_ids"], ["embedding"],
                           {"input_ids": {0: "batch", 1: "tokens"}, "embedding": {0: "batch"}})
        vocabulary.save(str(package.path("tokenizer.json")), pretty=False)
        embed = clap.embedder(htsat, head)
        package.manifest["clap"] = clap.clap_section(package, embed, ["this is the sound of {}"], scale, args.sounds)
        package.self_test(embed)
