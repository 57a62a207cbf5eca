"""JSON schemas of answers, and the longest an answer can be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from groupbench.llm.modes import Mode
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.canonical import Json
    from groupbench.llm.wording import Wording

_SLACK = 32
"""Tokens for what models write around an answer."""


def answer_schema(wording: Wording) -> Mapping[str, Json]:
    """Return the JSON schema of an answer: an object at the top, as strict modes demand.

    single, pair: ``label``, an enum of the surfaces. multilabel: a required boolean for each
    surface (arrays with ``uniqueItems`` are refused everywhere). token: ``entities``, a list of
    ``text`` and ``type``, which is an enum of the surfaces.
    """
    shown = [wording.surface(name) for name in wording.shown]
    if wording.kind is Kind.MULTILABEL:
        return _object({surface: {"type": "boolean"} for surface in shown})
    enum: Mapping[str, Json] = {"type": "string", "enum": shown}
    if wording.kind is Kind.TOKEN:
        entity = _object({"text": {"type": "string"}, "type": enum})
        return _object({"entities": {"type": "array", "items": entity}})
    return _object({"label": enum})


def output_cap(wording: Wording, mode: Mode, n_input_tokens: int) -> int:
    """Return the most tokens that an answer may take.

    Args:
        wording: of the task.
        mode: score needs one token. A choice may be spelt byte by byte, and ends by itself.
        n_input_tokens: of the example's text, which entities are copied from.
    """
    if mode is Mode.SCORE:
        return 1
    if wording.kind is Kind.TOKEN:
        return _SLACK + 3 * n_input_tokens
    surfaces = [wording.surface(name) for name in wording.names]
    if mode is Mode.CHOICE:
        if wording.kind is Kind.MULTILABEL:
            surfaces = ["yes", "no"]
        return max(_bytes(surface) for surface in surfaces) + 2
    if wording.kind is not Kind.MULTILABEL:
        return _SLACK + max(_bytes(surface) for surface in surfaces)
    whole = json.dumps(dict.fromkeys(surfaces, False), ensure_ascii=False)
    return _SLACK + _bytes(whole)


def _object(properties: Mapping[str, Json]) -> Mapping[str, Json]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
