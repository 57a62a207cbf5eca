"""Examples as a model reads them: pieces of sub-words, and which words they answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from groupbench.errors import DataError
from groupbench.predictions import gold_array
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.task import Example, Task
    from groupbench_encoder.subwords import Ids, Subwords

Ints: TypeAlias = "np.typing.NDArray[np.int64]"
Array: TypeAlias = "np.typing.NDArray[np.generic]"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an input may be, and what becomes of a longer one."""

    max_length: int
    """In sub-words, special tokens included."""
    long_inputs: Literal["cut", "windows"] = "cut"
    stride: int = 64
    """Sub-words that neighbouring windows share."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One window of one example; the whole example where it fits."""

    ids: Ints
    types: Ints
    words: Ints
    """Token tasks: which words of the example are answered here, in order."""
    positions: Ints
    """The place of each one's first sub-word in ``ids``."""


@dataclass(frozen=True)
class Encoded:
    """The examples of one split of one task."""

    task: str
    kind: Kind
    n_labels: int
    pieces: tuple[tuple[Piece, ...], ...]
    """At least one for each example."""
    cut: tuple[bool, ...]
    """Which examples lost something to the limit."""
    n_words: Ints
    """Words of each example; 1 where the kind has no words."""
    gold: Array | None
    """As `gold_array` has it; ``None`` where it is to be predicted."""
    padding: int
    has_types: bool

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def lengths(self) -> Ints:
        """The length of each example's longest piece."""
        return np.asarray([max(len(p.ids) for p in pieces) for pieces in self.pieces], np.int64)

    @cached_property
    def n_tokens(self) -> Ints:
        """Sub-words of each example over all its pieces."""
        return np.asarray([sum(len(p.ids) for p in pieces) for pieces in self.pieces], np.int64)

    @cached_property
    def offsets(self) -> Ints:
        """Where each example's rows begin in the output, and the end."""
        return np.concatenate([[0], np.cumsum(self.n_words)])


def encode(
    task: Task, examples: Sequence[Example], subwords: Subwords, limits: Limits, *, gold: bool
) -> Encoded:
    """Return ``examples`` as a model reads them.

    Raises:
        DataError: an input is not of the task's kind.
    """
    if task.kind is Kind.TOKEN:
        found = [
            _of_words(words, subwords, limits) for words in _word_ids(task, examples, subwords)
        ]
    elif task.kind is Kind.PAIR:
        found = _of_pairs(task, examples, subwords, limits)
    else:
        if wrong := [e.id for e in examples if not isinstance(e.input, str)]:
            raise DataError(f"{task.where}: the input of {wrong[0]} must be one text.")
        texts = subwords.of_texts([e.text for e in examples])
        found = [_of_text(ids, subwords, limits) for ids in texts]
    token = task.kind is Kind.TOKEN
    n_words = [len(e.input) if token else 1 for e in examples]
    return Encoded(
        task=task.name,
        kind=task.kind,
        n_labels=len(task.labels),
        pieces=tuple(tuple(pieces) for pieces, _ in found),
        cut=tuple(cut for _, cut in found),
        n_words=np.asarray(n_words, np.int64),
        gold=gold_array(task.kind, len(task.labels), examples)[0] if gold else None,
        padding=subwords.padding,
        has_types=subwords.has_types,
    )


def windows(n: int, room: int, limits: Limits) -> tuple[list[int], bool]:
    """Return where windows of ``room`` begin in a sequence of ``n``, and whether the end is lost.

    The last window is as full as the others.

    >>> windows(10, 4, Limits(max_length=6, long_inputs="windows", stride=1))
    ([0, 3, 6], False)
    >>> windows(10, 4, Limits(max_length=6))
    ([0], True)
    """
    if n <= room or limits.long_inputs == "cut":
        return [0], n > room
    step = max(1, room - min(limits.stride, room - 1))
    last = n - room
    return [*range(0, last, step), last], False


