"""LAION-CLAP, unfused: HTS-AT and RoBERTa, 48 kHz, windows of 10 s.

SOURCE is a folder as Hugging Face has it (config.json, tokenizer.json, and model.safetensors or pytorch_model.bin; where both are there
the first is read, unless you name the other), checked against transformers' ClapModel; or one of LAION's own .pt files (`630k-audioset-best.pt`), whose tokenizer is RoBERTa-base's: --text-tower FOLDER, or the local Hugging
Face cache. Fused models (`…-fusion-best.pt`) take another input and are refused.

Recordings shorter than 10 s are repeated, as often as they fit whole, and filled with silence.
"""

import re
from pathlib import Path

from gst_listen_export import frontend, hub
from gst_listen_export.errors import ExportError

NAME = "laion-clap"
HELP = "LAION-CLAP (unfused): a Hugging Face folder, or LAION's .pt"
SOURCE_HELP = "the folder of a ClapModel (or model.safetensors or pytorch_model.bin in it), or a .pt file"

SECONDS = 10
FUSED = ("mel_conv2d", "fusion_model")
CODE = {"id": "Apache-2.0", "redistributable": True, "commercial_use": True, "accept_required": False}
# What stands in LAION's files beside the two towers: the front end (compared with ours), AudioSet's classifier, tables that
# follow from the sizes, and projections that its loss took and its embeddings do not.
IGNORED = ["audio_branch.spectrogram_extractor.*", "audio_branch.logmel_extractor.*", "audio_branch.tscam_conv.*", "audio_branch.head.*",
           "audio_branch.*.relative_position_index", "audio_branch.*.attn_mask", "audio_transform.*", "text_transform.*",
           "text_branch.embeddings.position_ids", "text_branch.embeddings.token_type_ids"]
ROBERTA = ("FacebookAI/roberta-base", "roberta-base")
AUDIO = "audio_model.audio_encoder."
# What a ClapModel's files hold that is no weight.
WHOLE_NUMBERS = ("relative_position_index", "position_ids", "token_type_ids", "num_batches_tracked")
RENAMED = [("batch_norm.", "bn0."), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("attention.output.dense", "attn.proj"),
           ("intermediate.dense", "mlp.fc1"), ("output.dense", "mlp.fc2"), ("attention.self.", "attn.")]


def add_arguments(parser):
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a window; the models heard 10 (default), and any "
                        "other is stretched to the same square")
    parser.add_argument("--text-tower", type=Path, metavar="PATH", help="folder or tokenizer.json of RoBERTa-base (for a .pt)")


def recognise(checkpoint):
    """What a checkpoint is, in words; None if it is none of this family."""
    names = checkpoint.stripped("module.").tensors
    if any(name.startswith(AUDIO) for name in names):
        names = renamed(names)
    if "audio_branch.bn0.weight" not in names or "text_branch.pooler.dense.weight" not in names:
        return None
    fused = any(part in name for name in names for part in FUSED)
    width = names["audio_branch.norm.weight"].shape[0] if "audio_branch.norm.weight" in names else "?"
    return f"LAION-CLAP, {'fused (not supported)' if fused else 'unfused'}, HTS-AT of {width}"


def required(checkpoint):
    """What the command line needs besides."""
    from gst_listen_export.towers import cached

    beside = of_hub(checkpoint.path) or checkpoint.path
    return "" if (beside / "tokenizer.json").exists() or cached(*ROBERTA) else "--text-tower FOLDER_OF_ROBERTA_BASE"


def renamed(tensors):
    """A ClapModel's tensors under the names of LAION's files."""
    import torch

    out, parts = {}, {}
    for name, value in tensors.items():
        if name.startswith(AUDIO):
            name = name[len(AUDIO):]
            for theirs, ours in RENAMED:
                name = name.replace(theirs, ours)
            name = f"audio_branch.{name}"
        elif name.startswith("text_model."):
            name = "text_branch." + name[len("text_model."):]
        else:
            name = re.sub(r"^(audio|text)_projection\.linear([12])\.", lambda m: f"{m[1]}_projection.{2 * int(m[2]) - 2}.", name)
        part = re.search(r"\.attn\.(query|key|value)\.", name)
        if part:
            parts.setdefault(name.replace(f".{part[1]}.", ".qkv."), {})[part[1]] = value
        else:
            out[name] = value
    for name, three in parts.items():
        if len(three) == 3:
            out[name] = torch.cat([three["query"], three["key"], three["value"]])
    return out


