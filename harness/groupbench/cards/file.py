"""Reading the TOML of a card: its syntax, its keys and their types, each mistake said once."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupbench.cards.formats import decode, read_bytes, short
from groupbench.cards.paths import CARD
from groupbench.errors import CardError, DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SCHEMA = "groupbench/task/1"

DESCRIPTIVE = frozenset({
    "authors", "caveats", "changes", "citation", "entity_types", "homepage", "huggingface_config",
    "huggingface_id", "huggingface_revision", "language", "licence", "licence_note", "license",
    "license_note", "notes", "official_split", "sizes", "sizes_original", "url", "version",
})  # fmt: skip
"""Keys that tell people about a task and change nothing; so do all that begin ``source_``."""


def read_card(path: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return the path of a card (``path`` may be its folder) and what its TOML holds.

    Raises:
        CardError: it cannot be read, is not UTF-8, or is not TOML.
    """
    card = Path(path)
    try:
        if "\0" not in str(path) and card.is_dir():
            card /= CARD
        text = decode(read_bytes(card), str(card))
    except DataError as problem:
        raise CardError(str(problem)) from None
    try:
        return card, tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise CardError(f"{card}: is not TOML: {problem}.") from None
    except RecursionError:
        raise CardError(f"{card}: is not TOML that can be read: nested too deeply.") from None


def described(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that only describe."""
    return {key: value for key, value in raw.items() if _descriptive(key)}


def check_keys(raw: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise `CardError` for a key that means nothing, with the nearest that does."""
    for key, value in raw.items():
        if key in known or _descriptive(key):
            continue
        near = get_close_matches(key, [*known, *DESCRIPTIVE], n=1)
        mend = f"Did you mean '{near[0]}'?" if near else "Put what is yours below [notes]."
        raise CardError(f"{where}: there is no key '{key}' (= {short(value)}). {mend}")


def check_choice(value: object, choices: Collection[str], field: str, where: str) -> None:
    """Raise `CardError` unless ``value`` is one of ``choices``."""
    if value in choices:
        return
    near = get_close_matches(str(value), choices, n=1)
    mend = f"did you mean '{near[0]}'?" if near else f"use {', '.join(choices)}."
    raise CardError(f"{where}: {field} = {short(value)} is unknown; {mend}")


def type_error(message: str, raw: Mapping[str, Any], where: str) -> CardError:
    """Return the error for a value of the wrong type, from msgspec's message.

    msgspec says ``Expected `str`, got `int` - at `$.labels[0]```, without the value.
    """
    found = re.fullmatch(r"(?P<what>.*?)(?: - at `\$\.?(?P<at>.*)`)?", message, re.DOTALL)
    what, at = (found["what"], found["at"] or "") if found else (message, "")
    if missing := re.fullmatch(r"Object missing required field `(.+)`", what):
        return CardError(f"{where}: there is no '{missing[1]}'; every card needs one.")
    names = {"str": "a text", "array": "a list", "object": "a table", "int": "a number",
             "bool": "true or false", "float": "a number"}  # fmt: skip
    what = re.sub(r"`(\w+)`", lambda m: names.get(m[1], m[1]), what)
    what = what[:1].lower() + what[1:]
    if at.endswith("[...]"):  # the key of a table is not told
        at, what = at.removesuffix("[...]"), what.replace(",", " for every key,", 1)
    value = _value_at(raw, at)
    return CardError(f"{where}: {at}{'' if value is None else f' = {short(value)}'}: {what}.")


def _descriptive(key: str) -> bool:
    return key in DESCRIPTIVE or key.startswith("source_")


def _value_at(raw: Any, at: str) -> Any:  # noqa: ANN401 - whatever TOML holds
    """Return the value at a path such as ``labels[2]``; ``None`` where it does not lead."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", at):
        try:
            raw = raw[int(index)] if index else raw[name]
        except (KeyError, IndexError, TypeError):
            return None
    return raw
