"""The text tower: its word pieces, its training on the sentence encoder's vectors, its last map."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from .device import CPU, moved
from .model import TextTower


def make_tokenizer(phrases, vocab, pieces, path):
    """A WordPiece tokenizer of at most `pieces` pieces that the Rust and Python `tokenizers` read; returns its pieces.

    Pieces are taken from the sentence encoder's own (so that their vectors can begin from its): all letters, the
    pieces that the phrases need, by how often, then its commonest words.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    special = ["[PAD]", "[UNK]"]
    normal = normalizers.Sequence(
        [normalizers.Replace("_", " "), normalizers.BertNormalizer(lowercase=True, strip_accents=True)]
    )
    full = Tokenizer(
        models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=64)
    )
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
    own = Tokenizer(
        models.WordPiece({w: i for i, w in enumerate(chosen)}, unk_token="[UNK]", max_input_chars_per_word=64)
    )
    own.normalizer, own.pre_tokenizer = normal, pre_tokenizers.BertPreTokenizer()
    own.decoder = decoders.WordPiece()
    own.save(str(path), pretty=False)
    return chosen


def begin(chosen, encoder, width):
    """[pieces, width] vectors: the sentence encoder's own, on their principal axes."""
    table = encoder.net.embeddings.word_embeddings.weight.detach().cpu().numpy()
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


class Phrases:
    """Texts as ids with the vectors wanted of them; batches of like length, the same for the same step and seed."""

    GROUP = 8

    def __init__(self, tokenizer, texts, vectors, weights, length, batch, seed):
        self.ids, self.mask = encode(tokenizer, texts, length)
        self.vectors, self.lengths, self.batch, self.seed = vectors, self.mask.sum(1), batch, seed
        held = np.random.default_rng([seed, 2]).random(len(texts)) < 0.01
        held[weights > 1] = False
        self.held = np.flatnonzero(held)
        chance = np.where(held, 0, weights)
        self.chance = chance / chance.sum()

    def draw(self, step):
        """Ids, mask and wanted vectors of one step: drawn for `GROUP` steps at once, sorted by length, dealt out."""
        rng = np.random.default_rng([self.seed, 3, step // self.GROUP])
        pick = rng.choice(len(self.chance), size=self.batch * self.GROUP, p=self.chance)
        pick = pick[np.argsort(self.lengths[pick], kind="stable")]
        return self.take(pick.reshape(self.GROUP, -1)[rng.permutation(self.GROUP)[step % self.GROUP]])

    def take(self, rows):
        n = int(self.lengths[rows].max()) if len(rows) else 1
        return tuple(map(torch.from_numpy, (self.ids[rows, :n], self.mask[rows, :n], self.vectors[rows])))


def likeness(got, want, mean):
    """Loss of unit vectors: towards each, towards each around the mean, and towards the batch's mutual likeness."""
    around = F.cosine_similarity(got - mean, want - mean)
    return (1 - (got * want).sum(-1)).mean() + (1 - around).mean() + 3 * F.mse_loss(got @ got.T, want @ want.T)


def train(config, work, phrases, vectors, weights, encoder, vocab, seed, log, device=CPU):
    """Trains (or goes on with) the tower, on `device`, on `phrases` [n] and their `vectors` [n, 384], drawn by `weights`."""
    from tokenizers import Tokenizer

    work = Path(work)
    torch.manual_seed(seed)
    path = work / "text.pt"
    if not path.exists():
        make_tokenizer(phrases, vocab, config.pieces, work / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    chosen = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    model = TextTower(len(chosen), config.width, config.inner, config.layers, length=config.length)
    with torch.no_grad():
        model.embed.weight.copy_(torch.from_numpy(begin(chosen, encoder, config.width)))
    model = model.to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.rate, weight_decay=0.01, betas=(0.9, 0.98))
    data = Phrases(tokenizer, phrases, vectors, weights, config.length, config.batch, seed)
    mean = torch.from_numpy(vectors.mean(0)).to(device)
    step = 0
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    began, run, total = time.time(), 0, 0.0
    bar = tqdm(desc="text tower", total=config.steps, initial=step, disable=None)
    while step < config.steps:
        ids, mask, want = moved(data.draw(step), device)
        for group in optimiser.param_groups:
            group["lr"] = float(
                config.rate * min(1, (step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / config.steps)))
            )
        loss = likeness(F.normalize(model.sentence(ids, mask), dim=-1), want, mean)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step, run, total = step + 1, run + 1, total + float(loss.detach())
        bar.update()
        if step % 200 == 0 or step == config.steps:
            ids, mask, want = moved(data.take(data.held), device)
            with torch.no_grad():
                cos = float((F.normalize(model.sentence(ids, mask), dim=-1) * want).sum(-1).mean())
            log(
                {
                    "stage": "text",
                    "step": step,
                    "seconds": round((time.time() - began) / run, 3),
                    "loss": round(total / ((step - 1) % 200 + 1), 4),
                    "held_out_cos": round(cos, 4),
                }
            )
            total = 0.0
            torch.save(
                {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step},
                path.with_suffix(".part"),
            )
            path.with_suffix(".part").rename(path)
    bar.close()
    return model.eval().to("cpu"), tokenizer


def join(config, model, tokenizer, map_, phrases, vectors, weights, seed, log, device=CPU):
    """Last: the tower learns the audio side's own map, where the map itself stays. `vectors` are the sentence encoder's."""
    model = model.to(device).train()
    with torch.no_grad():
        goal = F.normalize(map_(torch.from_numpy(vectors)), dim=-1).numpy()
    data = Phrases(tokenizer, phrases, goal, weights, config.length, config.batch, seed + 1)
    mean = torch.from_numpy(goal.mean(0)).to(device)
    frozen = [p.detach().to(device) for p in map_.parameters()]
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.rate / 4, weight_decay=0.0, betas=(0.9, 0.98))
    total = 0.0
    for step in range(config.join_steps):
        ids, mask, want = moved(data.draw(step), device)
        for group in optimiser.param_groups:
            group["lr"] = float(config.rate / 4 * 0.5 * (1 + np.cos(np.pi * step / config.join_steps)))
        got = F.normalize(F.linear(F.normalize(model.sentence(ids, mask), dim=-1), *frozen), dim=-1)
        loss = likeness(got, want, mean)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        total += float(loss.detach())
        if (step + 1) % 200 == 0 or step + 1 == config.join_steps:
            log({"stage": "join", "step": step + 1, "loss": round(total / (step % 200 + 1), 4)})
            total = 0.0
    return model.eval().to("cpu")
