"""Scores of one entry over seeds, random draws and bootstrap draws, and how two entries differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from groupbench.stats.uncertainty import Estimate, Part, interval, part_of, spread, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.predictions import FloatArray

CellId: TypeAlias = tuple[int, int]
"""Seed, and draw of a random grouping."""


@dataclass(frozen=True, eq=False)
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
    members: tuple[Sample, ...] = ()
    """Of an average: what it is the average of, task by task."""

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
            members=tuple(samples),
        )

    @property
    def mean(self) -> float:
        """The mean over cells."""
        return float(self.scores.mean())

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a score, in order."""
        return tuple(sorted({seed for seed, _ in self.cells}))

    @cached_property
    def drawn(self) -> FloatArray:
        """Replicates of the mean over cells. ``[draws]``."""
        return _mean(self.replicates)

    @cached_property
    def by_seed(self) -> tuple[FloatArray, FloatArray]:
        """Scores and replicates averaged over the draws of each seed."""
        return self._by(0)

    @cached_property
    def seed_part(self) -> tuple[Part, ...]:
        """What the seeds add to the variance of the mean; empty with one seed."""
        return part_of(*self.by_seed)

    @cached_property
    def draw_part(self) -> tuple[Part, ...]:
        """What the draws of a random grouping add; empty where there are no others."""
        return part_of(*self._by(1))

    def estimate(self) -> Estimate:
        """Return the mean and its uncertainty."""
        return Estimate(self.mean, spread(self.drawn), self.seed_part + self.draw_part)

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the mean."""
        n_units = len(self.task_units) / float(np.mean(1 / np.maximum(self.task_units, 1)))
        return interval(self.estimate(), n_units, self.low, self.high)

    def _by(self, factor: int) -> tuple[FloatArray, FloatArray]:
        levels = [cell[factor] for cell in self.cells]
        if len(set(levels)) == len(levels) == 1:
            return self.scores, self.replicates
        rows = [[i for i, each in enumerate(levels) if each == x] for x in sorted(set(levels))]
        return (
            np.array([self.scores[row].mean() for row in rows]),
            np.array([_mean(self.replicates[row]) for row in rows]),
        )


def difference(one: Sample, other: Sample) -> Estimate:
    """Return how much ``one`` scores above ``other``, with the uncertainty of a test against 0.

    Test examples are paired: both are scored on the same draws. Seeds are not, for a seed means
    nothing across models; but tasks for which both have the very same predictions (groupings that
    share fits) differ by exactly 0 and leave nothing uncertain.
    """
    mine, theirs = one.members or (one,), other.members or (other,)
    pairs = [pair for pair in zip(mine, theirs, strict=True) if not _same(*pair)]
    if not pairs:
        return Estimate(0.0, 0.0)
    if len(pairs) < len(mine):
        one, other = (Sample.averaged(samples) for samples in zip(*pairs, strict=True))
    gap = one.task_means - other.task_means
    # If there is no difference, the second moment is the variance: d^2 / n is added. For accuracies
    # that makes the test McNemar's, which a few examples cannot pass by all agreeing.
    null = float(np.mean(gap**2 / np.maximum(one.task_units, 1))) / len(gap)
    parts = (
        *together(one.seed_part + other.seed_part),
        *together(one.draw_part + other.draw_part),
    )
    estimate = Estimate(one.mean - other.mean, spread(one.drawn - other.drawn) + null, parts)
    return estimate.scaled(len(pairs) / len(mine))


def _same(one: Sample, other: Sample) -> bool:
    return (
        one.cells == other.cells
        and np.array_equal(one.scores, other.scores)
        and np.array_equal(one.replicates, other.replicates)
    )


def _mean(rows: FloatArray) -> FloatArray:
    mean: FloatArray = rows[0] if len(rows) == 1 else rows.mean(axis=0)
    return mean
