"""The caption part's self-test: a prompt of one word, and what greedy decoding says to it."""

import numpy as np

from .config import LlmError
from .greedy import Greedy
from .onto import dims
from .tokens import prompt_ids

PROMPT, TOKENS = "dog", 8


def prompt(section, manifest, tokenizer, word=PROMPT):
    """The prompt as lists of ids, and the sound in it: one window of equal values, or None."""
    audio, projector = None, section.get("projector")
    if projector:
        size = dims(manifest)[projector["takes"]]
        audio = np.full(size, size**-0.5)
        audio = audio if projector["takes"] == "clip" else audio[None]
    return prompt_ids(tokenizer, section["begin"], section["prompt"], {"{system}": "", "{prompt}": word}), audio


def answer(folder, section, manifest, tokenizer):
    """The first tokens that are said, up to a stop token or one that is not clearly the likeliest."""
    return Greedy(folder, section).tokens(*prompt(section, manifest, tokenizer), TOKENS, section["stop"])


def repeat(folder, manifest):
    """`(expected, found)` tokens of a package's self-test; None where it has none.

    # Errors
    A tokenizer that cannot be read.
    """
    from tokenizers import Tokenizer

    section = manifest["captioner"]
    test = section.get("self_test")
    if not test:
        return None
    try:
        tokenizer = Tokenizer.from_file(str(folder / section["tokenizer"]))
    except Exception as error:  # the crate raises its own plain Exception
        raise LlmError(f"{folder / section['tokenizer']}: expected a Hugging Face tokenizer.json: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids, audio = prompt(section, manifest, tokenizer, test["prompt"])
    # No bound on how clear a choice is, and no stop: the expected tokens are a part of what is said.
    return test["tokens"], Greedy(folder, section).tokens(ids, audio, len(test["tokens"]), (), clear=-1.0)
