"""A caption part's graphs run by ONNX Runtime, token by token: what makes its self-test."""

import numpy as np

from ..errors import ExportError
from ..onnx_export import open_session

CLEAR = 1e-3
"""How far above the second the likeliest token's logit must be for the same choice on every machine."""


class Greedy:
    """The graphs of the section `captioner` in a folder."""

    def __init__(self, folder, section):
        self.decoder = section["decoder"]
        self.embed_names, self.projector_names = section["embed_tokens"], section.get("projector")
        self.graph, self.embed = (open_session(folder / section[k]["file"]) for k in ("decoder", "embed_tokens"))
        self.projector = open_session(folder / self.projector_names["file"]) if self.projector_names else None

    def words(self, ids):
        """Embeddings of token ids, `[1, N, hidden]`."""
        names = self.embed_names
        return self.embed.run([names["output"]], {names["input"]: np.array([ids], np.int64)})[0]

    def sound(self, audio):
        """The prefix of one window's embedding, `[1, prefix, hidden]`."""
        names = self.projector_names
        return self.projector.run([names["output"]], {names["input"]: audio.astype(np.float32)[None]})[0]

    def positions(self, prompt, audio):
        """The embeddings of a prompt: lists of ids, and None where the sound stands."""
        parts = [self.sound(audio) if ids is None else self.words(ids) for ids in prompt if ids is None or ids]
        if not parts:
            raise ExportError("the prompt: expected at least one token or the sound; it is empty")
        return np.concatenate(parts, axis=1)

    def steps(self, prompt, audio=None):
        """The logits `[vocab]` of one step after the other; what is sent back is the id that was taken."""
        d, x, at = self.decoder, self.positions(prompt, audio), 0
        names = [f"{i}.{part}" for i in range(d["layers"]) for part in ("key", "value")]
        past = [np.zeros((1, d["kv_heads"], 0, d["head_dim"]), np.float32)] * len(names)
        while at + x.shape[1] <= d["max_positions"]:
            n = x.shape[1]
            feed = {"inputs_embeds": x, "attention_mask": np.ones((1, at + n), np.int64)}
            if d["position_ids"]:
                feed["position_ids"] = np.arange(at, at + n, dtype=np.int64)[None]
            feed |= {f"past_key_values.{name}": value for name, value in zip(names, past, strict=True)}
            logits, *past = self.graph.run(["logits", *(f"present.{name}" for name in names)], feed)
            at += n
            x = self.words([(yield logits[0, -1])])

    def logits(self, embedded):
        """The logits `[S, vocab]` at every position of embedded words, fed at once."""
        d, n = self.decoder, embedded.shape[1]
        feed = {"inputs_embeds": embedded, "attention_mask": np.ones((1, n), np.int64)}
        if d["position_ids"]:
            feed["position_ids"] = np.arange(n, dtype=np.int64)[None]
        empty = np.zeros((1, d["kv_heads"], 0, d["head_dim"]), np.float32)
        feed |= {f"past_key_values.{i}.{part}": empty for i in range(d["layers"]) for part in ("key", "value")}
        return self.graph.run(["logits"], feed)[0][0]

    def tokens(self, prompt, audio, most, stop, clear=CLEAR):
        """The likeliest tokens one after the other, up to a stop token, or to one that another machine might not take."""
        steps, found = self.steps(prompt, audio), []
        try:
            logits = next(steps)
            while len(found) < most:
                second, first = np.partition(logits, -2)[-2:]
                token = int(np.argmax(logits))
                if token in stop or not first - second > clear * max(1.0, abs(float(first))):
                    break
                found.append(token)
                if len(found) < most:
                    logits = steps.send(token)
        except StopIteration:
            pass  # no position is left
        return found


def logits_cosine(whole, reduced, prompt, audio, answer=32):
    """The mean cosine of `reduced`'s logits to `whole`'s, over a prompt and the answer that `whole` gives to it."""
    heard = None if audio is None else reduced.sound(audio)
    def embedded(model, ids):
        return np.concatenate([heard if part is None else model.words(part) for part in ids if part is None or part], axis=1)

    ids, room = [*prompt, []], whole.decoder["max_positions"]
    for _ in range(answer):
        x = embedded(whole, ids)
        if x.shape[1] >= room:
            break
        ids[-1].append(int(np.argmax(whole.logits(x)[-1])))
    a, b = (m.logits(embedded(m, ids)).astype(np.float64) for m in (whole, reduced))
    return float(((a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-30)).mean())
