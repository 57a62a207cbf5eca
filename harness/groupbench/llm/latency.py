"""Percentiles of waiting times, in memory that does not grow."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_GROWTH = math.log(1.02)
_SHORTEST = 1e-4


class Latencies:
    """A histogram of seconds, whose bins are 2 % wide.

    >>> seconds = Latencies()
    >>> for i in range(1, 101):
    ...     seconds.add(i / 100)
    >>> round(seconds.percentile(50), 1), round(seconds.percentile(95), 1)
    (0.5, 0.9)
    """

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self.n = 0

    @classmethod
    def of(cls, bins: Mapping[str, int]) -> Self:
        """Return what `bins` wrote, or a sum of several."""
        made = cls()
        made._bins.update({int(bin_): count for bin_, count in bins.items()})
        made.n = sum(bins.values())
        return made

    def bins(self) -> dict[str, int]:
        """Return how many there are in each bin, as JSON; those of several can be added."""
        return {str(bin_): count for bin_, count in sorted(self._bins.items())}

    def add(self, seconds: float) -> None:
        """Count one."""
        self._bins[round(math.log(max(seconds, _SHORTEST)) / _GROWTH)] += 1
        self.n += 1

    def percentile(self, q: float) -> float | None:
        """Return the time below which ``q`` percent lie, within 1 %; ``None`` without any."""
        rank, seen = max(1, math.ceil(self.n * q / 100)), 0
        for bin_, count in sorted(self._bins.items()):
            seen += count
            if seen >= rank:
                return math.exp(bin_ * _GROWTH)
        return None
