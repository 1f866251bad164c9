"""Captions: the grammar names what was mixed and nothing else, and its tokenizer gives sentences back."""

import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from listen_training import captions, captions_compact, captions_words

EVALUATION = Path(__file__).resolve().parents[2] / "evaluation"


@pytest.fixture(scope="module")
def grammar():
    return captions.table()


@pytest.fixture(scope="module")
def names():
    sys.path.insert(0, str(EVALUATION))
    try:
        from listen_evaluation.captions import Names
    finally:
        sys.path.remove(str(EVALUATION))
    return Names(tomllib.loads((EVALUATION / "synonyms.toml").read_text())["synonyms"])


def drawn(grammar, count, seed=0):
    """Random mixes and their captions."""
    rng, labels = np.random.default_rng(seed), list(grammar["labels"])
    for _ in range(count):
        sounds = []
        for label in rng.permutation(labels)[: rng.integers(1, 4)]:
            at, spans = rng.uniform(0, 5), []
            for _ in range(rng.integers(1, 6)):
                spans.append((at, at + rng.uniform(0.2, 3.0)))
                at = spans[-1][1] + 0.6
            sounds.append(captions.Heard(str(label), tuple(spans), float(rng.uniform(-15, 6))))
        yield sounds, captions.sentence(sounds, grammar, rng)


def test_every_label_that_is_judged_has_clauses(grammar):
    judged = tomllib.loads((EVALUATION / "synonyms.toml").read_text())["synonyms"]
    assert set(judged) == set(grammar["labels"])
    for label, known in grammar["labels"].items():
        assert set(known) == {"once", "often", "on"}, label
        assert all("{times}" in text for text in known["often"]), label


def test_every_clause_names_its_label_and_no_other(grammar, names):
    for label, known in grammar["labels"].items():
        for text in (text for kind in known.values() for text in kind):
            assert names(text) == {label}, text


def test_a_caption_names_all_that_was_mixed_and_nothing_else(grammar, names):
    for sounds, text in drawn(grammar, 500):
        assert names(text) == {s.label for s in sounds}, text


def test_order_overlap_and_number_are_told(grammar):
    rng = np.random.default_rng(0)
    dog, rain = captions.Heard("dog", ((0, 0.4), (1, 1.4))), captions.Heard("rain", ((0, 9),))
    glass = captions.Heard("glass breaking", ((10, 10.8),))
    for _ in range(50):
        text = captions.sentence([glass, dog, rain], grammar, rng).lower()
        assert "dog barks twice" in text and " rain" in text and text.index("dog") < text.index("glass")
        assert " while " in text or " as " in text
        assert text.endswith("then glass breaks.")
    assert captions.sentence([], grammar, rng) == "Something can be heard."
    with pytest.raises(ValueError, match="dog has no spans"):
        captions.sentence([captions.Heard("dog", ())], grammar, rng)


def test_a_label_without_clauses_is_told_by_its_name(grammar):
    rng = np.random.default_rng(0)
    assert captions.sentence([captions.Heard("door bell", ((0, 1),))], grammar, rng) == "Door bell can be heard."
    twice = captions.Heard("door bell", ((0, 1), (2, 2.5)))
    assert captions.sentence([twice], grammar, rng) == "Door bell can be heard twice."


def test_the_compact_form_is_that_of_the_captioner():
    cases = json.loads((EVALUATION.parent / "captioner" / "tests" / "cases" / "compact.json").read_text())
    assert len(cases) >= 10
    for case in cases:
        told = [
            captions_compact.Event(s.get("names", {}).get("en", s["label"]), s["onset"], s["offset"], s["score"])
            for s in case["sounds"]
        ]
        assert captions_compact.compact(told, case["start"], case["now"]) == case["compact"], case["why"]


@pytest.fixture(scope="module")
def made(grammar, tmp_path_factory):
    from tokenizers import Tokenizer

    path = tmp_path_factory.mktemp("words") / "t.json"
    captions_words.tokenizer(grammar, texts=["the quick brown fox jumps over the lazy dog"]).save(str(path))
    return Tokenizer.from_file(str(path))


def test_the_tokenizer_gives_every_caption_back(grammar, made):
    assert made.get_vocab_size() <= 760
    for _, text in drawn(grammar, 300, 1):
        ids = made.encode(text).ids
        assert captions_words.UNKNOWN not in ids, text
        assert len(ids) <= len(text.split()) + text.count(".") + text.count(","), "a word of the grammar in pieces"
        assert made.decode(ids, skip_special_tokens=True) == text


def test_the_tokenizer_knows_any_label_that_is_typed(made):
    rng, letters = np.random.default_rng(0), list(captions_words.LETTERS)
    typed = ["xylophone", "caf\u00e9 chatter", "channel-5 jingle", "o'clock", "-7-0-8"]
    typed += ["".join(rng.choice(letters, rng.integers(1, 20))) for _ in range(200)]
    for label in typed:
        told = f"{captions_compact.name_of(label)} 0 150 203 +"
        ids = made.encode(told).ids
        assert captions_words.UNKNOWN not in ids, label
        plain = told.replace("\u00e9", "e")
        assert made.decode(ids).lower() == plain, label


def test_no_wording_that_judges_the_labels_is_in_the_grammar(grammar):
    judged = tomllib.loads((EVALUATION / "paraphrases.toml").read_text())
    left, texts = [judged], set()
    while left:
        item = left.pop()
        left += item.values() if isinstance(item, dict) else item if isinstance(item, list) else []
        texts |= {item.lower()} if isinstance(item, str) else set()
    clauses = {t for known in grammar["labels"].values() for kind in known.values() for t in kind}
    assert texts and not texts & clauses


def test_graphs_with_a_cache_decode_what_the_model_without_one_does(tmp_path):
    torch = pytest.importorskip("torch")
    from listen_training import captions_model

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = captions_model.rounded(captions_model.Captioner(300, 64).eval())
    # Large weights, so that tokens differ from step to step.
    with torch.no_grad():
        for layer in model.decoder.layers:
            layer.qkv.weight.mul_(6)
            layer.down.weight.mul_(6)
    captions_model.rounded(model)
    block = captions_model.write(tmp_path, model)
    runner, rng, told = captions_model.Runner(tmp_path, block), np.random.default_rng(0), set()
    for case in range(6):
        windows = [rng.standard_normal((n, 64)).astype(np.float32) for n in (28, *[12] * case)]
        prompt = rng.integers(5, 300, rng.integers(1, 9)).tolist()
        embedded = model.assemble([torch.from_numpy(w) for w in windows], torch.tensor([1]), torch.tensor(prompt))
        truth = model.greedy(embedded, stop=2, most=24)
        assert runner.greedy(windows, [1], prompt, stop=2, most=24) == truth
        told.add(tuple(truth))
    assert len(told) > 1 and max(len(set(t)) for t in told) > 3, "the cases tell nothing apart"
    size = sum(f.stat().st_size for f in tmp_path.iterdir())
    assert size < 1.4e6, size
