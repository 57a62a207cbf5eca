"""Partitions drawn uniformly, with exact integers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

T = TypeVar("T")


@cache
def n_partitions(n: int, k: int) -> int:
    """Return how many partitions of ``n`` things have exactly ``k`` blocks: Stirling's S(n, k).

    ``S(n, k) = S(n - 1, k - 1) + k S(n - 1, k)``: the last thing is alone, or joins one of ``k``.

    >>> n_partitions(9, 3)
    3025
    """
    row = [1]  # S(0, 0)
    for size in range(1, n + 1):
        row = [(row[j - 1] if j else 0) + j * (row[j] if j < size else 0) for j in range(size + 1)]
    return row[k] if 0 <= k <= n else 0


def random_partition(things: Sequence[T], k: int, rng: Random) -> list[list[T]]:
    """Return one of the partitions of ``things`` into exactly ``k`` blocks, each as likely.

    Labels drawn at random and independently would favour blocks of equal size.

    Raises:
        ValueError: there is no such partition.
    """
    if not n_partitions(len(things), k):
        raise ValueError(f"{len(things)} things have no partition into {k} blocks.")
    # from the last thing down: does it open a block of its own, or join one of those before it?
    alone = []
    left = k
    for n in range(len(things), 0, -1):
        opens = rng.randrange(n_partitions(n, left)) < n_partitions(n - 1, left - 1)
        alone.append(opens)
        left -= opens
    blocks: list[list[T]] = []
    for thing, opens in zip(things, reversed(alone), strict=True):
        if opens:
            blocks.append([thing])
        else:
            blocks[rng.randrange(len(blocks))].append(thing)
    return blocks
