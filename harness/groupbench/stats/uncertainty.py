"""Intervals and tests for scores that vary with the test examples, the seeds and random draws.

The uncertainty of a mean score has up to three parts::

    V = V_examples + V_seeds / n_seeds + V_draws / n_draws

``V_examples`` is the variance, over bootstrap draws of the test examples (`bootstrap`), of the
score averaged over seeds and draws. ``V_seeds`` is the variance of the per-seed scores (ddof 1)
less what the finite test set contributes to it: with ``v_r`` the bootstrap variance of seed ``r``,
that is ``(mean_r v_r - V_examples) n / (n - 1)``. ``V_draws`` is the same over the draws of a
random grouping. Neither is taken below 0, and with one seed it is not known and left out. Student's
t has the degrees of freedom of Satterthwaite, ``V^2 / sum(part^2 / (n - 1))`` over the seed and
draw parts.

Intervals are Wilson's with the effective number of examples ``p (1 - p) / V``, as survey
statistics do (Kott and Carr 1997), on the metric's range scaled to 0 to 1. For the accuracy of one
seed that is Wilson's interval itself. At 0 and 1, where every draw is alike, the number of units
(clusters, or examples) takes its place, so that 200 right answers out of 200 are not certainty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from groupbench.predictions import FloatArray

LEVEL = 0.95
_TINY = 1e-12
"""Variances below are the rounding of equal numbers."""


@dataclass(frozen=True, slots=True)
class Part:
    """What the seeds, or the draws of a grouping, add to a variance."""

    variance: float
    dof: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean score and how uncertain it is."""

    mean: float
    examples: float
    """``V_examples``."""
    parts: tuple[Part, ...] = ()

    @property
    def variance(self) -> float:
        """All parts together."""
        return self.examples + sum(part.variance for part in self.parts)

    @property
    def quantile(self) -> float:
        """Student's t for a two-sided 95 % interval; at most what its degrees of freedom ask."""
        from scipy.special import ndtri, stdtrit

        upper = 0.5 + LEVEL / 2
        dof = self.dof
        return float(ndtri(upper) if math.isinf(dof) else stdtrit(dof, upper))

    @property
    def dof(self) -> float:
        """Satterthwaite's degrees of freedom; infinite where only examples vary."""
        total = self.variance
        below = sum(part.variance**2 / part.dof for part in self.parts)
        return total**2 / below if below > _TINY**2 else math.inf


def part_of(scores: FloatArray, replicates: FloatArray) -> tuple[Part, ...]:
    """Return what seeds (or draws) add to the variance of their mean; nothing for fewer than two.

    Args:
        scores: one score a seed. Shape ``[n]``.
        replicates: the bootstrap draws of each. Shape ``[n, draws]``.
    """
    n = len(scores)
    if n < 2:  # noqa: PLR2004 - a variance needs two
        return ()
    each = replicates.var(axis=1, ddof=1).mean()
    joint = replicates.mean(axis=0).var(ddof=1)
    from_test_set = max(0.0, float(each - joint)) * n / (n - 1)
    variance = max(0.0, float(scores.var(ddof=1)) - from_test_set)
    return (Part(variance / n, n - 1),)


def interval(
    estimate: Estimate, n_units: float, low: float = 0.0, high: float = 1.0
) -> tuple[float, float]:
    """Return the 95 % interval of a score that lies between ``low`` and ``high``.

    A score outside its range (a metric that declares none) gets the symmetric interval.
    """
    t = estimate.quantile
    p = (estimate.mean - low) / (high - low)
    variance = estimate.variance / (high - low) ** 2
    if not 0 <= p <= 1:
        half = t * math.sqrt(estimate.variance)
        return estimate.mean - half, estimate.mean + half
    spread = p * (1 - p)
    if spread <= _TINY:
        n = n_units
    elif variance <= _TINY**2:
        return estimate.mean, estimate.mean
    else:
        n = spread / variance
    if n <= 0:
        return low, high
    centre = (p + t * t / (2 * n)) / (1 + t * t / n)
    half = t / (1 + t * t / n) * math.sqrt(spread / n + t * t / (4 * n * n))
    bottom, top = max(0.0, centre - half), min(1.0, centre + half)
    return low + min(bottom, p) * (high - low), low + max(top, p) * (high - low)


def difference_interval(estimate: Estimate) -> tuple[float, float]:
    """Return the 95 % interval of a paired difference; symmetric."""
    half = estimate.quantile * math.sqrt(estimate.variance)
    return estimate.mean - half, estimate.mean + half


def p_value(estimate: Estimate) -> float:
    """Return the two-sided p-value of a difference against 0."""
    from scipy.special import ndtr, stdtr

    if abs(estimate.mean) <= _TINY:
        return 1.0
    if estimate.variance <= _TINY**2:
        return 0.0
    t = abs(estimate.mean) / math.sqrt(estimate.variance)
    dof = estimate.dof
    return float(2 * (ndtr(-t) if math.isinf(dof) else stdtr(dof, -t)))


def spread(values: FloatArray) -> float:
    """Return the variance of bootstrap draws, 0 where they are all alike."""
    variance = float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
    return variance if variance > _TINY**2 else 0.0
