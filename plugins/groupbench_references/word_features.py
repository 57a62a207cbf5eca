"""Features of words in their sentences, for linear taggers.

Of the word itself: its form, lower case, shape, and prefixes and suffixes of one to four letters.
Of two words to either side: lower case, shape and the last three letters. All are 0 or 1.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.predictions import IntArray
    from groupbench.task import Example

_WINDOW = 2
_OFFSETS = tuple(range(-_WINDOW, _WINDOW + 1))
_EDGE = "\0"
"""Stands for what is before the first and after the last word."""
_LONGEST_AFFIX = 4
_MIN_COUNT = 2
"""A feature that training shows once can only be learned by heart, and is left out."""


@dataclass(frozen=True, slots=True)
class WordFeatures:
    """The features that training showed often enough, by number."""

    numbers: Mapping[str, int]
    n_tokens: int

    @property
    def n_features(self) -> int:
        return len(self.numbers)

    @classmethod
    def fit(cls, examples: Sequence[Example], *, max_features: int) -> WordFeatures:
        """Number the features of ``examples``: the commonest, at most ``max_features`` (0: all)."""
        words, places = _words(examples)
        counts: Counter[str] = Counter()
        for offset, at in zip(_OFFSETS, places, strict=True):
            times = np.bincount(at, minlength=len(words)).tolist()
            for word, n in zip(words, times, strict=True):
                for name in _names(word, offset):
                    counts[name] += n
        often = (name for name, n in counts.items() if n >= _MIN_COUNT)
        kept = sorted(often, key=lambda name: (-counts[name], name))[: max_features or None]
        return cls({name: number for number, name in enumerate(kept)}, n_tokens=places.shape[1])

    def __call__(self, examples: Sequence[Example]) -> Any:  # noqa: ANN401 - a scipy.sparse matrix
        """Return a row a word, shape ``[W, n_features]``."""
        from scipy.sparse import csr_matrix

        words, places = _words(examples)
        parts = []
        for offset, at in zip(_OFFSETS, places, strict=True):
            # each word's features are looked up once, however often it occurs
            numbers = [[self.numbers.get(n, -1) for n in _names(w, offset)] for w in words]
            parts.append(np.array(numbers, dtype=np.int32)[at])
        table = np.concatenate(parts, axis=1)
        known = table >= 0
        ends = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
        indices = table[known]
        return csr_matrix(
            (np.ones(len(indices)), indices, ends), shape=(len(table), self.n_features)
        )


def _words(examples: Sequence[Example]) -> tuple[list[str], IntArray]:
    """Return the distinct words, and which of them each word's neighbours are.

    Returns:
        The words, `_EDGE` first; and their indices by offset and word: ``[len(_OFFSETS), W]``.
    """
    index = {_EDGE: 0}
    edges = [0] * _WINDOW
    padded, centres = [], []
    for example in examples:
        padded += edges
        start = len(padded)
        padded += [index.setdefault(word, len(index)) for word in example.input]
        centres.append(np.arange(start, len(padded)))
        padded += edges
    at = np.concatenate(centres) if centres else np.zeros(0, dtype=np.int64)
    row = np.array(padded, dtype=np.int64)
    return list(index), np.stack([row[at + offset] for offset in _OFFSETS])


def _names(word: str, offset: int) -> list[str]:
    """Return the names of a word's features, as many for every word at this offset."""
    lower = word.lower()
    if offset:
        return [f"{offset}l{lower}", f"{offset}s{shape(word)}", f"{offset}e{lower[-3:]}"]
    affixes = range(1, _LONGEST_AFFIX + 1)
    return [
        f"w{word}",
        f"l{lower}",
        f"s{shape(word)}",
        *(f"p{n}{lower[:n]}" for n in affixes),
        *(f"e{n}{lower[-n:]}" for n in affixes),
    ]


def shape(word: str) -> str:
    """Return which kinds of character a word is made of, runs of one kind as one.

    >>> shape("Interleukin-12b"), shape("DNA"), shape("3.5%")
    ('Xx-9x', 'X', '9.9%')
    """
    kinds = "".join(
        "X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word
    )
    return re.sub(r"(.)\1+", r"\1", kinds, flags=re.DOTALL)
