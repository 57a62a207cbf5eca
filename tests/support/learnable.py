"""Small tasks in which a word of the text decides, for language models that learn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

from groupbench.runner import FitRequest
from groupbench.task import Example, Kind

WORDS = ("film", "plot", "actor", "drug", "patient", "headache", "treatment", "sentence")
FILLERS = ("was", "that", "good", "with", "not", "said", "they", "which")
LABELS = {
    Kind.SINGLE: ("positive", "negative"),
    Kind.TOKEN: ("O", "B-drug", "I-drug"),
}

MakeRequest: TypeAlias = Callable[..., FitRequest]


def rows(kind: Kind, n: int, seed: str) -> tuple[Example, ...]:
    """Return examples with golds: whether a word of a closed list is odd in it, or which it is."""
    rng = random.Random(f"{kind}{seed}")  # noqa: S311 - data of a test
    found = []
    for i in range(n):
        one = rng.randrange(len(WORDS))
        fill = [rng.choice(FILLERS) for _ in range(rng.randint(2, 5))]
        if kind is Kind.TOKEN:
            words = (*fill, WORDS[one], ".")
            found.append(Example(f"{seed}-{i}", words, (*(0 for _ in fill), 1, 0)))
        else:
            text = " ".join([*fill[:2], WORDS[one], *fill[2:]])
            found.append(Example(f"{seed}-{i}", text, one % 2))
    return tuple(found)
