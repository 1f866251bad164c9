"""The text around the sound: the folder's chat template, with places for the sound and for the words."""

import json
import re
from pathlib import Path

from .config import LlmError, read_json

PLACES = ("{audio}", "{prompt}", "{system}")


def plain(hears):
    """The prompt of a model without a chat format."""
    return "{audio}{prompt}" if hears else "{prompt}"


def chat_template(folder, hears):
    """The template that the folder's chat format gives, or None where it has none; `hears`: with a place for the sound.

    The format is a Jinja template; it is rendered once, in Jinja's sandbox, for one system and one user message whose
    texts are the places. What needs more than that (tools, dates) renders as for an empty value; thinking aloud is off.
    """
    folder = Path(folder)
    source = None
    if (folder / "chat_template.jinja").exists():
        source = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    elif (folder / "tokenizer_config.json").exists():
        source = read_json(folder / "tokenizer_config.json").get("chat_template")
        if isinstance(source, list):  # several, by name
            source = next((t.get("template") for t in source if t.get("name") == "default"), None)
    if not source:
        return None
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message):
        raise LlmError(f"the folder's chat template says: {message}")

    config = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    special = {k: text_of(config.get(k)) for k in ("bos_token", "eos_token", "unk_token", "pad_token")}
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda _format: ""}
    user = {"role": "user", "content": plain(hears)}
    for messages in ([{"role": "system", "content": "{system}"}, user], [user]):
        try:
            text = environment.from_string(source).render(messages=messages, add_generation_prompt=True, enable_thinking=False, **special)
        except LlmError:
            if len(messages) == 1:
                raise
            continue  # a format without a system message
        except (TemplateError, TypeError, KeyError, IndexError) as error:
            raise LlmError(f"the folder's chat template: expected one that renders a system and a user message: {error}; say --template") from error
        return check_template(text, hears)
    return None


def text_of(token):
    return token.get("content", "") if isinstance(token, dict) else token or ""


def check_template(text, hears):
    """`{prompt}` stands in it once, `{system}` at most once, `{audio}` once where the model hears and nowhere otherwise."""
    for place in PLACES:
        least = {"{system}": 0, "{audio}": int(hears)}.get(place, 1)
        most = int(hears) if place == "{audio}" else 1
        if not least <= (count := text.count(place)) <= most:
            expected = "once" if least == most == 1 else "at most once" if most else "nowhere, as there is no projector"
            raise LlmError(f"template: expected {place} {expected}, found it {count} times in {text!r}")
    return text


def begins_with(text, tokenizer, begin):
    """Whether the template writes the tokens that begin a text itself."""
    first = re.split("|".join(map(re.escape, PLACES)), text, maxsplit=1)[0]
    ids = tokenizer.encode(first, add_special_tokens=False).ids
    return bool(begin) and ids[: len(begin)] == list(begin)
