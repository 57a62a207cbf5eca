"""The ``[prompt]`` table of a card: the wording of prompts, part by part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from groupbench.cards.file import check_choice
from groupbench.cards.formats import short
from groupbench.errors import CardError
from groupbench.llm.folding import fold
from groupbench.llm.template import PLACEHOLDERS, REQUIRED, placeholders
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = ("name_a", "name_b")
"""What the texts of a pair are called."""

TABLES = ("verbalisers", "definitions")
"""``verbalisers`` word each label, ``definitions`` explain each entity type of a token task."""


def prompt_parts(
    kind: Kind,
    prompt: Mapping[str, Any],
    labels: Sequence[str],
    text_fields: Mapping[str, str],
    where: str,
) -> dict[str, str]:
    """Return the parts as texts; `TABLES` as JSON.

    ``verbalisers`` become ``{label: [surface, ...]}``, ``definitions`` ``{type: text}``. In token
    tasks verbalisers word entity types, not tags. ``text_fields`` names the texts where the prompt
    does not.

    Raises:
        CardError: an unknown part or placeholder, a value that is no text, or verbalisers that do
            not give every label surfaces of its own.
    """
    parts: dict[str, str] = {}
    for role, part in (("text", "name_a"), ("text_pair", "name_b")):
        if role in text_fields:
            parts[part] = text_fields[role]
    names = answer_names(kind, labels)
    for part, value in prompt.items():
        check_choice(part, known_parts(kind), f"[prompt] {part}: the part", where)
        if part == "verbalisers":
            parts[part] = json.dumps(_verbalisers(value, names, where), ensure_ascii=False)
        elif part == "definitions":
            parts[part] = json.dumps(_definitions(value, names, where), ensure_ascii=False)
        elif isinstance(value, str) and value.strip():
            _check_placeholders(kind, part, value, where)
            parts[part] = value
        else:
            raise CardError(f"{where}: [prompt] {part} = {value!r}: expected a text.")
    return parts


def known_parts(kind: Kind) -> tuple[str, ...]:
    """Return the parts of a prompt that a card of this kind can word."""
    tables = TABLES if kind is Kind.TOKEN else TABLES[:1]
    return (*PLACEHOLDERS[kind], *NAMES, *tables)


def answer_names(kind: Kind, labels: Sequence[str]) -> tuple[str, ...]:
    """Return what answers are made of: the labels; of token tasks the entity types, in order.

    >>> answer_names(Kind.TOKEN, ["O", "B-drug", "I-drug"])
    ('drug',)
    """
    if kind is not Kind.TOKEN:
        return tuple(labels)
    return tuple(dict.fromkeys(tag[2:] for tag in labels if tag[:2] in {"B-", "I-"}))


def _check_placeholders(kind: Kind, part: str, template: str, where: str) -> None:
    if part in NAMES:
        return
    known, held = PLACEHOLDERS[kind][part], placeholders(template)
    if unknown := sorted(held - known):
        braced = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none there"
        raise CardError(
            f"{where}: [prompt] {part} holds {{{unknown[0]}}}, which nothing fills; use {braced}."
        )
    if missing := sorted(REQUIRED[kind].get(part, frozenset()) - held):
        raise CardError(
            f"{where}: [prompt] {part} = {short(template)} lacks {{{missing[0]}}}; put it where it"
            " is to stand."
        )


def _verbalisers(value: object, names: Sequence[str], where: str) -> dict[str, list[str]]:
    field = f"{where}: [prompt.verbalisers]"
    if not isinstance(value, dict):
        raise CardError(f"{field} = {value!r}: expected a table from label to wording.")
    owner: dict[str, str] = {}
    surfaces: dict[str, list[str]] = {}
    for label, wording in value.items():
        check_choice(label, names, "[prompt.verbalisers] the label", where)
        listed = [wording] if isinstance(wording, str) else wording
        if not isinstance(listed, list) or not listed:
            raise CardError(f"{field} {label} = {wording!r}: expected a text, or a list of them.")
        for surface in listed:
            if not isinstance(surface, str) or not surface.strip():
                raise CardError(f"{field} {label} holds {surface!r}; a wording is a text.")
            folded = fold(surface)
            if not folded:
                raise CardError(
                    f"{field} {label} holds {surface!r}, of which nothing is left without"
                    " punctuation; use words."
                )
            if folded in owner:
                raise CardError(
                    f"{field} {label} holds {surface!r}, which words {owner[folded]} already."
                )
            owner[folded] = label
            surfaces.setdefault(label, []).append(" ".join(surface.split()))
    if missing := [label for label in names if label not in surfaces]:
        raise CardError(f"{field} has no wording for {missing[0]!r}; give every label one.")
    return surfaces


def _definitions(value: object, names: Sequence[str], where: str) -> dict[str, str]:
    field = f"{where}: [prompt.definitions]"
    if not isinstance(value, dict):
        raise CardError(f"{field} = {value!r}: expected a table from entity type to text.")
    for name, text in value.items():
        check_choice(name, names, "[prompt.definitions] the entity type", where)
        if not isinstance(text, str) or not text.strip():
            raise CardError(f"{field} {name} = {text!r}: expected a text.")
    return {name: text.strip() for name, text in value.items()}
