"""M2D-CLAP 2024 (mean and two layers, GTE-base) and 2025, also called M2D2 (attention pooling, BERT inside the checkpoint).

The geometry (80x608p16x16 and so on) stands in the name of the folder that a checkpoint was downloaded as.

2024: --text-tower names the folder of thenlper/gte-base; without it the local Hugging Face cache is looked into.
2025: the text tower is in the checkpoint and its word pieces come with the exporter; --text-tower names another tokenizer.
Nothing is ever downloaded.
"""

from pathlib import Path

from gst_listen_export import m2d_checkpoint
from gst_listen_export.errors import ExportError

NAME = "m2d-clap"
HELP = "M2D-CLAP 2024 and 2025 (M2D2)"
URL = "https://github.com/nttcslab/m2d"
BESIDE = ("audio_proj.*", "text_proj.*", "text_encoder.*", "logit_scale*")
GTE = "thenlper/gte-base"
INSIDE = "text_encoder.text_encoder."
VOCABULARY = Path(__file__).parent.parent / "data" / "bert-base-uncased-vocab.txt"
# BERT's tokens: padding is the first of its words, the others have other places in other vocabularies.
SPECIAL, ENDS = {"[PAD]": 0, "[CLS]": None, "[SEP]": None}, ("[CLS]", "[SEP]")
BERT_IGNORED = ["pooler.*", "embeddings.position_ids"]


def add_arguments(parser):
    m2d_checkpoint.add_arguments(parser)
    parser.add_argument("--text-tower", type=Path, metavar="PATH", help="2024: the folder of gte-base; 2025: a tokenizer.json of your own")


def recognise(checkpoint):
    """What a checkpoint is, in words; None if it is none of this family."""
    names = [k.removeprefix("backbone.") for k in checkpoint.tensors]
    if "patch_embed.proj.weight" not in names:
        return None
    if "audio_proj.sem_token" in names:
        return "M2D-CLAP 2025: an attention-pooling head" + (", its text tower inside" if any(k.startswith(INSIDE) for k in names) else "")
    return "M2D-CLAP 2024: a head of a mean and two layers" if "audio_proj.0.weight" in names else None


def required(checkpoint):
    """What the command line needs besides."""
    from gst_listen_export.towers import cached

    inside = any(k.startswith(INSIDE) for k in checkpoint.tensors)
    tower = [] if inside or cached(GTE) else ["--text-tower FOLDER_OF_GTE_BASE"]
    return " ".join(m2d_checkpoint.required(checkpoint) + tower)


def split(checkpoint):
    """`(encoder, what stands beside it without prefix, unknown tensors)`."""
    from gst_listen_export.checkpoint import Checkpoint

    encoder, rest = m2d_checkpoint.parts(checkpoint)
    beside = ("audio_proj.", "text_proj.", "text_encoder.", "logit_scale")
    other = {k: v for part in (encoder.tensors, rest.tensors) for k, v in part.items() if k.startswith(beside)}
    unknown = {k: v for k, v in rest.tensors.items() if k not in other}
    return encoder, Checkpoint(checkpoint.path, checkpoint.name, checkpoint.sha256, other, checkpoint.other, checkpoint.ignored), unknown


def head(beside, dim):
    """The head's module, by what its tensors are; and what it is of: 2024 or 2025."""
    import re

    from gst_listen_export.checkpoint import take
    from gst_listen_export.nets.m2d_heads import AttentionPool, MeanMlp

    if "audio_proj.sem_token" in beside.tensors:
        numbers = {int(m.group(1)) for k in beside.tensors if (m := re.match(r"audio_proj\.sem_blocks\.(\d+)\.", k))}
        hidden = beside.shape("audio_proj.sem_blocks.0.mlp.fc1.weight", "hidden", dim)[0]
        module, prefix, year = AttentionPool(dim, max(numbers) + 1, hidden), "audio_proj.", 2025
    elif not any(k.startswith("audio_proj.") for k in beside.tensors):
        raise ExportError(f"{beside.path}: expected M2D-CLAP's head, audio_proj.0.weight (2024) or audio_proj.sem_token (2025); found no "
                          "audio_proj. An M2D without text: gst-listen-export m2d")
    else:
        hidden = beside.shape("audio_proj.0.weight", "hidden", dim)[0]
        out = beside.shape("audio_proj.2.weight", "out", hidden)[0]
        module, prefix, year = MeanMlp(dim, hidden, out), "", 2024
    wanted = {prefix + k: tuple(v.shape) for k, v in module.state_dict().items()}
    ignored = ["text_proj.*", "text_encoder.*", "logit_scale*"]
    module.load_state_dict({k.removeprefix(prefix): v for k, v in take(beside, wanted, ignored=ignored, what=f"the head of M2D-CLAP {year}").items()})
    return module.eval(), year


