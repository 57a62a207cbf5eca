"""Scores of one entry over seeds, random draws and bootstrap draws, and how two entries differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from groupbench.stats.uncertainty import (
    Estimate,
    Part,
    interval,
    part_of,
    spread,
    under_no_difference,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.predictions import FloatArray

CellId: TypeAlias = tuple[int, int]
"""Seed, and draw of a random grouping."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What the cells of one entry scored, on one task or averaged over several."""

    cells: tuple[CellId, ...]
    scores: FloatArray
    """``[n_cells]``."""
    replicates: FloatArray
    """The same over draws of the test examples, which all entries share. ``[n_cells, draws]``."""
    task_means: FloatArray
    """Mean over cells by task. ``[n_tasks]``."""
    task_units: FloatArray
    """Units (examples, or whole clusters) that were drawn, by task. ``[n_tasks]``."""
    low: float = 0.0
    """The lowest score there can be."""
    high: float = 1.0

    @classmethod
    def averaged(cls, samples: Sequence[Sample]) -> Sample:
        """Return the average over tasks. All samples have the same cells.

        Test sets of different tasks are drawn independently.
        """
        return cls(
            cells=samples[0].cells,
            scores=np.mean([s.scores for s in samples], axis=0),
            replicates=np.mean([s.replicates for s in samples], axis=0),
            task_means=np.concatenate([s.task_means for s in samples]),
            task_units=np.concatenate([s.task_units for s in samples]),
            low=float(np.mean([s.low for s in samples])),
            high=float(np.mean([s.high for s in samples])),
        )

    @property
    def mean(self) -> float:
        """The mean over cells."""
        return float(self.scores.mean())

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a score, in order."""
        return tuple(sorted({seed for seed, _ in self.cells}))

    def by_seed(self) -> tuple[FloatArray, FloatArray]:
        """Return scores and replicates averaged over the draws of each seed."""
        return self._by(0)

    def estimate(self) -> Estimate:
        """Return the mean and its uncertainty."""
        examples = spread(self.replicates.mean(axis=0))
        return Estimate(self.mean, examples, self._parts((0, 1)))

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the mean."""
        n_units = len(self.task_units) / float(np.mean(1 / np.maximum(self.task_units, 1)))
        return interval(self.estimate(), n_units, self.low, self.high)

    def _parts(self, factors: Sequence[int]) -> tuple[Part, ...]:
        parts = (part_of(*self._by(factor)) for factor in factors)
        return tuple(part for part in parts if part is not None)

    def _by(self, factor: int) -> tuple[FloatArray, FloatArray]:
        levels = np.array([cell[factor] for cell in self.cells])
        rows = [levels == level for level in np.unique(levels)]
        if len(rows) == len(levels) and factor == 0:
            order = np.argsort(levels)
            return self.scores[order], self.replicates[order]
        return (
            np.array([self.scores[row].mean() for row in rows]),
            np.array([self.replicates[row].mean(axis=0) for row in rows]),
        )


def difference(one: Sample, other: Sample) -> Estimate:
    """Return how much ``one`` scores above ``other``, with the uncertainty of a test against 0.

    Test examples are paired: both are scored on the same draws. Seeds are paired where both have
    the same, so that a fit which two groupings share cancels out; else their variances add up.
    """
    gap = one.task_means - other.task_means
    examples = spread(one.replicates.mean(axis=0) - other.replicates.mean(axis=0))
    null = sum(under_no_difference(g, n) for g, n in zip(gap, one.task_units, strict=True))
    if one.seeds == other.seeds:
        scores, replicates = one.by_seed()
        other_scores, other_replicates = other.by_seed()
        seeds = part_of(scores - other_scores, replicates - other_replicates)
        parts = (seeds,) if seeds is not None else ()
        parts += one._parts((1,)) + other._parts((1,))  # noqa: SLF001 - its own kind
    else:
        parts = one._parts((0, 1)) + other._parts((0, 1))  # noqa: SLF001
    return Estimate(one.mean - other.mean, examples + float(null) / len(gap) ** 2, parts)
