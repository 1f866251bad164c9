"""Says in plain words what a package, a checkpoint, an ONNX or a TensorFlow Lite file is. Reads; changes nothing, runs nothing."""

import json
import math
from pathlib import Path

from gst_listen_export.errors import ExportError
from gst_listen_export.words import plain

NAME = "inspect"
HELP = "say what a package, a checkpoint, an ONNX or a .tflite file is"


def add_arguments(parser):
    parser.add_argument("path", type=Path, help="a package (a folder with a manifest.json), a checkpoint, an ONNX or a .tflite file")


def run(args):
    if not args.path.exists():
        raise ExportError(f"{args.path}: expected a package or a checkpoint; nothing is there")
    if (args.path / "manifest.json").is_file() or args.path.name == "manifest.json":
        folder = args.path if args.path.is_dir() else args.path.parent
        lines = package_lines(folder)
    elif args.path.suffix == ".onnx":
        lines = graph_lines(args.path)
    elif args.path.suffix == ".tflite":
        lines = tflite_lines(args.path)
    elif is_language_model(args.path):
        lines = language_model_lines(args.path)
    else:
        lines = checkpoint_lines(args.path)
    print("\n".join(lines))


def read_manifest(folder):
    """# Errors
    No manifest, not JSON, another format.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"{folder}: expected a package; there is no manifest.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: expected JSON: {error}") from None
    found = (manifest.get("format"), manifest.get("version")) if isinstance(manifest, dict) else type(manifest).__name__
    if found != ("audio-embedding-package", 1):
        raise ExportError(f"{path}: expected format audio-embedding-package, version 1; found {found}")
    return manifest


def package_lines(folder):
    """Sentences about a package, faults of its files among them."""
    m = read_manifest(folder)
    try:
        return _package_lines(folder, m)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ExportError(f"{folder / 'manifest.json'}: expected the keys of models/package/FORMAT.md; missing or of another type: {error}") from None


def _package_lines(folder, m):
    w, out, licence = m["window"], m["encoder"]["output"], m["license"]
    rate = m["audio"]["sample_rate"]
    in_graph = m["frontend"]["kind"] == "in_graph"
    step = 1 / rate if in_graph else m["frontend"]["hop_length"] / rate
    lines = [f"{folder}: package {m['id']} of the family {m['family']}" + (f": {m['description']}" if m.get("description") else "")]
    asks = "must be accepted (accept-license=true)" if licence["accept_required"] else "need not be accepted"
    may = " and ".join(("may" if licence[k] else "may not") + f" be {t}" for k, t in (("redistributable", "passed on"), ("commercial_use", "used commercially")))
    lines.append(f"licence: {licence['id']}; it {asks}; the weights {may}")
    if licence.get("source_sha256"):
        lines.append(f"made of: a checkpoint with sha256 {licence['source_sha256']}" + (f", from {licence['source_url']}" if licence.get("source_url") else ""))
    if in_graph:
        lines.append(f"hears: samples at {rate} Hz; the graph has its own front end")
    else:
        f = m["frontend"]
        lines.append(f"hears: {f['n_mels']} {plain('mel_scale', f['mel_scale'])} from {f['f_min']:g} to {f['f_max']:g} Hz at {rate} Hz, a frame every "
                     f"{1000 * step:g} ms from {f['win_length']} samples, {plain('log', f['log']['kind'], f['log'])}"
                     + (f"; the bands' weights are the model's own ({f['filterbank']})" if f.get("filterbank") else ""))
    lines.append(f"normalises: {plain('normalize', m['normalize']['kind'], m['normalize'])}")
    unit = "samples" if in_graph else "frames"
    lines.append(f"window: {w['frames']} {unit} ({w['frames'] * step:.2f} s), any multiple of {w['multiple_of']} from {w['min_frames']} to "
                 f"{w['max_frames']}; a new one every {w['default_hop_frames'] * step:.2f} s; {plain('edge', w['edge'])}; one that the sound's end cuts short is filled "
                 f"with {plain('short_pad', w['short_pad'])}")
    if m.get("streaming"):
        s = m["streaming"]
        lines.append(f"streaming: exact in chunks of {s['chunk_frames']} frames with {s['left_context']} before and {s['right_context']} after"
                     + (", each frame encoded once: what was heard is carried over" if s.get("carry") else ""))
    kind = {"tokens": f"tokens of {out['dim']} values, {out['freq_rows']} rows every {out['frames_per_column'] * step * 1000:g} ms",
            "frames": f"vectors of {out['dim']} values every {out['frames_per_column'] * step * 1000:g} ms",
            "clip": f"a vector of {out['dim']} values per window", "logits": f"scores of {out['dim']} classes per window"}[out["kind"]]
    lines.append(f"gives: {kind}; {plain('frame_embedding', m['frame_embedding'])}, {plain('clip_pooling', m['clip_pooling'])}")
    for precision, graph in m["encoder"]["graphs"].items():
        size = (folder / graph["file"]).stat().st_size / 1e6 if (folder / graph["file"]).is_file() else 0
        more = "" if graph.get("cosine") is None else f", cosine to fp32 {graph['cosine']}"
        more += f", at batch {graph['max_batch']} at most" if graph.get("max_batch") else ""
        lines.append(f"  {precision}: {graph['file']}, {size:.1f} MB{more}")
    if m.get("head"):
        lines.append(f"head: takes {plain('takes', m['head']['takes'])}, gives {m['head']['dim']} values")
    if m.get("text"):
        lines.append(f"labels: any words, through the text tower {m['text']['file']} ({plain('pooling', m['text']['pooling'])})")
    elif m.get("label_embeddings"):
        lines.append(f"labels: {len(m['label_embeddings']['labels'])} of a table: {', '.join(m['label_embeddings']['labels'][:8])} …")
    if m.get("clap"):
        lines.append(f"prompts: {', '.join(m['clap']['prompt_templates'])}; "
                     + (f"cosines are multiplied by {m['clap']['logit_scale']:g}" if m["clap"].get("logit_scale") else "cosines stand as they are"))
    if m.get("tagger"):
        names = (folder / m["tagger"]["labels"]).read_text(encoding="utf-8").splitlines()
        lines.append(f"classes: {len(names)}, scores {plain('activation', m['tagger']['activation'])}: {', '.join(names[:6])} …")
    if m.get("captioner"):
        lines += caption_lines(m["captioner"])
    lines.append(f"self-test: {'yes' if m.get('self_test') else 'none'}")
    lines += [f"FAULT: {fault}" for fault in faults(folder, m)] or [f"files: all {len(m['sha256'])} are as they were written"]
    return lines


def faults(folder, manifest):
    """What of a package's files is not as the manifest says, a sentence each."""
    from gst_listen_export.checkpoint import sha256

    wrong = []
    for name, digest in manifest["sha256"].items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name}: missing")
        elif sha256(path) != digest:
            wrong.append(f"{name}: its sha256 is not the manifest's; the file was changed")
    return wrong


