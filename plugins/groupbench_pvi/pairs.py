"""Pairs of tasks: do their PVI distributions differ, and what could have been seen?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from groupbench.stats.corrections import CORRECTIONS
from groupbench_pvi.two_sample import (
    MeanDifference,
    Tested,
    anova,
    brunner_munzel,
    cliffs_delta,
    cohens_d,
    kruskal,
    ks,
    mann_whitney,
    wasserstein,
    welch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from groupbench.information import Pointwise
    from groupbench.predictions import FloatArray

EFFECT_BOUNDS = {"cliff": 0.147, "cohen": 0.2}
"""The largest effects that are called negligible. Wasserstein: the margin."""

DIFFERENCE_TESTS: dict[str, Callable[[FloatArray, FloatArray], Tested]] = {
    "welch": welch,
    "mwu": mann_whitney,
    "brunner_munzel": brunner_munzel,
    "ks": ks,
}
"""Tests whose small p says that tasks differ."""

GATES: dict[str, Callable[..., Tested]] = {"anova": anova, "kruskal": kruskal}


class Verdict(StrEnum):
    """What the data say of a pair, whatever test the grouping uses."""

    SIMILAR = "similar"
    """TOST shows the means to be within the margin."""
    DIFFERENT = "different"
    """Welch's test shows that means differ, and TOST does not show that they are close."""
    UNDECIDED = "undecided"
    """Neither: the data are too few, or the difference is about the margin."""


@dataclass(frozen=True, slots=True)
class Comparing:
    """How pairs are compared."""

    test: str
    alpha: float
    margin: float
    effect: str
    correction: str
    gate: str = "none"
    equal_sizes: int = 0
    """Draws of subsamples of one size; 0: all units."""
    bootstrap: int = 0
    """Draws of the two-level bootstrap; 0: Welch's standard error."""
    normalised: bool = False
    """Whether values are shares of the label entropy, not bits."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskSample:
    """Independent PVI values of one task."""

    name: str
    values: FloatArray
    """Mean over seeds, then over clusters. Shape ``[n]``."""
    by_seed: FloatArray
    """The same for each seed. Shape ``[n_seeds, n]``."""

    @classmethod
    def of(cls, name: str, by_seed: Sequence[Pointwise], *, words: bool = False) -> TaskSample:
        """Return the values of clusters; ``words``: units are words, so sentences are clusters."""
        rows = []
        for sample in by_seed:
            clusters = [
                i if words and cluster is None else cluster
                for i, cluster in zip(sample.ids, sample.clusters, strict=True)
            ]
            rows.append(replace(sample, clusters=tuple(clusters)).cluster_means())
        stacked = np.asarray(rows)
        return cls(name, stacked.mean(axis=0), stacked)


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair of tasks, the first one first by name. Differences are first minus second."""

    a: str
    b: str
    means: MeanDifference
    interval: tuple[float, float]
    """95 % (1 - alpha) confidence interval of the difference."""
    p_equal: float
    """Welch: small where means differ."""
    p_equivalent: float
    """TOST at the margin: small where means are close."""
    cliffs_delta: float
    cohens_d: float
    wasserstein: float
    statistic: float
    """Of the configured test; of the configured effect where there is no test."""
    p: float | None
    """Of the configured test, raw; ``None`` where the rule is an effect size."""
    p_adjusted: float | None
    accepted: bool
    """Whether the configured test lets the two share a group."""
    verdict: Verdict
    power: float
    """The chance to see a true difference of the margin."""
    detectable: float
    """The difference that is seen with a chance of 80 %."""
    score: float
    """How good the pair is, for ties between groupings: p of a difference test, minus p of TOST,
    minus the size of an effect. Larger is better."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All pairs, and the omnibus test before them."""

    pairs: tuple[Pair, ...]
    gate: Tested | None = None
    n_each: int | None = None
    """Size of the subsamples."""


def compare(samples: Sequence[TaskSample], how: Comparing) -> Comparison:
    """Compare every two tasks. The answer does not depend on the order of ``samples``."""
    ordered = sorted(samples, key=lambda sample: sample.name)
    gate = None
    if how.gate != "none" and len(ordered) > 1:
        gate = GATES[how.gate](*(sample.values for sample in ordered))
    all_alike = gate is not None and gate.p > how.alpha
    n_each = min((len(s.values) for s in ordered), default=0) if how.equal_sizes else None
    draws = [_draws(sample, n_each, how.equal_sizes) for sample in ordered]
    means = [_bootstrap_means(sample, how.bootstrap) for sample in ordered]
    couples = list(combinations(range(len(ordered)), 2))
    tested = [_test(draws[i], draws[j], means[i], means[j], how) for i, j in couples]
    raw = [result.p for result in tested]
    adjusted = CORRECTIONS[how.correction](raw)
    pairs = tuple(
        _pair(ordered[i], ordered[j], (means[i], means[j]), result, float(p), how, all_alike)
        for (i, j), result, p in zip(couples, tested, adjusted, strict=True)
    )
    return Comparison(pairs, gate, n_each)


