"""A sentence as a vector: the package's own text tower, with its prompts, as clapmatch runs it."""

import json

import numpy as np

from gst_listen_search.errors import SearchError


def same_form(name):
    """How names are compared: lower case, one space where there are spaces or underscores."""
    return " ".join(name.replace("_", " ").lower().split())


class Tower:
    """Tokenizer and graph of a package with the keys `text` and `clap`."""

    reads_sentences = True

    def __init__(self, package):
        import onnxruntime
        from tokenizers import Tokenizer

        self.text, self.dim = package.manifest["text"], package.manifest["clap"]["dim"]
        source = package.read(self.text["tokenizer"])
        self.tokenizer = Tokenizer.from_str(source.decode("utf-8"))
        self.tokenizer.enable_truncation(self.text["max_length"])
        self.tokenizer.no_padding()
        self.empty = empty_tokens(self.tokenizer, json.loads(source))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.x64quantprecision", "1")  # the numbers of the runtime on any processor
        package.read(self.text["file"])  # its checksum; the graph may have external data beside it
        self.session = onnxruntime.InferenceSession(package.folder / self.text["file"], options, providers=["CPUExecutionProvider"])

    def knows(self, text):
        """Whether a token of it says anything."""
        return any(i not in self.empty for i in self.tokenizer.encode(text, add_special_tokens=False).ids)

    def embed(self, text):
        """`[dim]`, float64."""
        ids = self.tokenizer.encode(text + self.text.get("append", "")).ids
        real = len(ids)
        if self.text["pad"] == "max_length":
            ids = ids + [self.text["pad_id"]] * (self.text["max_length"] - real)
        mask = np.arange(len(ids)) < real
        feeds = dict(zip(self.text["inputs"], (np.array([ids], np.int64), mask[None].astype(np.int64)), strict=False))
        y = self.session.run([self.text["output"]], feeds)[0].astype(np.float64)[0]
        pooling = self.text["pooling"]
        if pooling != "in_graph":
            y = {"mean_mask": lambda: y[:real].mean(axis=0), "cls": lambda: y[0], "last_token": lambda: y[real - 1]}[pooling]()
        if y.shape != (self.dim,):
            raise SearchError(f"the text tower gives {list(y.shape)}; expected [{self.dim}]")
        return y


class Table:
    """A package's label embeddings where it has no tower: only its labels are known."""

    reads_sentences = False

    def __init__(self, package):
        table = package.manifest["label_embeddings"]
        rows = package.tensor(table["file"], "embeddings").astype(np.float64)
        self.labels = table["labels"]
        self.rows = {same_form(label): row for label, row in reversed(list(zip(table["labels"], rows, strict=True)))}

    def knows(self, text):
        return same_form(text) in self.rows

    def embed(self, text):
        return self.rows[same_form(text)]


def empty_tokens(tokenizer, source):
    """Tokens that say nothing about a text: special ones, and the one for what is unknown."""
    model = source.get("model", {})
    empty = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    unknown = model.get("unk_token")
    unknown = tokenizer.token_to_id(unknown) if unknown is not None else model.get("unk_id")
    return empty | ({unknown} if unknown is not None else set())


def tower(package):
    """# Errors
    The package knows no words.
    """
    manifest = package.manifest
    if manifest.get("clap") and manifest.get("text"):
        return Tower(package)
    if manifest.get("clap") and manifest.get("label_embeddings"):
        return Table(package)
    raise SearchError(f"{package.folder}: expected a package that compares sound with text (keys clap and text); {manifest['id']} has none")


def unit(vector):
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or length == 0:
        raise SearchError("a text's embedding is zero or not finite")
    return vector / length


def embedding(tower, templates, text):
    """`[dim]` of unit length: the mean over the prompts, each of unit length.

    # Errors
    A text that says nothing to the tower.
    """
    if not tower.knows(text):
        known = "" if tower.reads_sentences else f"; it knows these labels: {', '.join(tower.labels[:12])} …"
        raise SearchError(f"the package cannot embed {text!r}: no part of it is known" + known)
    if not tower.reads_sentences:
        return unit(tower.embed(text))
    prompts = [t.replace("{}", text.replace("_", " ")) for t in templates or ["{}"]]
    return unit(np.mean([unit(tower.embed(p)) for p in prompts], axis=0))
