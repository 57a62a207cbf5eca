"""Entities as JSON spans and as BIO tags."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groupbench.llm.readers import Reason, json_values

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Span = dict[str, str]
"""``text`` and ``type``."""


@dataclass(frozen=True, slots=True)
class EntitiesRead:
    """The spans of an answer, or why there are none to read."""

    spans: tuple[Any, ...] = ()
    """As the model wrote them; `spans_to_bio` judges each."""
    reason: Reason | None = None
    salvaged: bool = False
    """Whether these are the complete objects of an answer that is not whole."""


def read_entities(text: str, *, truncated: bool = False, salvage: bool = False) -> EntitiesRead:
    """Return the entities of ``{"entities": [{"text": ..., "type": ...}, ...]}``.

    The object may stand in prose or in a code fence; a bare list is understood too.

    Args:
        text: the answer.
        truncated: whether it ran into its cap.
        salvage: keep the complete objects of an answer that is truncated or broken.
    """
    if not truncated:
        for value in json_values(text):
            listed = value.get("entities") if isinstance(value, dict) else value
            if isinstance(listed, list) and (
                isinstance(value, dict) or all(isinstance(each, dict) for each in listed)
            ):
                return EntitiesRead(tuple(listed))
            if isinstance(value, dict) and "entities" not in value:
                break  # the top level is broken: what follows are its parts
    reason = Reason.LENGTH if truncated else Reason.UNPARSABLE
    if not text.strip() and not truncated:
        reason = Reason.EMPTY
    if salvage:
        opened = text.find("[")
        whole = tuple(
            value
            for value in json_values(text[opened + 1 :])
            if isinstance(value, dict) and {"text", "type"} <= value.keys()
        )
        if opened >= 0 and whole:
            return EntitiesRead(whole, salvaged=True)
    return EntitiesRead(reason=reason)


def spans_to_bio(
    tokens: Sequence[str], spans: Sequence[Any], types: Collection[str]
) -> tuple[list[str], Counter[str]]:
    """Return BIO tags of ``tokens``, and what became of the spans.

    Texts are matched over the tokens joined by one blank, case folded, whole tokens only. Each
    takes the leftmost occurrence that is free, longer texts first, without overlap.

    Args:
        tokens: the words of a sentence.
        spans: objects with ``text`` and ``type``; anything may be wrong with them.
        types: entity types that there are.

    Returns:
        A tag for each token, and counts of ``ok``, ``bad_type``, ``taken`` (every occurrence was),
        ``part_of_token``, ``not_in_text`` and ``not_a_span``.
    """
    text = " ".join(tokens)
    first: dict[int, int] = {}
    after: dict[int, int] = {}
    at = 0
    for i, token in enumerate(tokens):
        first[at] = i
        after[at + len(token)] = i + 1
        at += len(token) + 1
    low, tags = _lower(text), ["O"] * len(tokens)
    report: Counter[str] = Counter()
    wanted = []
    for span in spans:
        if isinstance(span, dict) and isinstance(span.get("text"), str):
            wanted.append((_lower(" ".join(span["text"].split())), str(span.get("type"))))
        else:
            report["not_a_span"] += 1
    for query, kind in sorted(wanted, key=lambda w: -len(w[0])):
        if kind not in types:
            report["bad_type"] += 1
            continue
        hits = [m.start() for m in re.finditer(f"(?={re.escape(query)})", low)] if query else []
        whole = [
            (first[hit], after[hit + len(query)])
            for hit in hits
            if hit in first and hit + len(query) in after
        ]
        free = [(i, j) for i, j in whole if set(tags[i:j]) == {"O"}]
        report[_fate(free, whole, hits)] += 1
        for i, j in free[:1]:
            tags[i:j] = [f"B-{kind}"] + [f"I-{kind}"] * (j - i - 1)
    return tags, report


def bio_to_spans(tokens: Sequence[str], tags: Sequence[str]) -> list[Span]:
    """Return the spans of BIO tags in order of appearance.

    An ``I-x`` that continues nothing begins a span, as in the usual scorers.

    >>> bio_to_spans(["Ada", "Lovelace", "wrote"], ["B-PER", "I-PER", "O"])
    [{'text': 'Ada Lovelace', 'type': 'PER'}]
    """
    found: list[tuple[str, list[str]]] = []
    open_type = None
    for token, tag in zip(tokens, tags, strict=True):
        kind = None if tag == "O" else tag[2:]
        if kind is not None and tag[:1] == "I" and kind == open_type:
            found[-1][1].append(token)
        elif kind is not None:
            found.append((kind, [token]))
        open_type = kind
    return [{"text": " ".join(words), "type": kind} for kind, words in found]


def tag_indices(tags: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Return label indices of tags; where a card has only one of ``B-x`` and ``I-x``, that one."""
    index: Mapping[str, int] = {label: i for i, label in enumerate(labels)}
    other = {"B": "I", "I": "B"}
    return [index[tag] if tag in index else index[f"{other[tag[0]]}{tag[1:]}"] for tag in tags]


def _fate(free: Sequence[object], whole: Sequence[object], hits: Sequence[object]) -> str:
    if free:
        return "ok"
    if whole:
        return "taken"
    return "part_of_token" if hits else "not_in_text"


def _lower(text: str) -> str:
    """Return lower case letter by letter, without those that it would make longer: offsets stay."""
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
