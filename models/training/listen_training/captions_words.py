"""The captions' tokenizer: whole words of the grammar, whole numbers, and sub-words for labels that are typed."""

import string
from collections import Counter

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<say>")
PAD, BEGIN, STOP, UNKNOWN, SAY = range(len(SPECIAL))
MARKS = (".", ",", "+")
LETTERS = string.ascii_lowercase + string.digits + "'-"
NUMBERS = 100  # whole; later tenths of a second are told in two pieces


def words(grammar, labels=()):
    """Every word that captions, and lists of `labels`, may hold, sorted."""
    texts = list(labels) + list(grammar["labels"]) + grammar["nothing"]["texts"]
    texts += [c for known in (*grammar["labels"].values(), grammar["typed"]) for kind in known.values() for c in kind]
    joins = grammar["joins"]
    texts += [t for key in ("sequence", "overlap", "far", "near") for t in joins[key]]
    texts += [t for some in joins["times"].values() for t in some]
    plain = " ".join(texts)
    for mark in ("{times}", "{label}", "{a}", "{b}", ","):
        plain = plain.replace(mark, " ")
    return sorted(set(plain.lower().split()))


def parts(texts, count):
    """The `count` sub-words that spare most letters of the words of `texts`: beginnings, and (`##`) what follows."""
    spared = Counter()
    for word in " ".join(texts).lower().split():
        if word.isascii() and word.isalpha():
            for size in range(2, 6):
                for at in range(len(word) - size + 1):
                    spared[("##" if at else "") + word[at : at + size]] += size - 1
    return [part for part, _ in sorted(spared.items(), key=lambda item: (-item[1], item[0]))[:count]]


def tokenizer(grammar, labels=(), texts=(), pieces=760):
    """A WordPiece tokenizer of about `pieces` pieces that knows no capitals and to which no ASCII word is unknown.

    Whole words are those of the grammar and of `labels`; what room they leave is for parts of words of `texts`. Its
    decoder puts no space before a full stop or comma, and a capital letter in front.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    numbers = [str(n) for n in range(NUMBERS)]
    fixed = [*SPECIAL, *MARKS, *numbers, *LETTERS, *("##" + c for c in LETTERS)]
    fixed += [w for w in words(grammar, labels) if all(c in LETTERS for c in w)]
    fixed = list(dict.fromkeys(fixed))
    more = [part for part in parts(texts, pieces) if part not in set(fixed)][: max(0, pieces - len(fixed))]
    vocab = {w: i for i, w in enumerate(fixed + more)}
    made = Tokenizer(models.WordPiece(vocab, unk_token="<unk>", max_input_chars_per_word=100))
    made.add_special_tokens(list(SPECIAL))
    made.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"[.,+]"), "isolated")]
    )
    marks = [decoders.Replace(" .", "."), decoders.Replace(" ,", ",")]
    capitals = [decoders.Replace(Regex(f"^{c}"), c.upper()) for c in string.ascii_lowercase]
    # Words with spaces between them; then all is one text, in which marks and the capital are put right.
    spaced = decoders.WordPiece(prefix="##", cleanup=False)
    made.decoder = decoders.Sequence([spaced, decoders.Fuse(), *marks, *capitals])
    return made
