"""Entity spans in sequences of tags, as conlleval and seqeval (default mode) read them.

``B-x I-x`` (IOB2), ``B-x I-x E-x S-x`` (BIOES) and ``L``, ``U`` for ``E``, ``S`` (BILOU) are read.
A span begins at ``B`` or ``S``, after ``O``, ``E`` or ``S``, and where the type changes; so an
``I-x`` without its ``B-x`` begins one too. A tag without a prefix is read as ``I`` of its own type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.predictions import IntArray

OUTSIDE = "O"
_TAG = re.compile(r"([BIESLU])-(.*)", re.DOTALL)
_BEGINS, _ENDS = frozenset("BSU"), frozenset("ELSU")


def entity_type(tag: str) -> str | None:
    """Return a tag's entity type; ``None`` for ``O``.

    >>> entity_type("B-drug"), entity_type("drug"), entity_type("O")
    ('drug', 'drug', None)
    """
    if tag == OUTSIDE:
        return None
    match = _TAG.fullmatch(tag)
    return match[2] if match else tag


def entity_types(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the types among ``tags`` in the order they come."""
    return tuple(dict.fromkeys(kind for tag in tags if (kind := entity_type(tag)) is not None))


def type_of_tag(tags: Sequence[str]) -> IntArray:
    """Return the index in `entity_types` of each tag's type, -1 for ``O``: ``[len(tags)]``."""
    types = entity_types(tags)
    return np.array(
        [-1 if (kind := entity_type(tag)) is None else types.index(kind) for tag in tags], np.int64
    )


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of entities over all words; ``end`` is the word after the last. ``[n_spans]`` each."""

    start: IntArray
    end: IntArray
    type: IntArray
    """Index in `entity_types`; one past the last for words without a valid answer."""


def spans(tags: Sequence[str], indices: IntArray, offsets: IntArray) -> Spans:
    """Return the spans of words, none across the end of an example.

    Args:
        tags: what the indices mean.
        indices: a tag's index for each word; -1, "no valid answer", is a type of its own, so that
            such words are a wrong span rather than none. Shape ``[W]``.
        offsets: words of example ``i`` are ``offsets[i]:offsets[i + 1]``. Shape ``[n + 1]``.
    """
    prefixes = [match[1] if (match := _TAG.fullmatch(tag)) else "I" for tag in tags]
    n_types = len(entity_types(tags))
    # the last row is for NO_ANSWER, which indexes it as -1
    type_of = np.append(type_of_tag(tags), n_types)
    begins = np.array([prefix in _BEGINS for prefix in prefixes] + [False])
    ends = np.array([prefix in _ENDS for prefix in prefixes] + [False])
    types = type_of[indices]
    first = np.zeros(len(indices) + 1, dtype=bool)
    first[offsets] = True
    first = first[: len(indices)]
    inside = types >= 0
    before = np.roll(indices, 1)
    # O has type -1, so a span after O is one "where the type changes"
    starts = inside & (first | begins[indices] | ends[before] | (types != type_of[before]))
    stops = np.flatnonzero(np.append(starts | ~inside | first, True))
    start = np.flatnonzero(starts)
    end = stops[np.searchsorted(stops, start, side="right")]
    return Spans(start, end, types[start])