def _pair(  # noqa: PLR0913, PLR0917 - one call, above
    a: TaskSample,
    b: TaskSample,
    resampled: tuple[FloatArray, FloatArray],
    result: Tested,
    adjusted: float,
    how: Comparing,
    all_alike: bool,  # noqa: FBT001 - one call, above
) -> Pair:
    means = _means(a.values, b.values, *resampled)
    p_equal, p_equivalent = _mean_tests(means, how.margin)
    if p_equivalent <= how.alpha:
        verdict = Verdict.SIMILAR
    else:
        verdict = Verdict.DIFFERENT if p_equal <= how.alpha else Verdict.UNDECIDED
    if how.test == "effect":
        accepted = abs(result.statistic) <= EFFECT_BOUNDS.get(how.effect, how.margin)
        score = -abs(result.statistic)
    elif how.test == "tost":
        accepted, score = adjusted <= how.alpha, -result.p
    else:
        accepted, score = all_alike or adjusted > how.alpha, result.p
    has_p = how.test != "effect"
    return Pair(
        a=a.name,
        b=b.name,
        means=means,
        interval=_interval(means, *resampled, how.alpha),
        p_equal=p_equal,
        p_equivalent=p_equivalent,
        cliffs_delta=cliffs_delta(a.values, b.values),
        cohens_d=cohens_d(a.values, b.values),
        wasserstein=wasserstein(a.values, b.values),
        statistic=result.statistic,
        p=result.p if has_p else None,
        p_adjusted=adjusted if has_p else None,
        accepted=bool(accepted),
        verdict=verdict,
        power=means.power(how.margin, how.alpha),
        detectable=means.detectable(how.alpha),
        score=score,
    )


def _test(
    a_draws: Sequence[FloatArray],
    b_draws: Sequence[FloatArray],
    a_means: FloatArray,
    b_means: FloatArray,
    how: Comparing,
) -> Tested:
    """Run the configured test; over subsamples, the median of its statistics and p-values."""
    results = [
        _test_once(a, b, a_means, b_means, how) for a, b in zip(a_draws, b_draws, strict=True)
    ]
    if len(results) == 1:
        return results[0]
    return Tested(
        float(np.median([result.statistic for result in results])),
        float(np.median([result.p for result in results])),
    )


def _test_once(
    a: FloatArray, b: FloatArray, a_means: FloatArray, b_means: FloatArray, how: Comparing
) -> Tested:
    if how.test == "effect":
        effects = {"cliff": cliffs_delta, "cohen": cohens_d, "wasserstein": wasserstein}
        return Tested(effects[how.effect](a, b), 1.0)
    if how.test == "tost" or len(a_means):
        means = _means(a, b, a_means, b_means)
        p_equal, p_equivalent = _mean_tests(means, how.margin)
        return Tested(means.difference, p_equivalent if how.test == "tost" else p_equal, means.df)
    return DIFFERENCE_TESTS[how.test](a, b)


def _means(
    a: FloatArray, b: FloatArray, a_means: FloatArray, b_means: FloatArray
) -> MeanDifference:
    found = MeanDifference.of(a, b)
    if not len(a_means):
        return found
    return MeanDifference(found.difference, float(np.std(a_means - b_means, ddof=1)), found.df)


def _mean_tests(means: MeanDifference, margin: float) -> tuple[float, float]:
    """Return p of "the means are equal" and p of "the means are ``margin`` or more apart".

    From the bootstrap only the standard error is taken: shares of draws have a smallest value,
    which a correction for many pairs would lift over any level.
    """
    p_equal = min(1.0, 2 * min(means.p_above(0.0), means.p_below(0.0)))
    return p_equal, max(means.p_above(-margin), means.p_below(margin))


def _interval(
    means: MeanDifference, a_means: FloatArray, b_means: FloatArray, alpha: float
) -> tuple[float, float]:
    if not len(a_means):
        return means.interval(1 - alpha)
    low, high = np.quantile(a_means - b_means, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _rng(name: str) -> np.random.Generator:
    # By name, so that a task's draws do not depend on the tasks beside it or on their order.
    return np.random.default_rng(list(name.encode()))


def _draws(sample: TaskSample, n_each: int | None, n_draws: int) -> list[FloatArray]:
    if n_each is None:
        return [sample.values]
    rng = _rng(sample.name)
    return [rng.choice(sample.values, n_each, replace=False) for _ in range(n_draws)]


def _bootstrap_means(sample: TaskSample, n_draws: int) -> FloatArray:
    """Return means over resampled seeds and, within them, resampled units. Shape ``[n_draws]``."""
    rng = _rng(sample.name)
    n_seeds, n = sample.by_seed.shape
    means = np.empty(n_draws)
    for draw in range(n_draws):
        seeds = rng.integers(n_seeds, size=n_seeds)
        units = rng.integers(n, size=n)
        means[draw] = sample.by_seed[np.ix_(seeds, units)].mean()
    return means
