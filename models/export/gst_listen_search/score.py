"""Cosines and scores of one sentence, as clapmatch's score of a label (models/zeroshot/src/matcher.rs has the table)."""

import numpy as np

from gst_listen_search.errors import SearchError
from gst_listen_search.words import embedding, same_form, tower

# Where a package says nothing about its cosines: as in models/zeroshot/src/score.rs.
PLAIN_SLOPE = 20.0
COMMON_SOUNDS = ("silence", "background noise", "speech", "music", "wind", "rain", "traffic noise", "white noise")


class Query:
    """A sentence in a package's space."""

    def __init__(self, package, sentence, kind="calibrated"):
        self.clap, self.kind, words = package.manifest.get("clap"), kind, tower(package)
        embed = lambda text: embedding(words, self.clap["prompt_templates"], text)
        self.units = [embed(sentence)]
        calibration, scale, bias = (self.clap.get(k) for k in ("calibration", "logit_scale", "logit_bias"))
        self.line = (scale, bias or 0.0) if scale else None
        if calibration:
            self.calibration, self.background = calibration, package.tensor(calibration["file"], "background").astype(np.float64)
        margin = not calibration and (scale is None or bias is None)
        if kind == "calibrated":
            asked_for = lambda texts: [t for t in texts if words.knows(t) and same_form(t) != same_form(sentence)]
            others = asked_for(self.clap["background_prompts"]) or (asked_for(COMMON_SOUNDS) if margin else [])
            if margin and not others:
                raise SearchError("the package has no calibration and knows no background sound: ask for --score cosine")
            self.units += [embed(t) for t in others]
        self.margin = margin

    def cosines(self, vectors, row=0):
        """`[N]` of vectors `[N, D]`; -1 where a vector has no direction."""
        x = vectors.astype(np.float64)
        lengths = np.linalg.norm(x, axis=1)
        return np.where(lengths > 0, x @ self.units[row] / np.maximum(lengths, 1e-30), -1.0)

    def own(self, cosines, row):
        """A row's logit, background labels aside."""
        if self.margin:
            return (self.line[0] if self.line else PLAIN_SLOPE) * cosines
        logit = np.inf
        if self.clap.get("calibration"):
            c, over = self.calibration, self.background @ self.units[row]
            logit = c["a"] * (cosines - over.mean()) / max(over.std(), c["min_std"]) + c["b"]
        return np.minimum(logit, self.line[0] * cosines + self.line[1]) if self.line else logit

    def logits(self, vectors):
        """What ranks time steps, `[N]`: the cosine, or the logit of the calibrated score."""
        if self.kind == "cosine":
            return self.cosines(vectors)
        own = self.own(self.cosines(vectors), 0)
        if len(self.units) == 1:
            return own
        others = np.max([self.own(self.cosines(vectors, row), row) for row in range(1, len(self.units))], axis=0)
        return own - others if self.margin else own - np.maximum(others - own, 0)

    def score(self, logit):
        return float(logit) if self.kind == "cosine" else float(1 / (1 + np.exp(-np.clip(logit, -700, 700))))
