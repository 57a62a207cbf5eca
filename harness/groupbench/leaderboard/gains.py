"""What an entry gains over the baseline grouping with the same runner, task by task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groupbench.stats.sample import difference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.stats.sample import Sample

TOO_NEAR_ZERO = 1e-3
"""A baseline below this divides nothing: relative gains are then undefined. MCC may be negative."""

MATERIAL = 0.005
"""Half a point."""


@dataclass(frozen=True, slots=True)
class TaskGain:
    """Difference from the baseline on one task, in points (hundredths)."""

    points: float
    points_ci: tuple[float, float]
    """95 %, paired."""

    @property
    def significantly_worse(self) -> bool:
        """Whether the whole interval is below 0."""
        return self.points_ci[1] < 0


@dataclass(frozen=True, slots=True)
class Gain:
    """Difference from the baseline over the suite."""

    points: float
    """Of the average, in points."""
    points_ci: tuple[float, float]
    relative: float | None
    """Delta_m: the mean over tasks of the relative improvement, in percent (Maninis et al. 2019,
    "Attentive Single-Tasking of Multiple Tasks"). ``None`` where a baseline is too near 0."""
    tasks: Mapping[str, TaskGain]

    @property
    def negative_transfer(self) -> dict[str, float]:
        """Shares of tasks that lost: at all, significantly, and by more than half a point."""
        gains = list(self.tasks.values())
        return {
            "any": float(np.mean([g.points < 0 for g in gains])),
            "significant": float(np.mean([g.significantly_worse for g in gains])),
            "material": float(np.mean([g.points < -100 * MATERIAL for g in gains])),
        }


def gain_over(
    scores: Mapping[str, Sample],
    base: Mapping[str, Sample],
    average: Sample,
    base_average: Sample,
) -> Gain:
    """Return what ``scores`` gain over ``base``, by task and on average."""
    tasks = {}
    relative = []
    for name, sample in scores.items():
        estimate = difference(sample, base[name])
        low, high = estimate.interval()
        tasks[name] = TaskGain(100 * estimate.mean, (100 * low, 100 * high))
        if base[name].mean >= TOO_NEAR_ZERO:
            relative.append(estimate.mean / base[name].mean)
    total = difference(average, base_average)
    low, high = total.interval()
    return Gain(
        points=100 * total.mean,
        points_ci=(100 * low, 100 * high),
        relative=100 * float(np.mean(relative)) if len(relative) == len(tasks) else None,
        tasks=tasks,
    )
