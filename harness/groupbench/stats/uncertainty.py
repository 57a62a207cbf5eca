"""Intervals and tests for scores that vary with the test examples, the seeds and random draws.

A mean over ``n`` seeds has an interval of half-width ``h`` with::

    h^2 = z^2 (V - N) + t^2 s^2 / n,   but at least z^2 V

``V`` is the variance of the mean over bootstrap draws of the test examples (`bootstrap`), ``s^2``
the variance of the per-seed scores (ddof 1), ``t`` Student's quantile for ``n - 1`` degrees of
freedom. ``N = (mean_r v_r - V) / (n - 1)``, with ``v_r`` the bootstrap variance of seed ``r``, is
what both count: that each seed errs on examples of its own. Adding half-widths of independent
parts in quadrature is Zou and Donner's MOVER (2008). The draws of a random grouping are one more
part like the seeds. In a difference between two entries ``s^2 / n`` is the sum of both, with the
degrees of freedom of Welch and Satterthwaite. With one seed nothing is known of the seeds, and
``h = z sqrt(V)``.

Intervals are Wilson's with the effective number of examples ``p (1 - p) z^2 / h^2``, as survey
statistics do (Kott and Carr 1997), on the metric's range scaled to 0 to 1. For the accuracy of one
seed that is Wilson's interval itself. At 0 and 1, where every draw is alike, the number of units
(clusters, or examples) takes its place, so that 200 right answers out of 200 are not certainty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groupbench.stats.student import normal_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Callable

    from groupbench.predictions import FloatArray

ALPHA = 0.05
_Z = 1.959963984540054
"""Two-sided 5 % of a normal."""
_TINY = 1e-24
"""Variances below are the rounding of equal numbers."""
_SMALLEST = 2.0**-60
"""The smallest p-value that is told from 0."""


@dataclass(frozen=True, slots=True)
class Part:
    """What the seeds, or the draws of a grouping, add to the uncertainty of a mean over them."""

    variance: float
    """``s^2 / n``."""
    counted_twice: float
    """``N``: how much of it the bootstrap of the mean holds already."""
    dof: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean score, or a difference, and how uncertain it is."""

    mean: float
    examples: float
    """``V``."""
    parts: tuple[Part, ...] = ()

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate of ``factor`` times this."""
        square = factor * factor
        parts = (Part(p.variance * square, p.counted_twice * square, p.dof) for p in self.parts)
        return Estimate(self.mean * factor, self.examples * square, tuple(parts))

    def half(self, alpha: float = ALPHA) -> float:
        """Return the half-width of the symmetric interval of level ``1 - alpha``."""
        return math.sqrt(self._half_squared(alpha))

    def _half_squared(self, alpha: float) -> float:
        z = _Z if alpha == ALPHA else normal_quantile(alpha)
        alone = max(0.0, self.examples - sum(part.counted_twice for part in self.parts))
        square = z * z * alone
        for part in self.parts:
            square += t_quantile(alpha, part.dof) ** 2 * part.variance
        return max(square, z * z * self.examples)

    @property
    def std_error(self) -> float:
        """The half-width of the 95 % interval in units of a normal's."""
        return self.half() / _Z

    def interval(self) -> tuple[float, float]:
        """Return the symmetric 95 % interval: for differences."""
        half = self.half()
        return self.mean - half, self.mean + half

    def p_value(self) -> float:
        """Return the two-sided p-value against 0: the level whose interval just reaches 0."""
        square = self.mean**2
        if square <= _TINY:
            return 1.0
        if self._half_squared(_SMALLEST) <= square:
            return _SMALLEST
        # Logarithms make it nearly a line, for normal and for Student's tails.
        unit = max(self.examples + sum(part.variance for part in self.parts), _TINY)
        sought = math.log1p(square / unit)
        log2 = falling_root(
            lambda log2: math.log1p(self._half_squared(2.0**log2) / unit) - sought,
            math.log2(_SMALLEST),
            0.0,
        )
        return float(2.0**log2)


def falling_root(of: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function is 0 between ``low`` and ``high`` (Illinois method)."""
    at_low, at_high = of(low), of(high)
    last = math.nan
    for _ in range(100):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        value = of(middle)
        if abs(middle - last) < 1e-10 or value == 0:  # noqa: PLR2004 - of the exponent of 2
            return middle
        # A bound that stays twice counts half, or the other would creep.
        if value > 0:
            low, at_low, at_high = middle, value, at_high / (2 if last == low else 1)
        else:
            high, at_high, at_low = middle, value, at_low / (2 if last == high else 1)
        last = middle
    return last


def part_of(scores: FloatArray, replicates: FloatArray) -> tuple[Part, ...]:
    """Return what seeds (or draws) add to the uncertainty of their mean; nothing for one.

    Args:
        scores: one score a seed. Shape ``[n]``.
        replicates: the bootstrap draws of each. Shape ``[n, draws]``.
    """
    n = len(scores)
    if n < 2:  # noqa: PLR2004 - a variance needs two
        return ()
    each = float(replicates.var(axis=1, ddof=1).mean())
    joint = float(replicates.mean(axis=0).var(ddof=1))
    twice = max(0.0, each - joint) / (n - 1)
    return (Part(float(scores.var(ddof=1)) / n, twice, n - 1),)


def together(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return what the seeds of two entries add to their difference (Welch and Satterthwaite)."""
    total = sum(part.variance for part in parts)
    if total <= _TINY:
        return ()
    dof = total**2 / sum(part.variance**2 / part.dof for part in parts)
    return (Part(total, sum(part.counted_twice for part in parts), dof),)


def interval(
    estimate: Estimate, n_units: float, low: float = 0.0, high: float = 1.0
) -> tuple[float, float]:
    """Return the 95 % interval of a score that lies between ``low`` and ``high``.

    A score outside its range (of a metric that declares none) gets the symmetric interval.
    """
    p = (estimate.mean - low) / (high - low)
    if not 0 <= p <= 1:
        return estimate.interval()
    variance = (estimate.std_error / (high - low)) ** 2
    if 0 < p < 1:
        if variance <= _TINY:
            return estimate.mean, estimate.mean
        n = p * (1 - p) / variance
    else:
        n = n_units
    if n <= _TINY:
        return low, high
    shrink = 1 + _Z * _Z / n
    centre = (p + _Z * _Z / (2 * n)) / shrink
    half = _Z / shrink * math.sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
    bottom, top = max(0.0, centre - half), min(1.0, centre + half)
    # The score is in its interval whatever the last digits of the arithmetic say.
    return (
        min(low + bottom * (high - low), estimate.mean),
        max(low + top * (high - low), estimate.mean),
    )


def spread(values: FloatArray) -> float:
    """Return the variance of bootstrap draws, 0 where they are all alike."""
    variance = float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
    return variance if variance > _TINY else 0.0
