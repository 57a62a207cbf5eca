"""Ordinary words of each domain, and the rules by which sentences and labels are made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.task import Input

PLACE, VERB, ADJ = "PLACE", "VERB", "ADJ"
WORDS = ("W", "X")
"""Slots of invented words."""
SLOTS = frozenset({PLACE, VERB, ADJ, *WORDS})

DOMAINS: dict[str, dict[str, tuple[str, ...]]] = {
    "harbour": {
        PLACE: ("quay", "pier", "lighthouse", "anchorage", "jetty", "shipyard"),
        VERB: ("sails", "docks", "floats", "steers", "drifts", "lands"),
        ADJ: ("salty", "tidal", "rusty", "windy", "coastal", "wooden"),
    },
    "market": {
        PLACE: ("stall", "shop", "bakery", "counter", "warehouse", "store"),
        VERB: ("sells", "buys", "trades", "weighs", "pays", "orders"),
        ADJ: ("cheap", "costly", "fresh", "busy", "noisy", "crowded"),
    },
    "garden": {
        PLACE: ("orchard", "pond", "hedge", "lawn", "greenhouse", "meadow"),
        VERB: ("grows", "blooms", "digs", "waters", "plants", "ripens"),
        ADJ: ("green", "shady", "leafy", "sunny", "mossy", "thorny"),
    },
}
"""Words by slot, for each domain; no word is in two of them."""

FUNCTION_WORDS = ("the", "near")

ORDINARY = frozenset(
    word for slots in DOMAINS.values() for words in slots.values() for word in words
) | frozenset(FUNCTION_WORDS)


@dataclass(frozen=True)
class Rule:
    """How a sentence is written and what its labels ask of the invented words in it.

    A *cell* is the attribute of each invented word of a sentence; every cell is drawn equally
    often. A *value* is what a label asks for: the attribute of one of the words.
    """

    kind: Kind
    texts: tuple[str, ...]
    """One template; two for pairs."""
    labels: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]
    asked: tuple[int, ...]
    """Which of the sentence's words have their attribute asked for, one value each."""

    @cached_property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """The words and slots of each template."""
        return tuple(tuple(text.split()) for text in self.texts)

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots of the templates, in order."""
        return tuple(part for parts in self.parts for part in parts if part in SLOTS)

    def input(self, fillers: Sequence[str]) -> Input:
        """Write one example's input: ``fillers`` go into the slots, in order."""
        left = iter(fillers)
        texts = [[next(left) if part in SLOTS else part for part in parts] for parts in self.parts]
        if self.kind is Kind.TOKEN:
            return tuple(texts[0])
        if self.kind is Kind.PAIR:
            return tuple(" ".join(words) for words in texts)
        return " ".join(texts[0])

    def gold(self, values: tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the gold that says ``values``."""
        if self.kind is Kind.MULTILABEL:
            return tuple(i for i, value in enumerate(values) if value)
        if self.kind is Kind.TOKEN:
            left = iter(values)
            return tuple(2 - next(left) if part in WORDS else 0 for part in self.parts[0])
        return values[0]


_ANY_ONE = ((0,), (1,))
_ANY_TWO = ((0, 0), (0, 1), (1, 0), (1, 1))
_OPPOSITE = ((0, 1), (1, 0))
_BINARY = ("minus", "plus")

CUE = Rule(Kind.SINGLE, ("the ADJ W VERB the PLACE",), _BINARY, _ANY_ONE, (0,))
"""The attribute of the only invented word."""

AGENT = Rule(Kind.SINGLE, ("the W near the X near the PLACE VERB",), _BINARY, _ANY_TWO, (0,))
"""The attribute of the first word; the second is a distraction."""

ORDER = Rule(Kind.SINGLE, AGENT.texts, _BINARY, _OPPOSITE, (0,))
"""The same where the second word has the opposite attribute: a bag of words knows nothing."""

PAIR = Rule(
    Kind.PAIR,
    ("the W VERB the PLACE", "the X VERB the PLACE"),
    ("second", "first"),
    _OPPOSITE,
    (0,),
)
"""Which of two sentences is about a word that has the attribute."""

MULTI = Rule(Kind.MULTILABEL, ("the W VERB the ADJ X",), ("agent", "patient"), _ANY_TWO, (0, 1))
"""One label for each of two words: present if the word has the attribute."""

TAG = Rule(
    Kind.TOKEN,
    ("the ADJ W VERB the ADJ X near the PLACE",),
    ("O", "B-P", "B-M"),
    _ANY_TWO,
    (0, 1),
)
"""Tag invented words by their attribute, all others O."""
