"""Quantiles of the normal and of Student's t, without an import that takes longer than a board.

scipy has both, and takes a quarter of a second to import: most of what a cached run takes.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_EPSILON = 1e-15
_NORMAL = NormalDist()


def normal_quantile(alpha: float) -> float:
    """Return the ``z`` with ``P(|Z| > z) = alpha``, of a standard normal."""
    # From the lower tail, which keeps its digits where 1 - alpha / 2 rounds to 1.
    return -_NORMAL.inv_cdf(alpha / 2) if alpha < 1 else 0.0


@lru_cache(maxsize=1024)
def t_quantile(alpha: float, dof: float) -> float:
    """Return the ``t`` with ``P(|T| > t) = alpha``.

    Newton's method on the logarithm of the tail over the logarithm of ``t``, which is concave, so
    that after the first step it comes down on the root from above.
    """
    if alpha >= 1:
        return 0.0
    t = max(normal_quantile(alpha), 1e-300)
    for _ in range(60):
        tail = t_tail(t, dof)
        step = (math.log(tail) - math.log(alpha)) * tail / (2 * t * _t_density(t, dof))
        t *= math.exp(step)
        if abs(step) < 1e-13:  # noqa: PLR2004 - as far as doubles go
            break
    return t


def t_tail(t: float, dof: float) -> float:
    """Return ``P(|T| > t)``: the incomplete beta function ``I_x(dof / 2, 1 / 2)``."""
    x = dof / (dof + t * t)
    a, b = dof / 2, 0.5
    if x < (a + 1) / (a + b + 2):
        return _beta_fraction(a, b, x, t * t / (dof + t * t))
    return 1 - _beta_fraction(b, a, t * t / (dof + t * t), x)


def _t_density(t: float, dof: float) -> float:
    log = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2) - 0.5 * math.log(dof * math.pi)
    return math.exp(log - (dof + 1) / 2 * math.log1p(t * t / dof))


def _beta_fraction(a: float, b: float, x: float, rest: float) -> float:
    """Return ``I_x(a, b)`` by its continued fraction, Lentz's way (DLMF 8.17.22).

    ``rest`` is ``1 - x``, with the digits that the subtraction would lose.
    """
    if x == 0:
        return 0.0
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log + a * math.log(x) + b * math.log(rest)) / a if rest else 0.0
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            value *= c * d
        if abs(c * d - 1) < _EPSILON:
            break
    return front * value
