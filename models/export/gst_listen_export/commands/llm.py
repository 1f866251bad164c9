"""Puts a language model onto a package, so that llmcaption can tell what is heard: `backend=local`.

SOURCE is a local Hugging Face folder of a decoder-only model (Llama, Qwen2, Qwen3: config.json, safetensors,
tokenizer.json). Nothing is fetched, and nothing in the folder is executed but its chat template, in Jinja's sandbox.

With --projector the model hears: a safetensors file (see gst_listen_export/llm/projector.py) makes vectors that stand
in the prompt of an embedding of sound. Without it the model is told the evidence as text.
"""

from pathlib import Path
from types import SimpleNamespace

from gst_listen_export.errors import ExportError

NAME = "llm"
HELP = "put a language model's captions onto a package"
MAX_CACHE = 1 << 31  # keys and values at the last position: as models/package has it
MAX_PACKAGE = 4 << 30


def add_arguments(parser):
    parser.add_argument("source", type=Path, help="local Hugging Face folder of a decoder-only model")
    parser.add_argument("--onto", type=Path, required=True, metavar="PACKAGE", help="package whose encoder hears; it stays as it is")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the package to be written")
    parser.add_argument("--projector", type=Path, metavar="FILE", help="safetensors: from embeddings of sound to vectors before the words")
    parser.add_argument("--max-windows", type=int, default=1, metavar="N", help="windows of sound that one prompt may hold (default: 1, the latest)")
    parser.add_argument("--template", metavar="TEXT",
                        help="the prompt, with {prompt}, {audio} where there is a projector, and {system} (default: the folder's chat template)")
    parser.add_argument("--precision", choices=["fp32", "int8"], default="fp32",
                        help="of the language model's matrices; int8 is refused where its logits' cosine to fp32 is below 0.995 (default: fp32)")
    parser.add_argument("--stop", action="append", default=[], metavar="TOKEN", help="a token that ends an answer, beside the model's own")
    parser.add_argument("--evidence", choices=["json", "compact"], default="json",
                        help="how {prompt} tells what was heard: models/captioner/EVIDENCE.md (default: json, for models that read)")
    parser.add_argument("--max-positions", type=int, metavar="N", help="most positions, prompt and answer together (default: the model's, as far as a package may)")
    parser.add_argument("--max-tokens", type=int, default=64, metavar="N", help="longest answer, unless the user says otherwise (default: 64)")
    parser.add_argument("--temperature", type=float, default=0.0, help="default of generation (0: the likeliest token)")
    parser.add_argument("--top-p", type=float, default=1.0, help="default of generation")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, help="default of generation")
    parser.add_argument("--id", help="id of the package (default: the other package's, and the folder's name)")
    parser.add_argument("--description", help="one sentence for people")
    parser.add_argument("--license", metavar="ID", help="SPDX identifier of the language model's licence")
    parser.add_argument("--license-file", type=Path, metavar="FILE", help="its text (default: LICENSE in the folder)")
    parser.add_argument("--redistributable", action="store_true", help="that licence allows passing the weights on")
    parser.add_argument("--commercial-use", action="store_true", help="that licence allows commercial use")
    parser.add_argument("--replace", action="store_true", help="replace the package if it is there")


