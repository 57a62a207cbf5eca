"""The ``[prompt]`` table of a card: the wording of prompts, part by part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from groupbench.cards.file import check_choice
from groupbench.errors import CardError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PARTS = ("instruction", "input", "labels", "cue", "name_a", "name_b", "verbalisers")
"""Parts of a prompt that a card can word. ``name_a`` and ``name_b`` call the texts of a pair."""


def prompt_parts(
    prompt: Mapping[str, Any], labels: Sequence[str], text_fields: Mapping[str, str], where: str
) -> dict[str, str]:
    """Return the parts as texts; ``verbalisers`` as JSON, ``{label: [surface, ...]}``.

    ``text_fields`` names the texts where the prompt does not.

    Raises:
        CardError: an unknown part, a value that is no text, or verbalisers that do not give every
            label surfaces of its own.
    """
    parts: dict[str, str] = {}
    for role, part in (("text", "name_a"), ("text_pair", "name_b")):
        if role in text_fields:
            parts[part] = text_fields[role]
    for part, value in prompt.items():
        check_choice(part, PARTS, f"[prompt] {part}: the part", where)
        if part == "verbalisers":
            parts[part] = json.dumps(_verbalisers(value, labels, where), ensure_ascii=False)
        elif isinstance(value, str) and value.strip():
            parts[part] = value
        else:
            raise CardError(f"{where}: [prompt] {part} = {value!r}: expected a text.")
    return parts


def _verbalisers(value: object, labels: Sequence[str], where: str) -> dict[str, list[str]]:
    field = f"{where}: [prompt.verbalisers]"
    if not isinstance(value, dict):
        raise CardError(f"{field} = {value!r}: expected a table from label to wording.")
    owner: dict[str, str] = {}
    surfaces: dict[str, list[str]] = {}
    for label, wording in value.items():
        check_choice(label, labels, "[prompt.verbalisers] the label", where)
        listed = [wording] if isinstance(wording, str) else wording
        if not isinstance(listed, list) or not listed:
            raise CardError(f"{field} {label} = {wording!r}: expected a text, or a list of them.")
        for surface in listed:
            if not isinstance(surface, str) or not surface.strip():
                raise CardError(f"{field} {label} holds {surface!r}; a wording is a text.")
            folded = " ".join(surface.casefold().split())
            if folded in owner:
                raise CardError(
                    f"{field} {label} holds {surface!r}, which words {owner[folded]} already."
                )
            owner[folded] = label
        surfaces[label] = listed
    if missing := [label for label in labels if label not in surfaces]:
        raise CardError(f"{field} has no wording for {missing[0]!r}; give every label one.")
    return surfaces
