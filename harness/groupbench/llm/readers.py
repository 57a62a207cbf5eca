"""The tolerant reader: from free text to a label or a list of them.

A label is looked for in this order, and the step that found it is named:

1. the ``label`` or ``answer`` of a JSON object, and the whole text, folded: ``exact``;
2. the first line, without ``Answer:``, ``The label is`` and the like: ``first_line``;
3. the one label that is mentioned as whole words, the longest match winning, where nothing is
   negated: ``mention``.

Nothing is ever read as a default label.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from groupbench.llm.folding import fold
from groupbench.predictions import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Reason(StrEnum):
    """Why there is no valid answer."""

    UNPARSABLE = "unparsable"
    AMBIGUOUS = "ambiguous"
    """More than one label, or a negation."""
    EMPTY = "empty"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    LENGTH = "length"
    """The answer ran into its cap."""
    PROMPT_TOO_LONG = "prompt_too_long"

    @property
    def outcome(self) -> Outcome:
        """What becomes of the example."""
        return _OUTCOMES.get(self, Outcome.INVALID)


_OUTCOMES = {
    Reason.REFUSAL: Outcome.REFUSED,
    Reason.CONTENT_FILTER: Outcome.REFUSED,
    Reason.LENGTH: Outcome.TRUNCATED,
    Reason.PROMPT_TOO_LONG: Outcome.TRUNCATED,
}


class Step(StrEnum):
    """How a label was found in an answer."""

    EXACT = "exact"
    FIRST_LINE = "first_line"
    MENTION = "mention"


@dataclass(frozen=True, slots=True)
class LabelRead:
    """A label found in a text, or why none was."""

    name: str | None
    step: Step | None = None
    reason: Reason | None = None


_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|without|rather than|instead of|except|unlike|"
    r"(?:is|are|was|were|do|does|did|ca|wo|could|would|should)n['’]?t)\b"  # noqa: RUF001 - people's apostrophe
)
_INTRODUCTION = re.compile(
    r"^(?:(?:so|thus|therefore|hence|ok|okay|sure)\b[\s,:!.]*)?"
    r"(?:(?:the|my|final|best|correct|right|most likely|predicted)\s+)*"
    r"(?:answer|label|class|category|relation|prediction|output|response)s?\b"
    r"(?:\s+(?:is|are|would be|should be)\b)?(?:\s*[:=]\s*|\s+-\s+|\s+)",
)
_JSON_KEYS = ("label", "answer")


def read_label(text: str, surfaces: Mapping[str, Sequence[str]]) -> LabelRead:
    """Return the label that a text names.

    Args:
        text: the whole answer; whether it was cut is the caller's to judge.
        surfaces: what each label may be called, distinct once they are folded.
    """
    names = {fold(surface): name for name, listed in surfaces.items() for surface in listed}
    if not text.strip():
        return LabelRead(None, reason=Reason.EMPTY)
    said = text
    for value in json_values(text):
        if isinstance(value, dict):
            given = next((value[key] for key in _JSON_KEYS if key in value), None)
            if isinstance(given, bool | int | float | str):
                said = given if isinstance(given, str) else json.dumps(given)
                break
    folded = fold(said)
    if folded in names:
        return LabelRead(names[folded], Step.EXACT)
    first = fold(next(line for line in text.splitlines() if line.strip()))
    bare = fold(_INTRODUCTION.sub("", first, count=1))
    for line in (first, bare):
        if line in names:
            return LabelRead(names[line], Step.FIRST_LINE)
    return _mentioned(folded, names)


def read_list(
    text: str, surfaces: Mapping[str, Sequence[str]]
) -> tuple[frozenset[str], int] | None:
    """Return the labels of a list, and how many of its items are none; ``None`` for no list at all.

    Items are parted by commas, semicolons, line breaks or ``and``; a surface that holds such a mark
    is still one item. ``none`` alone is the empty list, unless a label is called so.
    """
    names = {fold(surface): name for name, listed in surfaces.items() for surface in listed}
    introduced = _INTRODUCTION.sub("", text.strip().casefold(), count=1)
    rest = _bullets(introduced).strip()
    if not rest:
        return None
    if fold(rest) in _NOTHING and fold(rest) not in names:
        return frozenset(), 0
    found: set[str] = set()
    unknown = 0
    while rest:
        item, rest = _next_item(rest, names)
        if item in names:
            found.add(names[item])
        elif item:
            unknown += 1
    return frozenset(found), unknown


_NOTHING = frozenset({"none", "none of them", "none apply", "none applies", "no label", "no labels",
                      "none of the above", "[]", "n/a", "nothing"})  # fmt: skip
_PARTING = re.compile(r"\s*(?:[,;\n|]+|\band\b|&)\s*")


def _next_item(rest: str, names: Mapping[str, str]) -> tuple[str, str]:
    """Return the first item, folded, and what comes after it."""
    if fold(rest) in names:
        return fold(rest), ""
    for part in [*_PARTING.finditer(rest)][::-1]:  # the longest surface first
        if fold(rest[: part.start()]) in names:
            return fold(rest[: part.start()]), rest[part.end() :]
    first = _PARTING.search(rest)
    if first is None:
        return fold(rest), ""
    return fold(rest[: first.start()]), rest[first.end() :]


def _bullets(text: str) -> str:
    return re.sub(r"(?m)^\s*(?:[-*•]|\d+[.)])\s+", "", text)


def _mentioned(folded: str, names: Mapping[str, str]) -> LabelRead:
    found: set[str] = set()
    rest = folded
    for surface in sorted(names, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(surface)}(?!\w)"
        if re.search(pattern, rest):
            found.add(names[surface])
            # Out of the way of shorter surfaces, and of the search for negations: "no change".
            rest = re.sub(pattern, "\0", rest)
    if not found:
        return LabelRead(None, reason=Reason.UNPARSABLE)
    if len(found) > 1 or _NEGATION.search(rest):
        return LabelRead(None, reason=Reason.AMBIGUOUS)
    return LabelRead(found.pop(), Step.MENTION)


def json_values(text: str) -> Iterator[Any]:
    """Yield the objects and lists of a text, whatever stands around them, nested ones not again."""
    decoder = json.JSONDecoder()
    at = 0
    while (match := _OPENING.search(text, at)) is not None:
        try:
            value, at = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            at = match.end()
            continue
        yield value


_OPENING = re.compile(r"[{\[]")
