"""A folder's tokenizer, and how a prompt becomes ids."""

from .config import LlmError

PLACES = ("{system}", "{audio}", "{prompt}")


def read_tokenizer(folder, vocab):
    """The `tokenizer.json` of a folder, neither padding nor cutting.

    # Errors
    None there, not one, or one with ids that the model does not have.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        here = ", ".join(sorted(p.name for p in folder.glob("*token*"))) or "no file of a tokenizer"
        raise LlmError(f"{folder}: expected a tokenizer.json, found {here} (`AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)` writes one)")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the crate raises its own plain Exception
        raise LlmError(f"{path}: expected a Hugging Face tokenizer.json: {error}") from None
    ids = tokenizer.get_vocab(with_added_tokens=True)
    if not ids:
        raise LlmError(f"{path}: expected tokens, found an empty vocabulary")
    last = max(ids, key=ids.get)
    if ids[last] >= vocab:
        raise LlmError(f"tokenizer.json: expected ids below {vocab}, the vocab_size of config.json; found {ids[last]} ({last!r})")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode(tokenizer, text, special):
    """Ids of a text; `special`: whether names of special tokens in it mean those tokens."""
    tokenizer.encode_special_tokens = not special
    return tokenizer.encode(text, add_special_tokens=False).ids


def put_before(tokenizer):
    """The ids that the tokenizer puts before a text of its own accord."""
    with_special, plain = tokenizer.encode("a").ids, tokenizer.encode("a", add_special_tokens=False).ids
    for k in range(len(with_special) - len(plain) + 1):
        if with_special[k : k + len(plain)] == plain:
            return tuple(with_special[:k])
    return ()


def prompt_ids(tokenizer, begin, template, values):
    """A prompt as lists of ids, None at the place of the sound; `values`: {place: text}, `{audio}` left out for no sound."""
    parts, rest = [list(begin)], template
    while rest:
        at, place = min(((rest.find(p), p) for p in PLACES if p in rest), default=(len(rest), ""))
        parts.append(encode(tokenizer, rest[:at], special=True))
        if place == "{audio}":
            parts.append(None)
        elif place:
            parts.append(encode(tokenizer, values[place], special=False))
        rest = rest[at + len(place):]
    joined = [[]]
    for part in parts:
        if part is None:
            joined += [None, []]
        else:
            joined[-1] += part
    return [part for part in joined if part is None or part]


def stop_ids(tokenizer, config, names):
    """Ids that end an answer: the model's own, and those of `--stop`.

    # Errors
    A name that is no token, an id that the model does not have, none at all.
    """
    found = list(config.stop_tokens)
    for name in names:
        token = tokenizer.token_to_id(name)
        if token is None:
            raise LlmError(f"--stop: expected a token of tokenizer.json, found {name!r}")
        found.append(token)
    if not found:
        raise LlmError("expected eos_token_id in generation_config.json or config.json, found none: say --stop TOKEN")
    if bad := [i for i in found if i >= config.vocab]:
        raise LlmError(f"eos_token_id: expected ids below {config.vocab}, the vocab_size of config.json; found {bad[0]}")
    return sorted(set(found))