def of_hub(source):
    """The folder of a ClapModel, for the folder itself or for the file in it that is named; None for LAION's own files."""
    folder = source if source.is_dir() else source.parent
    named = source.is_dir() or source.suffix in (".safetensors", ".bin")
    return folder if named and (folder / "config.json").is_file() else None


def clap_config(folder):
    """`(transformers' ClapConfig, what the network needs of it)`.

    # Errors
    Another model, sections that are none, options that are not LAION's.
    """
    from transformers import ClapConfig

    raw = hub.config(folder, "clap")
    for key in ("audio_config", "text_config"):
        hub.section(folder, raw, key)
    try:
        config = ClapConfig.from_dict(raw)
        audio, text = config.audio_config, config.text_config
        side = audio.patch_size if isinstance(audio.patch_size, int) else audio.patch_size[0]
        expected = {"audio_config.enable_fusion": (audio.enable_fusion, False), "audio_config.hidden_act": (audio.hidden_act, "gelu"),
                    "audio_config.patch_stride": (list(audio.patch_stride), [side, side]), "audio_config.layer_norm_eps": (audio.layer_norm_eps, 1e-5),
                    "audio_config.projection_hidden_act": (audio.projection_hidden_act, "relu"), "text_config.hidden_act": (text.hidden_act, "gelu"),
                    "text_config.projection_hidden_act": (text.projection_hidden_act, "relu")}
    except Exception as error:  # whatever values of another form make transformers raise
        raise ExportError(f"{folder}/config.json: expected the values of a ClapModel; transformers does not take them: {first_line(error)}") from None
    for key, (value, must) in expected.items():
        if value != must:
            raise ExportError(f"{folder}/config.json: {key} must be {must} and is {value}")
    sizes = {"heads": hub.number(folder, vars(text), "num_attention_heads", 12), "eps": hub.number(folder, vars(text), "layer_norm_eps", 1e-12, float),
             "padding": hub.number(folder, vars(text), "pad_token_id", 1), "side": hub.number(folder, vars(audio), "spec_size", 256)}
    return config, sizes


def first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def read_hugging_face(folder, file=None):
    """`(checkpoint, ClapModel, config)` of a folder, or of one of its files; its tensors under the names of LAION's files.

    # Errors
    Another model, a fused one, missing tensors, options that are not LAION's.
    """
    import torch
    from transformers import ClapModel
    from transformers.utils import logging

    from gst_listen_export.checkpoint import Checkpoint, dense, read

    config, sizes = clap_config(folder)
    logging.disable_progress_bar()
    # Read by ourselves, and given to transformers as tensors: our errors say what is wrong with a file, and it is this file and no other.
    source = read(file or hub.model_file(folder) or folder)
    dense(source.path, {k: v for k, v in source.tensors.items() if not k.endswith(WHOLE_NUMBERS)})
    try:
        model, found = ClapModel.from_pretrained(None, config=config, state_dict=dict(source.tensors), output_loading_info=True, ignore_mismatched_sizes=True,
                                                 dtype=torch.float32)
    except Exception as error:  # sizes that no network has
        raise ExportError(f"{folder}/config.json: expected the sizes of a ClapModel; transformers makes none of them: {first_line(error)}") from None
    trouble = [*sorted(found["missing_keys"]), *(str(m[0]) for m in found["mismatched_keys"])]
    if trouble:
        raise ExportError(f"{source.path}: ClapModel needs {', '.join(trouble[:6])}; not there, or of another shape than config.json says")
    if found["unexpected_keys"]:
        raise ExportError(f"{source.path}: unknown tensors: {', '.join(sorted(found['unexpected_keys'])[:6])}; expected those of ClapModel")
    checkpoint = Checkpoint(source.path, folder.resolve().name, source.sha256, renamed(model.state_dict()))
    return checkpoint, model.eval(), sizes


def check_front_end(checkpoint, front_end):
    """Whether the filterbank that LAION's files carry is the one that the manifest will name."""
    import numpy as np

    from gst_listen_export.logmel import filterbank

    found = checkpoint.tensors.get("audio_branch.logmel_extractor.melW")
    if found is None:
        return
    ours = filterbank(front_end).T
    if tuple(found.shape) != ours.shape:
        raise ExportError(f"{checkpoint.path}: audio_branch.logmel_extractor.melW must be {list(ours.shape)} and is {list(found.shape)}")
    worst = float(np.abs(checkpoint.numbers("audio_branch.logmel_extractor.melW").numpy() - ours).max())
    if not worst <= 1e-5:
        raise ExportError(f"{checkpoint.path}: its filterbank differs from LAION-CLAP's (48 kHz, {front_end['f_min']} to "
                          f"{front_end['f_max']} Hz, Slaney) by {worst:.1e}; at most 1e-5 is expected")


