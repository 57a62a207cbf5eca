"""How far two partitions agree."""

from __future__ import annotations

from collections import Counter
from math import comb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def adjusted_rand_index(first: Iterable[Iterable[str]], second: Iterable[Iterable[str]]) -> float:
    """Return the agreement of two partitions of the same tasks: 1 the same, about 0 by chance.

    Hubert and Arabie, "Comparing partitions" (Journal of Classification, 1985). 1 where both are
    all singletons, or both one block.

    >>> adjusted_rand_index([["a", "b"], ["c"]], [["c"], ["b", "a"]])
    1.0

    Raises:
        ValueError: the partitions are of different tasks.
    """
    block_of = [
        {task: number for number, block in enumerate(blocks) for task in block}
        for blocks in (first, second)
    ]
    if block_of[0].keys() != block_of[1].keys():
        raise ValueError("the partitions are of different tasks")
    tasks = list(block_of[0])
    together = _pairs(Counter((block_of[0][t], block_of[1][t]) for t in tasks))
    in_first = _pairs(Counter(block_of[0][t] for t in tasks))
    in_second = _pairs(Counter(block_of[1][t] for t in tasks))
    n_pairs = comb(len(tasks), 2)
    expected = in_first * in_second / n_pairs if n_pairs else 0.0
    highest = (in_first + in_second) / 2
    if highest == expected:
        return 1.0
    return (together - expected) / (highest - expected)


def _pairs(counts: Counter[int] | Counter[tuple[int, int]]) -> int:
    return sum(comb(count, 2) for count in counts.values())