def run(args):
    from gst_listen_export.llm import self_test
    from gst_listen_export.llm.config import read_config
    from gst_listen_export.llm.onto import Base
    from gst_listen_export.llm.tokens import read_tokenizer, stop_ids
    from gst_listen_export.llm.weights import Weights
    from gst_listen_export.package import PackageWriter, package_id

    check_numbers(args)
    config, weights = read_config(args.source), Weights(args.source)
    positions = most_positions(args, config)
    tokenizer = read_tokenizer(args.source, config.vocab)
    base = Base(args.onto)
    template, begin = prompt(args, tokenizer)
    int8 = args.precision == "int8"
    if (size := base.bytes + weights.room(1 if int8 else 4)) > MAX_PACKAGE:
        raise ExportError(f"{args.source}: expected a model that makes a package of at most {MAX_PACKAGE >> 30} GiB in {args.precision}, found one of "
                          f"{size / 2**30:.1f} GiB{'' if int8 else ': --precision int8 makes a quarter of it'}")
    section = {"decoder": None, "embed_tokens": None, "tokenizer": "tokenizer.json", "prompt": template} | ({"evidence": args.evidence} if args.evidence != "json" else {}) | {
               "begin": list(begin), "stop": stop_ids(tokenizer, config, args.stop), "max_tokens": args.max_tokens, "temperature": args.temperature,
               "top_p": args.top_p, "repetition_penalty": args.repetition_penalty}
    clash = {"tokenizer.json", "decoder.onnx", "embed_tokens.onnx", "projector.onnx"} & set(base.files)
    folder = "captioner/" if clash else ""  # CLAP packages have a tokenizer of their own
    args.id = args.id or package_id(SimpleNamespace(id=None), f"{base.manifest['id']}-{args.source.resolve().name}")
    manifest = {k: v for k, v in base.manifest.items() if k not in ("format", "version", "sha256", "description")}
    manifest |= {"id": package_id(args, ""), "license": base.licence(args, args.source.resolve())}
    if "description" in base.manifest and not args.description:
        manifest["description"] = base.manifest["description"]
    writer = SimpleNamespace(output=args.output, replace=args.replace, description=args.description, license_file=None)
    with PackageWriter(writer, manifest, room=size) as package:
        base.copy(package)
        if text := base.licence_text(args, args.source.resolve()):
            name = manifest["license"].get("file") or ("LICENSE.captioner.txt" if "LICENSE.txt" in base.files else "LICENSE.txt")
            package.manifest["license"]["file"] = package.save_text(name, text)
        package.path(folder).mkdir(exist_ok=True)
        section["tokenizer"] = folder + "tokenizer.json"
        tokenizer.encode_special_tokens = False
        tokenizer.save(str(package.path(section["tokenizer"])), pretty=False)
        write_graphs(package, folder, section, config, weights, positions, int8)
        if args.projector:
            write_projector(package, folder, section, config, base, args)
        section = {k: section[k] for k in ("decoder", "embed_tokens", "projector", *section) if k in section}
        cosine = reduced_cosine(package, section, config, weights, tokenizer) if int8 else None
        if tokens := self_test.answer(package.folder, section, package.manifest, tokenizer):
            section["self_test"] = {"prompt": self_test.PROMPT, "tokens": tokens}
        package.manifest["captioner"] = section
    print(f"{args.output}: {config.family}, {config.layers} layers of {config.hidden}, {config.vocab} tokens"
          f"{', hears through ' + args.projector.name if args.projector else ', is told events as text'}"
          f"{'' if cosine is None else f', int8 with a cosine of {cosine:.5f} to fp32'}")


def check_numbers(args):
    for name, least, value in (("--max-windows", 1, args.max_windows), ("--max-tokens", 1, args.max_tokens)):
        if value < least:
            raise ExportError(f"{name}: expected a whole number of at least {least}, found {value}")
    for name, fits, expected, value in (
            ("--temperature", 0 <= args.temperature <= 2, "0 to 2", args.temperature), ("--top-p", 0 < args.top_p <= 1, "above 0, to 1", args.top_p),
            ("--repetition-penalty", 0 < args.repetition_penalty <= 10, "above 0, to 10", args.repetition_penalty)):
        if not fits:
            raise ExportError(f"{name}: expected a number {expected}, found {value}")
    if not args.source.is_dir():
        raise ExportError(f"{args.source}: expected a Hugging Face folder, found {'a file' if args.source.exists() else 'nothing'}")