def caption_lines(c):
    """Sentences about the part that makes captions."""
    d, p = c["decoder"], c.get("projector")
    hears = f"hears {p['prefix']} vectors of a window's {p['takes']}, {p['max_windows']} windows at most" if p else "is told events as text"
    choice = "takes the likeliest token" if c["temperature"] == 0 else f"draws at temperature {c['temperature']:g}, top-p {c['top_p']:g}"
    return [f"captions: a decoder of {d['layers']} layers of {d['hidden']}, {d['vocab']} tokens, {d['max_positions']} positions; it {hears}, {choice}, "
            f"says {c['max_tokens']} tokens at most; {'with' if c.get('self_test') else 'without'} a self-test",
            f"  its prompt: {c['prompt']!r}"]


def graph_lines(path):
    """Sentences about an ONNX file."""
    from gst_listen_export.ready.graph import read_graph

    graph = read_graph(path)
    lines = [f"{path}: an ONNX graph, opset {graph.opset}, {path.stat().st_size / 1e6:.1f} MB"
             + (f", with external data in {', '.join(graph.data)}" if graph.data else "")]
    lines += [f"takes {p}" for p in graph.inputs] + [f"gives {p}" for p in graph.outputs]
    return [*lines, f"to make a package of it, write what it takes and means into a manifest:\n  gst-listen-export onnx {path} --template -o model.toml"]


