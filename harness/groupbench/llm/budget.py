"""Making a prompt fit: shots go first, then words of the input, never the instruction or labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from groupbench.llm.shots import drop_order
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from groupbench.task import Input

MARGIN = 8
"""Tokens kept free besides the output cap."""

FEWEST_WORDS = 16
"""An input that would have to be cut below this is given up."""

_EVEN_STEPS = 8
"""After so many guesses sizes do not grow evenly, and halving is safer."""

_WORD = re.compile(r"\S+")


class OnLong(StrEnum):
    """What is done with an input that does not fit, once no shot is left to drop."""

    CUT = "cut"
    """Words are taken from its end."""
    REFUSE = "refuse"
    """It is given up."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fits, and what had to go for it."""

    kept: tuple[int, ...]
    """Indices of the shots that stay, in order."""
    input: Input
    shots_dropped: int = 0
    words_dropped: int = 0
    """Of the input's end; of pairs, of both texts together."""
    fits: bool = True
    """If not, the example is given up: its outcome is ``truncated``, ``prompt_too_long``."""


def fit_budget(  # noqa: PLR0913 - what fitting is a function of
    kind: Kind,
    given: Input,
    strata: Sequence[frozenset[str]],
    size: Callable[[tuple[int, ...], Input], int],
    limit: int,
    *,
    on_long: OnLong = OnLong.CUT,
    fewest: int = FEWEST_WORDS,
) -> Fitted:
    """Return what is left of a prompt for it to take at most ``limit`` tokens.

    Shots are dropped in `drop_order`; then the input is cut at a word from its end, pairs on the
    longer side. As little goes as possible, if less text never takes more tokens.

    Args:
        kind: of the task.
        given: the example's input.
        strata: labels of each shot, as `groupbench.llm.shots.strata` gives them.
        size: tokens of the prompt with these shots and this input, and of its `reserve`.
        limit: the smaller of the model's context and the server's limit.
        on_long: whether the input may be cut.
        fewest: words of its longest text that a cut must leave.
    """
    everything = tuple(range(len(strata)))
    if size(everything, given) <= limit:
        return Fitted(everything, given)
    order = drop_order(strata)

    def without(n: int) -> tuple[int, ...]:
        return tuple(i for i in everything if i not in set(order[:n]))

    dropped = _least(1, len(order), lambda n: size(without(n), given) <= limit)
    if dropped is not None:
        return Fitted(without(dropped), given, shots_dropped=dropped)
    widest = max(side_lengths(kind, given))
    kept = None
    if on_long is OnLong.CUT:
        kept = _most(
            max(fewest, FEWEST_WORDS),
            widest,
            lambda n: size((), cut_input(kind, given, n)),
            limit,
        )
    if kept is None:
        return Fitted((), given, shots_dropped=len(order), fits=False)
    shorter = cut_input(kind, given, kept)
    words_dropped = sum(side_lengths(kind, given)) - sum(side_lengths(kind, shorter))
    return Fitted((), shorter, len(order), words_dropped)


def cut_input(kind: Kind, given: Input, most: int) -> Input:
    """Return an input whose texts have at most ``most`` words each, cut from the end.

    >>> cut_input(Kind.PAIR, ("a b c d", "e f"), 3)
    ('a b c', 'e f')
    >>> cut_input(Kind.TOKEN, ("We", "saw", "Ada"), 2)
    ('We', 'saw')
    """
    if isinstance(given, str):
        return _cut(given, most)
    return tuple(_cut(side, most) for side in given) if kind is Kind.PAIR else given[:most]


def side_lengths(kind: Kind, given: Input) -> tuple[int, ...]:
    """Return the words of each text of an input."""
    if isinstance(given, str):
        return (len(_WORD.findall(given)),)
    if kind is Kind.PAIR:
        return tuple(len(_WORD.findall(side)) for side in given)
    return (len(given),)


def reserve(output_cap: int) -> int:
    """Return the tokens kept free of prompt, for an answer of at most ``output_cap``."""
    return output_cap + MARGIN


def _cut(text: str, most: int) -> str:
    words = list(_WORD.finditer(text))
    return text if len(words) <= most else text[: words[most - 1].end()]


def _least(low: int, high: int, holds: Callable[[int], bool]) -> int | None:
    """Return the least number from ``low`` to ``high`` that holds, if one does; larger ones do."""
    if low > high or not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _most(low: int, high: int, size: Callable[[int], int], limit: int) -> int | None:
    """Return the largest number from ``low`` to below ``high`` of at most ``limit``, if any is.

    ``size(high)`` is above it. Sizes grow almost evenly, so the place is soon found from two of
    them; each costs as much as tokenising the text.
    """
    if low >= high or (least := size(low)) > limit:
        return None
    most, steps = size(high), 0
    while high - low > 1:
        steps += 1
        middle = low + (limit - least) * (high - low) // max(most - least, 1)
        if steps > _EVEN_STEPS:
            middle = (low + high) // 2
        middle = min(max(middle, low + 1), high - 1)
        found = size(middle)
        if found <= limit:
            low, least = middle, found
        else:
            high, most = middle, found
    return low
