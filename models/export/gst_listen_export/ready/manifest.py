"""A user's manifest for a ready graph: TOML or JSON, checked against the schema of packages and for what must hold between keys."""

import json
import tomllib
from importlib import resources

from gst_listen_export.errors import ExportError

OURS = ("format", "version", "sha256", "self_test", "captioner")
"""What the command writes itself, or another command does."""
FILES = (("frontend", "filterbank"), ("head", "file"), ("text", "file"), ("text", "tokenizer"), ("label_embeddings", "file"), ("tagger", "file"),
         ("tagger", "labels"), ("license", "file"))
FRAME_EMBEDDINGS = {"tokens": ("stack_freq", "mean_freq"), "frames": ("identity",), "clip": ("none",), "logits": ("none",)}


def read_manifest(path):
    """The manifest, with `encoder.graphs` for a float32 graph `encoder.onnx`.

    # Errors
    Not a file, neither TOML nor JSON, keys that are missing, unknown or of another form, what does not hold between keys.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path}: expected a manifest (--template writes one): {error.strerror}") from None
    try:
        manifest = json.loads(data) if path.suffix == ".json" else tomllib.loads(data.decode("utf-8"))
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: expected {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    if not isinstance(manifest, dict):
        raise ExportError(f"{path}: expected an object, found {type(manifest).__name__}")
    if found := [k for k in OURS if k in manifest]:
        raise ExportError(f"{path}: expected no {', '.join(found)}: the command writes them; found {', '.join(found)}")
    if manifest.get("description") == "":
        del manifest["description"]
    encoder = manifest.get("encoder")
    if isinstance(encoder, dict):
        graph = encoder.setdefault("graphs", {}).setdefault("fp32", {}) if isinstance(encoder.get("graphs", {}), dict) else {}
        if set(encoder["graphs"]) != {"fp32"} or not isinstance(graph, dict) or set(graph) - {"max_batch"}:
            raise ExportError(f"{path}: encoder.graphs: expected nothing, or fp32.max_batch; found {json.dumps(encoder['graphs'])}")
        graph["file"] = "encoder.onnx"
    check_form(path, manifest)
    check_between(path, manifest)
    return manifest


def check_form(path, manifest):
    import jsonschema
    from jsonschema.exceptions import best_match

    schema = json.loads(resources.files("gst_listen_export").joinpath("data/manifest.schema.json").read_text(encoding="utf-8"))
    whole = {"format": "audio-embedding-package", "version": 1, "sha256": {}} | manifest
    validator = jsonschema.Draft202012Validator(schema)
    if error := best_match(validator.iter_errors(whole), key=depth):
        place = ".".join(map(str, error.absolute_path)) or "the manifest"
        raise ExportError(f"{path}: {place}: expected what models/package/FORMAT.md says: {error.message}")


def depth(error):
    """The error that lies deepest says the most: of a section that may be absent, not that it is not absent."""
    return len(error.absolute_path), error.validator != "type"


def check_between(path, m):
    """What a schema cannot say; the reader of packages checks the rest."""

    def must(holds, key, expected, found):
        if not holds:
            raise ExportError(f"{path}: {key}: expected {expected}, found {found}")

    f, w, out = m["frontend"], m["window"], m["encoder"]["output"]
    waves, kind = f["kind"] == "in_graph", out["kind"]
    layout = m["encoder"]["input"]["layout"]
    must((layout == "BT") == waves, "encoder.input.layout", "BT" if waves else "B1FT, B1TF, BFT or BTF, as the front end makes frames", layout)
    if not waves:
        rate = m["audio"]["sample_rate"]
        must(f["sample_rate"] == rate, "frontend.sample_rate", f"{rate}, as audio.sample_rate", f["sample_rate"])
    for low, key, high in (("min_frames", "frames", "max_frames"),):
        must(w[low] <= w[key] <= w[high], f"window.{key}", f"{w[low]} to {w[high]}", w[key])
    for key in ("frames", "min_frames"):
        must(w[key] % w["multiple_of"] == 0, f"window.{key}", f"a multiple of {w['multiple_of']}", w[key])
    must(1 <= w["default_hop_frames"] <= w["frames"], "window.default_hop_frames", f"1 to {w['frames']}", w["default_hop_frames"])
    must(m["frame_embedding"] in FRAME_EMBEDDINGS[kind], "frame_embedding", f"{' or '.join(FRAME_EMBEDDINGS[kind])} for kind {kind}", m["frame_embedding"])
    steps = kind in ("tokens", "frames")
    pooled_by_head = bool(m.get("head")) and m["head"]["takes"] == "all"
    must((m["clip_pooling"] != "none") == (steps and not pooled_by_head), "clip_pooling",
         "mean_time or mean_plus_max_time" if steps and not pooled_by_head else "none", m["clip_pooling"])
    columns = out["frames_per_column"]
    must(1 <= columns <= w["min_frames"] if steps else columns == 0, "encoder.output.frames_per_column",
         f"1 to {w['min_frames']} (window.min_frames)" if steps else f"0 for kind {kind}", columns)
    must(("order" in out) == (kind == "tokens"), "encoder.output.order", "f_major or t_major" if kind == "tokens" else f"none for kind {kind}",
         out.get("order", "none"))


def files(path, manifest):
    """`{name: file}` that the manifest names beside the graph; each is copied under its name.

    # Errors
    One that is not there.
    """
    names = {manifest[section][key] for section, key in FILES if (manifest.get(section) or {}).get(key)}
    calibration = (manifest.get("clap") or {}).get("calibration")
    if calibration:
        names.add(calibration["file"])
    for section in ("head", "text", "tagger"):
        names |= set((manifest.get(section) or {}).get("external_data", []))
    if reserved := names & {"encoder.onnx", "manifest.json", "self_test.safetensors"}:
        raise ExportError(f"{path}: expected other names than the package's own files; found {', '.join(sorted(reserved))}")
    for name in sorted(names):
        if not (path.parent / name).is_file():
            raise ExportError(f"{path}: {name}: expected the file {path.parent / name}, found nothing")
    return {name: path.parent / name for name in names}
