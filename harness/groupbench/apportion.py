"""Whole numbers in proportion: how many steps or examples of each task make one epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def apportion(weights: Sequence[float], total: int) -> list[int]:
    """Return whole numbers that sum to ``total``, in proportion to ``weights``: largest remainder.

    >>> apportion([0.5, 0.25, 0.25], 5)
    [3, 1, 1]
    """
    exact = [weight * total / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts
