"""Do two samples differ, or are they shown to be alike? Each test returns a p-value or an effect.

All tests are two-sided, and orientated: the sign of a statistic is that of ``a - b``. Samples
without spread, which formulas divide by, have the answer that their limit has.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.predictions import FloatArray

POWER = 0.8
"""What a detectable difference is detected with."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test says."""

    statistic: float
    p: float
    df: float | None = None
    """Degrees of freedom, where the test has some."""


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """The difference of two means with Welch's standard error and degrees of freedom."""

    difference: float
    std_error: float
    df: float

    @classmethod
    def of(cls, a: FloatArray, b: FloatArray) -> MeanDifference:
        """Return ``mean(a) - mean(b)``. A sample of one has an infinite standard error."""
        difference = float(np.mean(a) - np.mean(b))
        if min(len(a), len(b)) < 2:  # noqa: PLR2004 - one value shows no spread
            return cls(difference, float("inf"), 1.0)
        parts = [float(np.var(x, ddof=1)) / len(x) for x in (a, b)]
        total = sum(parts)
        if total == 0:
            return cls(difference, 0.0, float(len(a) + len(b) - 2))
        df = total**2 / sum(v**2 / (len(x) - 1) for v, x in zip(parts, (a, b), strict=True))
        return cls(difference, total**0.5, df)

    def p_above(self, bound: float) -> float:
        """Return the one-sided p-value of "the difference is at most ``bound``"."""
        from scipy.special import stdtr

        if self.std_error == 0:
            return 0.0 if self.difference > bound else 1.0
        return float(stdtr(self.df, -(self.difference - bound) / self.std_error))

    def p_below(self, bound: float) -> float:
        """Return the one-sided p-value of "the difference is at least ``bound``"."""
        return MeanDifference(-self.difference, self.std_error, self.df).p_above(-bound)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the confidence interval of the difference."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.df, 0.5 + level / 2)) * self.std_error if self.std_error else 0.0
        return self.difference - half, self.difference + half

    def power(self, margin: float, alpha: float) -> float:
        """Return the chance that Welch's test shows a true difference of ``margin`` (normal)."""
        from scipy.special import ndtr, ndtri

        if self.std_error == 0:
            return 1.0
        shift, bound = margin / self.std_error, float(ndtri(1 - alpha / 2))
        return float(ndtr(shift - bound) + ndtr(-shift - bound))

    def power_of_equivalence(self, margin: float, alpha: float) -> float:
        """Return the chance that TOST shows equal means to be equivalent (normal)."""
        from scipy.special import ndtr, ndtri

        if self.std_error == 0:
            return 1.0
        return max(0.0, float(2 * ndtr(margin / self.std_error - ndtri(1 - alpha)) - 1))

    def detectable(self, alpha: float) -> float:
        """Return the difference that is detected with `POWER`: 2.8 standard errors at 0.05."""
        from scipy.special import ndtri

        return float(ndtri(1 - alpha / 2) + ndtri(POWER)) * self.std_error


def welch(a: FloatArray, b: FloatArray) -> Tested:
    """Test equal means; variances may differ (Welch, 1947)."""
    found = MeanDifference.of(a, b)
    p = min(1.0, 2 * min(found.p_above(0.0), found.p_below(0.0)))
    return Tested(_ratio(found.difference, found.std_error), p, found.df)


def student(a: FloatArray, b: FloatArray) -> Tested:
    """Test equal means with one pooled variance."""
    df = len(a) + len(b) - 2
    pooled = _pooled_sd(a, b) * (1 / len(a) + 1 / len(b)) ** 0.5
    found = MeanDifference(float(np.mean(a) - np.mean(b)), pooled, float(df))
    p = min(1.0, 2 * min(found.p_above(0.0), found.p_below(0.0)))
    return Tested(_ratio(found.difference, pooled), p, found.df)


def tost(a: FloatArray, b: FloatArray, margin: float) -> Tested:
    """Test that means differ by ``margin`` or more: a small p is evidence that they do not.

    Two one-sided Welch tests; p is the larger one (Schuirmann, 1987).
    """
    found = MeanDifference.of(a, b)
    p = max(found.p_above(-margin), found.p_below(margin))
    nearest = margin - abs(found.difference)
    return Tested(_ratio(nearest, found.std_error), p, found.df)


def mann_whitney(a: FloatArray, b: FloatArray) -> Tested:
    """Test that neither sample tends to be larger: U of ``a``, corrected for ties, continuity."""
    from scipy.stats import mannwhitneyu

    if _constant(a, b):
        return Tested(len(a) * len(b) / 2, 1.0)
    found = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic")
    return Tested(float(found.statistic), float(found.pvalue))


def brunner_munzel(a: FloatArray, b: FloatArray) -> Tested:
    """Test the same without equal variances (Brunner and Munzel, 2000)."""
    from scipy.stats import brunnermunzel

    if min(len(a), len(b)) < 2 or _constant(a, b):  # noqa: PLR2004 - one value shows no spread
        return Tested(0.0, 1.0)
    if np.min(a) > np.max(b) or np.max(a) < np.min(b):  # the ranks' variance is 0
        return Tested(float("inf") if np.min(a) > np.max(b) else float("-inf"), 0.0)
    found = brunnermunzel(a, b)
    return Tested(-float(found.statistic), float(found.pvalue))


def ks(a: FloatArray, b: FloatArray) -> Tested:
    """Test identical distributions (Kolmogorov and Smirnov). It sees the label prior's spikes."""
    from scipy.stats import ks_2samp

    with warnings.catch_warnings():
        # It falls back to the asymptotic p-value by itself, and says so.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ks_2samp(a, b)
    return Tested(float(found.statistic), float(found.pvalue))


def kruskal(*samples: FloatArray) -> Tested:
    """Test that no sample tends to be larger than another (Kruskal and Wallis, 1952)."""
    from scipy.stats import kruskal as scipy_kruskal

    if _constant(*samples):
        return Tested(0.0, 1.0, len(samples) - 1.0)
    found = scipy_kruskal(*samples)
    return Tested(float(found.statistic), float(found.pvalue), len(samples) - 1.0)


def anova(*samples: FloatArray) -> Tested:
    """Test that all means are equal, with one variance (one-way analysis of variance)."""
    from scipy.special import fdtrc

    means = [float(np.mean(sample)) for sample in samples]
    total = float(np.mean(np.concatenate(samples)))
    between = sum(len(x) * (m - total) ** 2 for x, m in zip(samples, means, strict=True))
    within = sum(float(((x - m) ** 2).sum()) for x, m in zip(samples, means, strict=True))
    df_between, df_within = len(samples) - 1, sum(map(len, samples)) - len(samples)
    if within == 0 or df_within < 1:
        equal = _constant(*samples)
        return Tested(0.0 if equal else float("inf"), 1.0 if equal or df_within < 1 else 0.0)
    statistic = (between / df_between) / (within / df_within)
    return Tested(statistic, float(fdtrc(df_between, df_within, statistic)), float(df_between))


def cliffs_delta(a: FloatArray, b: FloatArray) -> float:
    """Return P(a > b) - P(a < b), in -1 to 1 (Cliff, 1993)."""
    ordered = np.sort(b)
    below = np.searchsorted(ordered, a, side="left").sum()
    above = (len(b) - np.searchsorted(ordered, a, side="right")).sum()
    return float(below - above) / (len(a) * len(b))


def cohens_d(a: FloatArray, b: FloatArray) -> float:
    """Return the difference of means in pooled standard deviations (Cohen, 1988)."""
    return _ratio(float(np.mean(a) - np.mean(b)), _pooled_sd(a, b))


def wasserstein(a: FloatArray, b: FloatArray) -> float:
    """Return the Wasserstein-1 distance, in the units of the samples."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(a, b))


def _pooled_sd(a: FloatArray, b: FloatArray) -> float:
    squares = sum(float(((x - np.mean(x)) ** 2).sum()) for x in (a, b))
    df = len(a) + len(b) - 2
    return (squares / df) ** 0.5 if df > 0 else float("inf")


def _ratio(value: float, spread: float) -> float:
    if spread == 0:
        return float(np.sign(value)) * float("inf") if value else 0.0
    return value / spread


def _constant(*samples: FloatArray) -> bool:
    lowest: Sequence[float] = [float(np.min(sample)) for sample in samples]
    highest = [float(np.max(sample)) for sample in samples]
    return min(lowest) == max(highest)
