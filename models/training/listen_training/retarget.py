"""Gives a text tower's words the places that another package's words have: `python -m listen_training.retarget --config config.toml
--tower PACKAGE --words PACKAGE --labels LABELS.txt --out text.onnx`.

An audio side belongs to the space of one text tower. A tower that was trained on more words serves it too, once the linear layer at its
end, which maps sentences into the space, is fitted to the other tower's vectors of known texts: by least squares, labels and class names
weighing six times as much as phrases. Nothing of sound takes part.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from . import config, export, tower, words
from .package import Runner
from .teacher import class_names

RIDGE = 1.0


def texts_of(cfg, labels, tokenizer, count=12000):
    """Texts and their weights: wordings of the labels, class names, phrases from the grammar; none that is kept for judging."""
    table, without = words.table(), words.kept_out(cfg.kept_out_words)
    classes = class_names(cfg.teacher) if cfg.teacher else []
    heard = list(dict.fromkeys(n.lower() for n in classes + words.audioset_names(cfg.audioset)))
    own = [p for label in labels for p in words.label_phrases(label, table, without)]
    whole = words.whole_words(words.vocabulary(tokenizer))
    phrases = words.tower_phrases(labels, heard, table, whole, count, np.random.default_rng(cfg.seed), without)
    texts, known = list(dict.fromkeys([*own, *heard, *phrases])), {*own, *heard}
    return texts, np.array([6.0 if text in known else 1.0 for text in texts])


def batches(texts, give, size=256):
    return np.concatenate([give(texts[i : i + size]) for i in range(0, len(texts), size)])


def mapped(graph):
    """The node of the last linear layer, with the names of its weight [dim, sentence] and bias [dim] as they are stored."""
    node = next(n for n in reversed(graph.node) if n.op_type == "Gemm")
    stored = {i.name for i in graph.initializer}
    weight = next(name for name in (f"{node.input[1]}_f16", node.input[1]) if name in stored)
    return node, weight, node.input[2]


def retarget(model, tokenizer, wanted, texts, weights):
    """`model` (an ONNX text tower) with its last layer fitted to `wanted` [n, dim]; and the mean cosine that it reaches."""
    node, weight, bias = mapped(model.graph)
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.append(helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None))
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(opened, f"{folder}/text.onnx")
        session = export.session(f"{folder}/text.onnx")

    def sentences(some):
        ids, mask = tower.encode(tokenizer, some, 32)
        return session.run([node.input[0]], {"input_ids": ids, "attention_mask": mask})[0]

    x = batches(texts, sentences).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    weighed = (x * weights[:, None]).T
    found = np.linalg.solve(weighed @ x + RIDGE * np.eye(x.shape[1]), weighed @ wanted)
    for stored in model.graph.initializer:
        if stored.name in (weight, bias):
            part = found[:-1] if stored.name == weight else found[-1]
            # As exactly as it is stored.
            part[...] = part.astype(numpy_helper.to_array(stored).dtype)
            kept = np.ascontiguousarray(part.T).astype(numpy_helper.to_array(stored).dtype)
            stored.CopyFrom(numpy_helper.from_array(kept, stored.name))
    given = x @ found
    return model, float((given / np.linalg.norm(given, axis=1, keepdims=True) * wanted).sum(1).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--tower", type=Path, required=True, help="package whose text tower is taken")
    parser.add_argument("--words", type=Path, required=True, help="package whose words' places it is to have")
    parser.add_argument("--labels", type=Path, required=True, help="labels, a line each")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cfg = config.load(args.config)
    labels = [line.strip() for line in args.labels.read_text().splitlines() if line.strip()]
    texts, weights = texts_of(cfg, labels, args.tower / "tokenizer.json")
    wanted = batches(texts, Runner(args.words).text)
    model = onnx.load(str(args.tower / "text.onnx"))
    model, cosine = retarget(model, Runner(args.tower).tokenizer, wanted, texts, weights)
    onnx.save(model, str(args.out))
    print(f"{args.out}: {len(texts)} texts, mean cosine {cosine:.4f}")


if __name__ == "__main__":
    main()
