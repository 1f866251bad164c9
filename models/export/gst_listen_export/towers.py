"""Where a text tower's tokenizer comes from: a folder or file that the user names, or the local Hugging Face cache. Nothing is fetched."""

from pathlib import Path

from gst_listen_export.errors import ExportError


def cached(*repositories):
    """The folder of the first of these models that lies in the local Hugging Face cache; None if none does."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    for name in repositories:
        try:
            return Path(snapshot_download(name, local_files_only=True))
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError):
            continue
    return None


def tokenizer(place, repositories, words, pad_id, what, special=None, ends=()):
    """The tokenizer in `place` (a folder or a `tokenizer.json`; None: the local cache), neither padding nor cutting.

    `words`: rows of the tower's embedding; `pad_id`: what texts are padded with; `special`: tokens that it must have, with
    their ids (None: any); `ends`: those before and behind every text.

    # Errors
    None there, one whose ids the tower does not have, or another network's, which would give each word another's vector.
    """
    from tokenizers import Tokenizer

    if place is None:
        place = cached(*repositories)
        if place is None:
            raise ExportError(f"{what} needs the tokenizer of {repositories[0]}, which is not in the local Hugging Face cache: "
                              "say --text-tower FOLDER (nothing is downloaded)")
    file = place / "tokenizer.json" if place.is_dir() else place
    if file.is_file():
        try:
            found = Tokenizer.from_file(str(file))
        except Exception as error:  # the crate raises its own plain Exception
            raise ExportError(f"{file}: expected a Hugging Face tokenizer.json: {error}") from None
    else:
        found = slow_tokenizer(place)
    size = found.get_vocab_size(with_added_tokens=True)
    if size > words:
        raise ExportError(f"{place}: expected the tokenizer of {what}, of at most {words} tokens; found one of {size}")
    if size <= pad_id:
        raise ExportError(f"{place}: expected a tokenizer with the padding id {pad_id}; found one of {size} tokens")
    found.no_padding()
    found.no_truncation()
    refuse_another(found, place, what, special or {}, ends)
    return found


def refuse_another(found, place, what, special, ends):
    """# Errors
    A tokenizer without these tokens under these ids, or that does not put `ends` around a text.
    """
    ids = {token: found.token_to_id(token) for token in special}
    if any(ids[token] is None or must not in (None, ids[token]) for token, must in special.items()):
        expected = ", ".join(f"{token}" if must is None else f"{token} as id {must}" for token, must in special.items())
        here = ", ".join(f"{token} as id {number}" if number is not None else f"no {token}" for token, number in ids.items())
        raise ExportError(f"{place}: expected the tokenizer of {what}, with {expected}; found one with {here}")
    if ends:
        tokens = found.encode("a").tokens
        if len(tokens) < 2 or (tokens[0], tokens[-1]) != ends:
            raise ExportError(f"{place}: expected the tokenizer of {what}, which writes {ends[0]} before a text and {ends[1]} behind it; "
                              f"found one that makes {' '.join(tokens) or 'nothing'} of the text 'a'")


def slow_tokenizer(place):
    """The tokenizer of a folder that holds a vocabulary and merges, but no `tokenizer.json`."""
    if not place.is_dir():
        raise ExportError(f"{place}: expected a folder with a tokenizer, or a tokenizer.json; nothing is there")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(place, local_files_only=True).backend_tokenizer
    except Exception as error:  # whatever a folder that holds no tokenizer makes it raise
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExportError(f"{place}: expected a tokenizer (tokenizer.json, or vocab.json and merges.txt): {first}") from None
