"""The exact best partition, by dynamic programming over subsets."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from groupbench.predictions import IntArray

MAX_EXACT = 15
"""Tasks up to which the exact search is used: 3^15 / 2 steps, a second or two."""

HALF = 1 << 8
"""Subsets of a mask are put together from those of its two halves, which are kept."""

IMPOSSIBLE = 2**61
"""The cost of a block that must not be. Costs of possible partitions stay below half of it."""


def exact_partition(cost: IntArray) -> list[list[int]]:
    """Return the partition with the lowest summed cost; of ties, the lexicographically first.

    ``F(0) = 0`` and ``F(T) = min over blocks B of T that hold T's lowest task of cost[B] +
    F(T without B)``: O(3^n) time, O(2^n) memory.

    Args:
        cost: of each block, indexed by its bit mask (bit ``i``: task ``i`` is in it). Integers,
            so that ties are exact; `IMPOSSIBLE` where a block must not be. Shape ``[2**n]``.

    Returns:
        Blocks of task indices, each sorted, in the order of their first task.

    Raises:
        ValueError: no partition is possible, or the shape is not a power of 2.
    """
    n = len(cost).bit_length() - 1
    if len(cost) != 1 << n:
        raise ValueError(f"cost has {len(cost)} entries, which is not a power of 2")
    best = np.zeros(1 << n, dtype=np.int64)
    choice = np.zeros(1 << n, dtype=np.int64)
    for tasks in range(1, 1 << n):
        lowest = tasks & -tasks
        blocks = _submasks(tasks ^ lowest) | lowest
        sums = cost[blocks] + best[tasks ^ blocks]
        least = sums.min()
        if least >= IMPOSSIBLE // 2:  # a negative rest does not make a block possible
            best[tasks] = IMPOSSIBLE
            continue
        ties = blocks[sums == least]
        best[tasks] = least
        choice[tasks] = ties[0] if len(ties) == 1 else min(map(int, ties), key=members)
    rest = (1 << n) - 1
    if best[rest] >= IMPOSSIBLE // 2:
        raise ValueError("no partition into possible blocks")
    found = []
    while rest:
        found.append(members(int(choice[rest])))
        rest ^= int(choice[rest])
    return found


def members(mask: int) -> list[int]:
    """Return the tasks of a bit mask, sorted.

    >>> members(0b1101)
    [0, 2, 3]
    """
    return [i for i in range(mask.bit_length()) if mask >> i & 1]


def _submasks(mask: int) -> IntArray:
    """Return every subset of a bit mask."""
    low, high = mask & (HALF - 1), mask // HALF
    return np.bitwise_or.outer(_small_submasks(high) * HALF, _small_submasks(low)).ravel()


@cache
def _small_submasks(mask: int) -> IntArray:
    found = np.zeros(1, dtype=np.int64)
    while mask:
        bit = mask & -mask
        found = np.concatenate([found, found | bit])
        mask ^= bit
    return found
