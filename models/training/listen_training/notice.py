"""NOTICE: what the weights learnt from other models, whose notices go with them."""

import json
from pathlib import Path

from . import revive

LICENCES = """\
Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0
MIT License: https://opensource.org/license/mit"""
RECIPE = "The weights were trained with the recipe of the gst-listen project (models/training)."
YAMNET = """\
* YAMNet (https://github.com/tensorflow/models/tree/master/research/audioset/yamnet), Copyright The TensorFlow Authors
  (Google), Apache License 2.0: its scores and vectors for the training sound were targets of the audio encoder. No
  weights of YAMNet are contained."""
NAMES = """\
* Class names of AudioSet (https://research.google.com/audioset/), Copyright Google, CC-BY-4.0, as texts."""
MINILM = """\
* all-MiniLM-L6-v2 (https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), by the sentence-transformers project
  (UKP Lab, Technical University of Darmstadt), Apache License 2.0: its vectors of phrases were targets of the text tower;
  the tower's word vectors (in text.onnx) derive from a projection of its own, and the word pieces in tokenizer.json are a
  part of its. No other weights of it are contained. It was made of nreimers/MiniLM-L6-H384-uncased (Nils Reimers, MIT
  License), every second layer of microsoft/MiniLM-L12-H384-uncased (Copyright Microsoft Corporation, MIT License), with
  the word pieces of BERT (Copyright The Google AI Language Team Authors, Apache License 2.0)."""


def write(path, config):
    """The notices of what a training with `config` used; where it goes on from a package, that package's whole notice too."""
    begun, before, parts = revive.is_package(config.audio.start), "", [config.package.id, RECIPE]
    if begun:
        start = Path(config.audio.start)
        id = json.loads((start / "manifest.json").read_text())["id"]
        there = (start / "NOTICE").is_file()
        before = (start / "NOTICE").read_text().strip() if there else ""
        follows = "whose own NOTICE stands at the end" if there else "which came without a NOTICE"
        parts.append(
            f"They go on from those of the package {id}, {follows}:\ntext.onnx and tokenizer.json are as they were there."
        )
    learnt = [
        *([YAMNET] if config.teacher else []),
        # A package's words are kept as they are, without the sentence encoder.
        *([] if begun else [MINILM]),
        *([NAMES] if config.teacher or config.audioset else []),
    ]
    # By its address: what the package says already needs no saying again.
    learnt = [part for part in learnt if part.split("(", 1)[1].split(")")[0] not in before]
    if learnt:
        parts += ["What they learnt from other models:", *learnt, LICENCES]
    if before:
        parts.append(f"{'-' * 20} NOTICE of {id} {'-' * 20}\n\n{before}")
    Path(path).write_text("\n\n".join(parts) + "\n")
