"""The bootstrap over test examples: whole clusters are drawn again, and all entries share draws.

A metric whose score is a function of sums over examples needs no loop: with how often each unit is
drawn as a matrix ``[draws, units]``, one matrix product gives the sums of every draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.predictions import FloatArray, IntArray

N_DRAWS = 1000
"""How often the test examples are drawn again."""

_EXACT_IN_FLOAT32 = 1 << 24
_CHUNK = 1 << 18
"""Weights held at once: few enough for a processor's cache, which is half again as quick."""


def units_of(clusters: Sequence[str | None]) -> tuple[IntArray, int]:
    """Return the unit of each example, and how many units there are.

    A unit is what is drawn whole: a cluster, or an example that belongs to none.

    >>> units_of(["p1", None, "p1", None])
    (array([0, 1, 0, 2]), 3)
    """
    numbers: dict[object, int] = {}
    names = [("", row) if name is None else ("cluster", name) for row, name in enumerate(clusters)]
    units = [numbers.setdefault(name, len(numbers)) for name in names]
    return np.asarray(units, dtype=np.intp), len(numbers)


def sums_by_unit(statistics: FloatArray, units: IntArray, n_units: int) -> FloatArray:
    """Return the statistics summed over each unit's examples. Shape ``[n_units, d]``."""
    if n_units == len(statistics):
        return statistics  # units are numbered in order: each example is its own
    sums = np.zeros((n_units, statistics.shape[1]))
    np.add.at(sums, units, statistics)
    return sums


def draw_counts(n_units: int, n_draws: int, rng: np.random.Generator) -> FloatArray:
    """Return how often each unit is in each draw of ``n_units`` with replacement.

    Returns:
        Shape ``[n_draws, n_units]``, float32; each row sums to ``n_units``.
    """
    drawn = rng.integers(0, n_units, size=(n_draws, n_units), dtype=np.int32)
    drawn += np.arange(n_draws, dtype=np.int32)[:, None] * np.int32(n_units)
    counts = np.bincount(drawn.ravel(), minlength=n_draws * n_units)
    return counts.reshape(n_draws, n_units).astype(np.float32)


def resampled_sums(by_unit: FloatArray, n_draws: int, seed: int) -> FloatArray:
    """Return the sums of the statistics over each draw.

    Counts are summed in float32 where that is exact, so that the answer does not depend on the
    order in which a library adds.

    Args:
        by_unit: statistics summed by unit. Shape ``[n_units, d]``.
        n_draws: how many draws.
        seed: of the draws; equal seeds and numbers of units give equal draws.

    Returns:
        Shape ``[n_draws, d]``.
    """
    n_units, width = by_unit.shape
    if n_units == 0:
        return np.zeros((n_draws, width))
    rng = np.random.default_rng(seed)
    whole = np.array_equal(by_unit, np.rint(by_unit))
    exact = whole and np.abs(by_unit).max(initial=0) * n_units < _EXACT_IN_FLOAT32
    values = by_unit.astype(np.float32 if exact else np.float64)
    rows = max(1, _CHUNK // n_units)
    sums = np.empty((n_draws, width))
    for start in range(0, n_draws, rows):
        part = slice(start, min(start + rows, n_draws))
        counts = draw_counts(n_units, part.stop - part.start, rng)
        sums[part] = counts.astype(values.dtype, copy=False) @ values
    return sums


def unique_columns(blocks: Sequence[FloatArray]) -> tuple[FloatArray, list[list[int]]]:
    """Return the distinct columns of ``blocks``, and where each block's columns are among them.

    Entries share fits, and all share the gold labels: most columns occur many times.
    """
    places: dict[bytes, int] = {}
    columns: list[FloatArray] = []
    where = []
    for block in blocks:
        mine = []
        for column in np.ascontiguousarray(block.T):
            key = column.tobytes()
            if key not in places:
                places[key] = len(columns)
                columns.append(column)
            mine.append(places[key])
        where.append(mine)
    if not columns:
        return np.zeros((len(blocks[0]) if blocks else 0, 0)), where
    return np.stack(columns, axis=1), where