def most_positions(args, config):
    """`captioner.decoder.max_positions`: the model's own, unless the cache would be too long or the user wants fewer."""
    fits = MAX_CACHE // (2 * config.layers * config.kv_heads * config.head_dim)
    most = min(config.max_context, fits)
    if args.max_positions is not None and not 2 <= args.max_positions <= most:
        raise ExportError(f"--max-positions: expected 2 to {most} (max_position_embeddings {config.max_context}, a cache of {fits}), found {args.max_positions}")
    most = args.max_positions or most
    if args.max_tokens > min(most, 4096):
        raise ExportError(f"--max-tokens: expected at most {min(most, 4096)}, found {args.max_tokens}")
    return most


def prompt(args, tokenizer):
    """The template, and the ids before it: a chat format writes its own, of other texts the tokenizer knows them."""
    from gst_listen_export.llm.template import begins_with, chat_template, check_template, plain
    from gst_listen_export.llm.tokens import put_before

    hears = args.projector is not None
    if args.template is None and (found := chat_template(args.source, hears)):
        return found, ()
    template = check_template(plain(hears) if args.template is None else args.template, hears)
    begin = put_before(tokenizer)
    return template, () if begins_with(template, tokenizer, begin) else begin


def write_graphs(package, folder, section, config, weights, positions, int8):
    from gst_listen_export.llm.decoder import decoder_graph, embed_graph

    name = folder + "embed_tokens.onnx"
    data = embed_graph(config, weights, int8).save(package.path(name))
    section["embed_tokens"] = {"file": name, "external_data": [folder + n for n in data], "input": "input_ids", "output": "inputs_embeds"}
    name = folder + "decoder.onnx"
    data = decoder_graph(config, weights, int8).save(package.path(name))
    weights.finish()
    section["decoder"] = {"file": name, "external_data": [folder + n for n in data], "layers": config.layers, "kv_heads": config.kv_heads,
                          "head_dim": config.head_dim, "hidden": config.hidden, "vocab": config.vocab, "max_positions": positions,
                          "position_ids": True}


def write_projector(package, folder, section, config, base, args):
    from gst_listen_export.llm.onto import dims
    from gst_listen_export.llm.projector import projector_graph, read_projector

    graph, takes, _, prefix = projector_graph(read_projector(args.projector), dims(base.manifest), config.hidden)
    name = folder + "projector.onnx"
    data = graph.save(package.path(name))
    positions = section["decoder"]["max_positions"]
    room = positions - section["max_tokens"]
    if prefix * args.max_windows >= room:
        raise ExportError(f"--max-windows: expected fewer than {room} positions of sound ({positions} in all, "
                          f"answers of {section['max_tokens']}), found {args.max_windows} x {prefix}")
    section["projector"] = {"file": name, "external_data": [folder + n for n in data], "input": "embedding", "output": "prefix", "takes": takes,
                            "prefix": prefix, "max_windows": args.max_windows}


def reduced_cosine(package, section, config, weights, tokenizer):
    """The mean cosine of int8's logits to those in float32, at every position of the self-test's prompt and an answer.

    # Errors
    Below 0.995.
    """
    import tempfile

    from gst_listen_export.llm import self_test
    from gst_listen_export.llm.decoder import decoder_graph, embed_graph
    from gst_listen_export.llm.greedy import Greedy, logits_cosine
    from gst_listen_export.onnx_export import MIN_COSINE

    # Beside the package: the same disk, whose room is known.
    with tempfile.TemporaryDirectory(prefix=f".{package.output.name}.fp32-", dir=package.folder.parent) as scratch:
        whole = {"decoder": section["decoder"] | {"file": "decoder.onnx"}, "embed_tokens": section["embed_tokens"] | {"file": "embed_tokens.onnx"}}
        embed_graph(config, weights).save(Path(scratch) / "embed_tokens.onnx")
        decoder_graph(config, weights).save(Path(scratch) / "decoder.onnx")
        cosine = logits_cosine(Greedy(Path(scratch), whole), Greedy(package.folder, section), *self_test.prompt(section, package.manifest, tokenizer))
    if not cosine >= MIN_COSINE:
        raise ExportError(f"--precision int8: expected logits with a cosine of at least {MIN_COSINE} to fp32's, found {cosine:.4f}")
    return cosine