def _of_text(ids: Ids, subwords: Subwords, limits: Limits) -> tuple[list[Piece], bool]:
    room = max(1, limits.max_length - len(subwords.prefix) - len(subwords.suffix))
    starts, cut = windows(len(ids), room, limits)
    pieces = [
        _piece([*subwords.prefix, *ids[start : start + room], *subwords.suffix]) for start in starts
    ]
    return pieces, cut


def _of_pairs(
    task: Task, examples: Sequence[Example], subwords: Subwords, limits: Limits
) -> list[tuple[list[Piece], bool]]:
    if wrong := [e.id for e in examples if isinstance(e.input, str) or len(e.input) != 2]:  # noqa: PLR2004 - a pair
        raise DataError(f"{task.where}: the input of {wrong[0]} must be two texts.")
    first = subwords.of_texts([e.input[0] for e in examples])
    second = subwords.of_texts([e.input[1] for e in examples])
    return [_of_pair(a, b, subwords, limits) for a, b in zip(first, second, strict=True)]


def _of_pair(
    first: Ids, second: Ids, subwords: Subwords, limits: Limits
) -> tuple[list[Piece], bool]:
    """Return the pieces of a pair: the longer text is cut first.

    With windows the longer one slides beside the shorter, which keeps at most half of the room.
    """
    prefix, middle, suffix = subwords.prefix, subwords.middle, subwords.suffix
    room = max(2, limits.max_length - len(prefix) - len(middle) - len(suffix))
    shorter = min(len(first), len(second))
    kept = min(shorter, room // 2)  # of the shorter, if they do not fit
    if len(first) + len(second) <= room:
        ways, cut = [(first, second)], False
    else:
        long_room = room - kept
        is_first = len(first) >= len(second)
        long_text, short_text = (first, second) if is_first else (second, first)
        starts, cut = windows(len(long_text), long_room, limits)
        cut = cut or kept < shorter
        parts = [(long_text[s : s + long_room], short_text[:kept]) for s in starts]
        ways = parts if is_first else [(b, a) for a, b in parts]
    between, of_second, after = subwords.second_types
    pieces = []
    for a, b in ways:
        types = (
            [0] * (len(prefix) + len(a)) + [0] * (len(middle) - 1) + [between] * min(1, len(middle))
        )
        types += [of_second] * len(b) + [after] * len(suffix)
        pieces.append(_piece([*prefix, *a, *middle, *b, *suffix], types))
    return pieces, cut


def _word_ids(task: Task, examples: Sequence[Example], subwords: Subwords) -> list[list[Ids]]:
    if wrong := [e.id for e in examples if isinstance(e.input, str)]:
        raise DataError(f"{task.where}: the input of {wrong[0]} must be a list of words.")
    known = subwords.of_words([word for e in examples for word in e.input])
    return [[known[word] for word in e.input] for e in examples]


def _of_words(words: list[Ids], subwords: Subwords, limits: Limits) -> tuple[list[Piece], bool]:
    """Return pieces in which each word is answered where it has most context on its lesser side."""
    ids = [token for word in words for token in word]
    sizes = [len(word) for word in words]
    firsts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])[: len(words)].astype(np.int64)
    before = len(subwords.prefix)
    room = max(1, limits.max_length - before - len(subwords.suffix))
    starts, cut = windows(len(ids), room, limits)
    begin = np.asarray(starts, np.int64)[:, None]
    context = np.minimum(firsts[None] - begin, begin + room - 1 - firsts[None])
    best = context.argmax(axis=0)
    inside = context.max(axis=0) >= 0 if len(words) else np.zeros(0, bool)
    pieces = []
    for index, start in enumerate(starts):
        answered = np.flatnonzero(inside & (best == index)).astype(np.int64)
        piece = _piece([*subwords.prefix, *ids[start : start + room], *subwords.suffix])
        pieces.append(Piece(piece.ids, piece.types, answered, firsts[answered] - start + before))
    return pieces, cut


def _piece(ids: Ids, types: Ids | None = None) -> Piece:
    nothing = np.zeros(0, np.int64)
    kinds = np.zeros(len(ids), np.int64) if types is None else np.asarray(types, np.int64)
    return Piece(np.asarray(ids, np.int64), kinds, nothing, nothing)