def tflite_lines(path):
    """Sentences about a TensorFlow Lite file."""
    from gst_listen_export import tflite

    file = tflite.File(path)
    ends = [f"{word} {t.name} {t.dtype} {list(t.shape)}" for word, numbers in (("takes", file.inputs), ("gives", file.outputs))
            for t in (file.tensors[n] for n in numbers)]
    try:
        graph = tflite.Rebuilt(file)
        words = (f"yamnet: {graph.outputs.get('scores', 0)} classes of {graph.frames} frames of {graph.bands} bands\n"
                 f"  gst-listen-export yamnet {path} -o PACKAGE")
    except ExportError as error:
        words = f"yamnet: it is none: {error}"
    return [f"{path}: a TensorFlow Lite file with {len(file.operators)} operators, {path.stat().st_size / 1e6:.1f} MB", *ends, words]


def is_language_model(folder):
    """Whether a folder's config.json says one of the architectures that `llm` takes."""
    from gst_listen_export.llm.config import FAMILIES, LlmError, read_json

    try:
        return folder.is_dir() and read_json(folder / "config.json").get("model_type") in FAMILIES
    except LlmError:
        return False


def language_model_lines(folder):
    """Sentences about a Hugging Face folder of a decoder-only language model."""
    from gst_listen_export.llm.config import read_config
    from gst_listen_export.llm.template import chat_template
    from gst_listen_export.llm.weights import Weights

    config, weights = read_config(folder), Weights(folder)
    count = sum(math.prod(place[4]) for place in weights.places.values())
    template = chat_template(folder, hears=False)
    return [f"{folder}: a language model of the class {config.family}: {config.layers} layers of {config.hidden}, {config.vocab} tokens, "
            f"{config.max_context} positions, {count / 1e6:.1f} million values",
            f"its prompt: {template!r}" if template else "it has no chat format: --template says how a prompt is written",
            f"its answers end at the tokens {', '.join(map(str, config.stop_tokens))}" if config.stop_tokens else "it names no token that ends an answer: --stop TOKEN",
            f"tokenizer.json: {'there' if (folder / 'tokenizer.json').is_file() else 'missing'}",
            f"llm: it can tell what a package hears\n  gst-listen-export llm {folder} --onto PACKAGE -o NEW_PACKAGE"]


def checkpoint_lines(path):
    """Sentences about a checkpoint: which family it is, what its tensors are."""
    from gst_listen_export import families
    from gst_listen_export.checkpoint import read, some
    from gst_listen_export.cli import modules

    checkpoint = read(path)
    count = sum(v.numel() for v in checkpoint.tensors.values())
    lines = [f"{checkpoint.path}: a checkpoint with {len(checkpoint.tensors)} tensors, {count / 1e6:.2f} million values; sha256 {checkpoint.sha256}",
             f"its name: {checkpoint.name}"]
    told = False
    for module in modules(families):
        if not hasattr(module, "recognise"):
            continue
        try:
            words = module.recognise(checkpoint)
        except ExportError as error:
            words = f"looks like it, but: {error}"
        if words:
            more = getattr(module, "required", lambda _: "")(checkpoint)
            lines.append(f"{module.NAME}: {words}\n  gst-listen-export {module.NAME} {path} -o PACKAGE{more and ' '}{more}")
            told = True
    if not told:
        lines.append("no family that this program knows has these tensors: " + some([f"{k} {list(v.shape)}" for k, v in checkpoint.tensors.items()]))
    if checkpoint.other:
        lines.append(f"beside the tensors: {some([str(k) for k in checkpoint.other], 10)}")
    return lines