def bert(checkpoint, heads, mean, eps, what):
    """`(tower, width, words, longest text)` of a BERT's tensors."""
    from gst_listen_export.checkpoint import take
    from gst_listen_export.nets import roberta
    from gst_listen_export.nets.bert import Bert

    words, width = checkpoint.shape("embeddings.word_embeddings.weight", "words", "D")
    places, _ = checkpoint.shape("embeddings.position_embeddings.weight", "places", width)
    types, _ = checkpoint.shape("embeddings.token_type_embeddings.weight", "types", width)
    hidden, _ = checkpoint.shape("encoder.layer.0.intermediate.dense.weight", "4D", width)
    depth = sum(f"encoder.layer.{i}.output.dense.weight" in checkpoint.tensors for i in range(1000))
    heads = heads or max(width // 64, 1)
    if width % heads:
        raise ExportError(f"{checkpoint.path}: {what}: expected a width that {heads} heads divide; found {width}")
    shapes = {k: s for k, s in roberta.shapes(width, depth, hidden, words, places, types).items() if not k.startswith("pooler.")}
    return Bert(take(checkpoint, shapes, ignored=BERT_IGNORED, what=what), heads, mean, eps).eval(), width, words, places


def text_tower(args, beside, year, dim):
    """`(tower, tokenizer, longest text)`: from the checkpoint (2025) or from a local folder.

    # Errors
    None there; a width that is not the head's.
    """
    from gst_listen_export import hub, towers
    from gst_listen_export.checkpoint import Checkpoint, read

    inside = beside.under(INSIDE)
    if inside:
        source = Checkpoint(beside.path, beside.name, beside.sha256, inside, {}, beside.ignored)
        tower, width, words, places = bert(source, None, year == 2024, 1e-12, "the text tower inside")
        place = args.text_tower
        tokenizer = word_pieces(words) if place is None else towers.tokenizer(place, (), words, 0, "the text tower (BERT)", SPECIAL, ENDS)
    else:
        if year == 2025:
            raise ExportError(f"{beside.path}: expected the text tower under {INSIDE}; found none")
        place = args.text_tower or towers.cached(GTE)
        if place is None:
            raise ExportError("M2D-CLAP 2024 needs thenlper/gte-base, which is not in the local Hugging Face cache: "
                              "say --text-tower FOLDER (nothing is downloaded)")
        config = hub.config(place, "bert")
        source = read(hub.model_file(place) or place / "model.safetensors").stripped("bert.")
        heads, eps = hub.number(place, config, "num_attention_heads", None), hub.number(place, config, "layer_norm_eps", 1e-12, float)
        tower, width, words, places = bert(source, heads, True, eps, "the text tower")
        tokenizer = towers.tokenizer(place, (GTE,), words, 0, "the text tower (gte-base)", SPECIAL, ENDS)
    if any(k.startswith("text_proj.") for k in beside.tensors):
        tower, width = projected(tower, beside, width)
    if width != dim:
        raise ExportError(f"{args.text_tower or beside.path}: expected a text tower that gives {dim} values, as the head does; it gives {width}")
    return tower, tokenizer, places


def projected(tower, beside, width):
    """The tower with the checkpoint's `text_proj` behind it: one layer, or two with a ReLU between."""
    import torch

    from gst_listen_export.checkpoint import take

    two = "text_proj.0.weight" in beside.tensors
    names = ["text_proj.0", "text_proj.2"] if two else ["text_proj"]
    layers, of = [], width
    for i, name in enumerate(names):
        to = beside.shape(f"{name}.weight", "out", of)[0]
        w = take(beside, {f"{name}.weight": (to, of), f"{name}.bias": (to,)}, ignored=list(BESIDE), what="the text projection")
        layer = torch.nn.Linear(of, to)
        layer.weight.data, layer.bias.data = w[f"{name}.weight"], w[f"{name}.bias"]
        layers += [torch.nn.ReLU(), layer] if i else [layer]
        of = to

    class Projected(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tower, self.layers = tower, torch.nn.Sequential(*layers)

        def forward(self, input_ids, attention_mask):
            return self.layers(self.tower(input_ids, attention_mask))

    return Projected().eval(), of


def word_pieces(words):
    """BERT's own tokenizer, of the word pieces that come with the exporter."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = VOCABULARY.read_text(encoding="utf-8").splitlines()
    if len(pieces) != words:
        raise ExportError(f"the text tower inside: expected BERT's {len(pieces)} word pieces; found {words}: "
                          "say --text-tower with its tokenizer.json")
    ids = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


def export(args):
    import torch

    from gst_listen_export import clap, onnx_export
    from gst_listen_export.checkpoint import Checkpoint, read, take
    from gst_listen_export.package import NTT_EVALUATION, PackageWriter, licence, package_id

    checkpoint = read(args.source, args.ignore)
    shape = m2d_checkpoint.geometry(args.geometry or checkpoint.name)
    part, beside, unknown = split(checkpoint)
    take(Checkpoint(checkpoint.path, checkpoint.name, checkpoint.sha256, unknown, {}, checkpoint.ignored), {}, what="M2D-CLAP")
    module, stats = m2d_checkpoint.encoder(part, shape, BESIDE)
    dim = module.norm.weight.shape[0]
    pool, year = head(beside, dim)
    with torch.no_grad():
        out = pool(torch.zeros(1, 2, dim)).shape[1]
    tower, tokenizer, places = text_tower(args, beside, year, out)
    scale = clap.scale(beside, "logit_scale") if "logit_scale" in beside.tensors else None
    manifest = {"id": package_id(args, checkpoint.name), "family": "m2d-clap", "license": licence(NTT_EVALUATION, checkpoint, URL)}
    manifest |= m2d_checkpoint.sections(shape, stats, dim, args, "stack_freq")
    names = ["input_ids", "attention_mask"]
    manifest |= {
        "clip_pooling": "none",
        "head": {"file": "head.onnx", "input": "tokens", "output": "embedding", "takes": "all", "dim": out, "frames": True},
        "text": {"file": "text.onnx", "tokenizer": "tokenizer.json", "inputs": names, "output": "embedding",
                 "max_length": places, "pad": "longest", "pad_id": 0, "pooling": "in_graph"}}
    size = sum(p.numel() * 4 for m in (module, pool, tower) for p in [*m.parameters(), *m.buffers()])

    def embed(window):
        with torch.no_grad():
            return pool(module(torch.from_numpy(window.T.copy())[None, None]))[0].numpy()

    def embed_tokens(tokens):
        with torch.no_grad():
            return pool(torch.from_numpy(tokens)).numpy()

    with PackageWriter(args, manifest, room=size * len(args.precision)) as package:
        m2d_checkpoint.write_encoder(module, shape, manifest, package, args, embed_tokens)
        torch.manual_seed(1)
        onnx_export.export(pool, [(torch.randn(b, n, dim),) for b, n in ((2, 7), (1, 1), (3, 20))], package.path("head.onnx"), ["tokens"],
                           ["embedding"], {"tokens": {0: "batch", 1: "count"}, "embedding": {0: "batch"}})
        words = tokenizer.get_vocab_size(with_added_tokens=True)
        texts = [torch.randint(0, words, (b, n)) for b, n in ((2, 5), (1, 9), (3, 2))]
        masks = [torch.ones_like(t) for t in texts]
        masks[0][1, 3:] = 0
        onnx_export.export(tower, list(zip(texts, masks, strict=True)), package.path("text.onnx"), names, ["embedding"],
                           {n: {0: "batch", 1: "tokens"} for n in names} | {"embedding": {0: "batch"}})
        tokenizer.save(str(package.path("tokenizer.json")), pretty=False)
        package.manifest["clap"] = clap.clap_section(package, embed, ["{} can be heard"] if year == 2024 else ["{} can be heard", "The sound of {}."],
                                                     scale, args.sounds)
        package.self_test(embed)