def build(checkpoint, config):
    """`(htsat, audio head, text tower, its sizes, scale)`.

    # Errors
    What is missing, unknown, or of another shape.
    """
    import torch

    from gst_listen_export import clap
    from gst_listen_export.nets import roberta

    fused = [name for name in checkpoint.tensors if any(part in name for part in FUSED)]
    if fused:
        raise ExportError(f"{checkpoint.path}: expected an unfused LAION-CLAP; found a fused one ({fused[0]}), whose input is four mel images")
    sizes = clap.htsat_sizes(checkpoint, "audio_branch.", config.get("side"))
    words, width = checkpoint.shape("text_branch.embeddings.word_embeddings.weight", "words", "D")
    places, _ = checkpoint.shape("text_branch.embeddings.position_embeddings.weight", "places", width)
    types, _ = checkpoint.shape("text_branch.embeddings.token_type_embeddings.weight", "types", width)
    hidden, _ = checkpoint.shape("text_branch.encoder.layer.0.intermediate.dense.weight", "4D", width)
    depth = sum(f"text_branch.encoder.layer.{i}.output.dense.weight" in checkpoint.tensors for i in range(1000))
    heads = config.get("heads") or max(width // 64, 1)
    if width % heads:
        raise ExportError(f"{checkpoint.path}: a text tower of width {width} cannot have {heads} heads")
    tower = roberta.shapes(width, depth, hidden, words, places, types)
    dim, _ = checkpoint.shape("audio_projection.0.weight", "d", sizes.dim)
    rest = {f"text_branch.{name}": shape for name, shape in tower.items()}
    for side, of in (("audio", sizes.dim), ("text", width)):
        rest |= {f"{side}_projection.0.weight": (dim, of), f"{side}_projection.0.bias": (dim,),
                 f"{side}_projection.2.weight": (dim, dim), f"{side}_projection.2.bias": (dim,)}
    rest |= clap.scalars(checkpoint, "logit_scale_a", "logit_scale_t")
    htsat, w = clap.build_htsat(checkpoint, "audio_branch.", sizes, rest, IGNORED, "LAION-CLAP")

    def projection(side):
        first, second = torch.nn.Linear(*reversed(w[f"{side}_projection.0.weight"].shape)), torch.nn.Linear(dim, dim)
        for layer, n in ((first, 0), (second, 2)):
            layer.load_state_dict({k: w[f"{side}_projection.{n}.{k}"] for k in ("weight", "bias")})
        return torch.nn.Sequential(first, torch.nn.ReLU(), second).eval()

    padding = config.get("padding", 1)
    text = roberta.Roberta({n: w[f"text_branch.{n}"] for n in tower}, heads, config.get("eps", 1e-5), padding)

    class Tower(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.text, self.projection = text, projection("text")

        def forward(self, input_ids, attention_mask):
            return self.projection(self.text(input_ids, attention_mask))

    scale = clap.scale(checkpoint, "logit_scale_a")
    return htsat, projection("audio"), Tower().eval(), {"words": words, "places": places - padding - 1, "padding": padding}, scale


def compare(model, htsat, head, tower, words, padding, frames):
    """Our modules and transformers' on the same input.

    # Errors
    They differ by more than 1e-4 of the largest value.
    """
    import torch

    torch.manual_seed(1)
    mel, ids = torch.randn(1, 1, frames, htsat.sizes.bands) * 10 - 20, torch.randint(padding + 1, words, (2, 7))
    ids[1, 5:] = padding
    mask = (ids != padding).long()
    plain = lambda out: out if isinstance(out, torch.Tensor) else out.pooler_output
    with torch.no_grad():
        pairs = {"audio": (head(htsat(mel)), plain(model.get_audio_features(input_features=mel))),
                 "text": (tower(ids, mask), plain(model.get_text_features(input_ids=ids, attention_mask=mask)))}
    for side, (ours, theirs) in pairs.items():
        # Newer versions give unit vectors here, older ones the projection itself.
        ours, theirs = (torch.nn.functional.normalize(x, dim=-1) for x in (ours, theirs))
        worst = float((ours - theirs).abs().max())
        if not worst <= 1e-4:
            raise ExportError(f"{side}: our network and transformers' ClapModel differ by {worst:.1e}; at most 1e-4 is expected")


def export(args):
    import torch

    from gst_listen_export import clap, onnx_export
    from gst_listen_export.checkpoint import read
    from gst_listen_export.feeds import log_mel_feeds
    from gst_listen_export.package import PackageWriter, licence, package_id
    from gst_listen_export.towers import tokenizer

    model, config, place = None, {}, args.text_tower
    folder = of_hub(args.source)
    if folder:
        checkpoint, model, config = read_hugging_face(folder, None if args.source.is_dir() else args.source)
        place = place or folder
    else:
        checkpoint = read(args.source, args.ignore).stripped("module.")
        if any(name.startswith(AUDIO) for name in checkpoint.tensors):
            raise ExportError(f"{checkpoint.path}: holds the tensors of a ClapModel: expected a config.json beside it, which says their sizes; found none")
        checkpoint.tensors = {k: v for k, v in checkpoint.tensors.items() if not k.endswith("num_batches_tracked")}
    front_end = frontend.LAION_CLAP
    check_front_end(checkpoint, front_end)
    htsat, head, tower, text, scale = build(checkpoint, config)
    if htsat.sizes.bands != front_end["n_mels"]:
        raise ExportError(f"{checkpoint.path}: expected {front_end['n_mels']} mel bands; found {htsat.sizes.bands}")
    frames = clap.window_frames(args.seconds, front_end, htsat.sizes)
    if model is not None:
        compare(model, htsat, head, tower, text["words"], text["padding"], frames)
    words = tokenizer(place, ROBERTA, text["words"], text["padding"], "LAION-CLAP's text tower (RoBERTa)",
                      {"<s>": 0, "<pad>": text["padding"], "</s>": 2}, ("<s>", "</s>"))
    manifest = {
        "id": package_id(args, checkpoint.name), "family": "laion-clap",
        "license": licence(CODE, checkpoint, "https://github.com/LAION-AI/CLAP"),
        "audio": frontend.audio(front_end), "frontend": front_end, "normalize": {"kind": "none"},
        # One length: the network stretches any other to its square, and has heard 10 s only.
        "window": frontend.window(frames, min_frames=frames, multiple_of=1, max_frames=frames, hop=max(frames // 10, 1), short_pad="repeat"),
        "encoder": clap.encoder_section(htsat.sizes.dim), "frame_embedding": "none", "clip_pooling": "none",
        "head": {"file": "head.onnx", "input": "clip", "output": "embedding", "takes": "pooled", "dim": head[2].out_features, "frames": False},
        "text": {"file": "text.onnx", "tokenizer": "tokenizer.json", "inputs": ["input_ids", "attention_mask"], "output": "embedding",
                 "max_length": min(77, text["places"]), "pad": "longest", "pad_id": text["padding"], "pooling": "in_graph"}}
    size = sum(p.numel() * 4 for m in (htsat, tower) for p in [*m.parameters(), *m.buffers()])
    with PackageWriter(args, manifest, room=size * len(args.precision)) as package:
        clap.export_audio(package, htsat, head, frames)
        feeds = log_mel_feeds(manifest, args.sounds) if len(args.precision) > 1 else []
        graphs = onnx_export.reduce(package.folder, "encoder", args.precision, feeds, args.int8 or "static", clap.through(head))
        package.manifest["encoder"] = {"graphs": graphs} | manifest["encoder"]
        torch.manual_seed(2)
        texts = [torch.randint(text["padding"] + 1, text["words"], (b, n)) for b, n in ((2, 5), (1, 9), (3, 2))]
        texts[0][1, 3:] = text["padding"]
        examples = [(ids, (ids != text["padding"]).long()) for ids in texts]
        onnx_export.export(tower, examples, package.path("text.onnx"), ["input_ids", "attention_mask"], ["embedding"],
                           {"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}, "embedding": {0: "batch"}})
        words.save(str(package.path("tokenizer.json")), pretty=False)
        embed = clap.embedder(htsat, head)
        package.manifest["clap"] = clap.clap_section(package, embed, ["This is a sound of {}."], scale, args.sounds)
        package.self_test(embed)
