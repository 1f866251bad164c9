"""The text tower: its word pieces, its training on the sentence encoder's vectors, its last map."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from .model import TextTower


def make_tokenizer(phrases, vocab, pieces, path):
    """A WordPiece tokenizer of at most `pieces` pieces that the Rust and Python `tokenizers` read; returns its pieces.

    Pieces are taken from the sentence encoder's own (so that their vectors can begin from its): all letters, the
    pieces that the phrases need, by how often, then its commonest words.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    special = ["[PAD]", "[UNK]"]
    normal = normalizers.Sequence([normalizers.Replace("_", " "), normalizers.BertNormalizer(lowercase=True, strip_accents=True)])
    full = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=64))
    full.normalizer, full.pre_tokenizer = normal, pre_tokenizers.BertPreTokenizer()
    counts = {}
    for phrase in phrases:
        for piece in full.encode(phrase, add_special_tokens=False).tokens:
            counts[piece] = counts.get(piece, 0) + 1
    plain = lambda w: w.isascii() and w not in special and not w.startswith("[")
    letters = [w for w in vocab if plain(w) and len(w.removeprefix("##")) == 1]
    endings = [w for w in vocab if plain(w) and w.startswith("##") and w[2:].isalpha() and len(w) <= 6]
    needed = [w for w, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if plain(w)]
    common = [w for w in vocab if plain(w) and w.isalpha()]
    chosen = list(dict.fromkeys(special + letters + needed[: pieces * 3 // 4] + endings[:800] + common))[:pieces]
    own = Tokenizer(models.WordPiece({w: i for i, w in enumerate(chosen)}, unk_token="[UNK]", max_input_chars_per_word=64))
    own.normalizer, own.pre_tokenizer = normal, pre_tokenizers.BertPreTokenizer()
    own.decoder = decoders.WordPiece()
    own.save(str(path))
    return chosen


def begin(chosen, encoder, width):
    """[pieces, width] vectors: the sentence encoder's own, on their principal axes."""
    table = encoder.net.embeddings.word_embeddings.weight.detach().numpy()
    ids = {w: i for i, w in enumerate(json.loads((encoder.folder / "tokenizer.json").read_text())["model"]["vocab"])}
    rows = table[[ids.get(w, 0) for w in chosen]].astype(np.float64)
    rows -= rows.mean(0)
    _, directions = np.linalg.eigh(rows.T @ rows)
    low = rows @ directions[:, ::-1][:, :width]
    return (low / low.std() * 0.5).astype(np.float32)


def encode(tokenizer, texts, length):
    """Ids and mask [n, longest] as int64."""
    codes = [tokenizer.encode(t, add_special_tokens=False).ids[:length] or [1] for t in texts]
    n = max(map(len, codes))
    ids, mask = np.zeros((len(codes), n), np.int64), np.zeros((len(codes), n), np.int64)
    for row, code in enumerate(codes):
        ids[row, : len(code)], mask[row, : len(code)] = code, 1
    return ids, mask


def train(config, work, phrases, vectors, weights, encoder, vocab, seed, log):
    """Trains (or goes on with) the tower on `phrases` [n] and their `vectors` [n, 384], drawn by `weights`."""
    from tokenizers import Tokenizer

    work = Path(work)
    torch.manual_seed(seed)
    path = work / "tokenizer.json"
    chosen = make_tokenizer(phrases, vocab, config.pieces, path)
    tokenizer = Tokenizer.from_file(str(path))
    model = TextTower(len(chosen), config.width, config.inner, config.layers, length=config.length)
    with torch.no_grad():
        model.embed.weight.copy_(torch.from_numpy(begin(chosen, encoder, config.width)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.rate, weight_decay=0.01, betas=(0.9, 0.98))
    ids, mask = encode(tokenizer, phrases, config.length)
    lengths = mask.sum(1)
    rng = np.random.default_rng([seed, 2])
    held = rng.random(len(phrases)) < 0.01
    held[weights > 1] = False
    chance = np.where(held, 0, weights)
    chance = chance / chance.sum()
    mean = torch.from_numpy(vectors.mean(0))
    step, state_path = 0, work / "text.pt"
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    began, run, total = time.time(), 0, 0.0
    while step < config.steps:
        rng = np.random.default_rng([seed, 3, step])
        pick = rng.choice(len(phrases), size=config.batch, p=chance)
        n = int(lengths[pick].max())
        want = torch.from_numpy(vectors[pick])
        for group in optimiser.param_groups:
            group["lr"] = float(config.rate * min(1, (step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / config.steps))))
        got = F.normalize(model.sentence(torch.from_numpy(ids[pick, :n]), torch.from_numpy(mask[pick, :n])), dim=-1)
        # Towards the vector itself, towards it around the mean, and towards the batch's mutual likeness.
        loss = (1 - (got * want).sum(-1)).mean() + (1 - F.cosine_similarity(got - mean, want - mean)).mean() + 3 * F.mse_loss(got @ got.T, want @ want.T)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step, run, total = step + 1, run + 1, total + float(loss.detach())
        if step % 100 == 0 or step == config.steps:
            rows = np.flatnonzero(held)
            with torch.no_grad():
                seen = F.normalize(model.sentence(torch.from_numpy(ids[rows]), torch.from_numpy(mask[rows])), dim=-1) if len(rows) else torch.zeros(0, vectors.shape[1])
            cos = float((seen * torch.from_numpy(vectors[rows])).sum(-1).mean()) if len(rows) else float("nan")
            log({"stage": "text", "step": step, "seconds": round((time.time() - began) / run, 3), "loss": round(total / 100, 4), "held_out_cos": round(cos, 4)})
            total = 0.0
            torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, state_path.with_suffix(".part"))
            state_path.with_suffix(".part").rename(state_path)
    return model.eval(), tokenizer
