"""Checks for metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from groupbench.metrics import AdditiveMetric, Metric, MetricOptions, take
from groupbench.predictions import NO_ANSWER, Outcome, Output, Predictions
from groupbench.task import Kind, Split
from groupbench.testing.checks import (
    Check,
    check_imports_nothing_heavy,
    check_names_itself,
    demand,
    fail,
)
from groupbench.testing.toy import noisy_output, toy_task

if TYPE_CHECKING:
    from collections.abc import Iterator

_N = 60
_TOLERANCE = 1e-9


def check_judges_some_kind(metric: Metric) -> None:
    """It says which kinds of task it can judge, and refuses the others."""
    demand(
        isinstance(metric.kinds, frozenset) and metric.kinds <= frozenset(Kind) and metric.kinds,
        f"{metric.name}: kinds must be a frozenset of Kind that is not empty.",
    )
    demand(isinstance(metric.citation, str), f"{metric.name}: citation must be text.")


def check_right_answers_score_one(metric: Metric) -> None:
    """Where every answer is right the score is its highest."""
    _, highest = getattr(metric, "bounds", (0.0, 1.0))
    for noisy, task in _cases(metric):
        right = replace(noisy, predicted=noisy.gold)
        score = metric.score(right, task)
        demand(
            abs(score - highest) < _TOLERANCE,
            f"{metric.name}: right answers score {score} on kind {task.kind}, not {highest}.",
        )


def check_scores_are_in_range(metric: Metric) -> None:
    """A score is a float in the bounds, for noise and for answers that are all the same."""
    low, high = getattr(metric, "bounds", (0.0, 1.0))
    for noisy, task in _cases(metric):
        constant = replace(noisy, predicted=np.zeros_like(noisy.predicted))
        first = take(noisy, [0])
        for predictions in (noisy, constant, first):
            score = metric.score(predictions, task)
            demand(isinstance(score, float), f"{metric.name}: score returned {score!r}, no float.")
            demand(
                math.isfinite(score) and low - _TOLERANCE <= score <= high + _TOLERANCE,
                f"{metric.name}: score {score} is not between {low} and {high} (kind {task.kind}).",
            )


def check_order_does_not_matter(metric: Metric) -> None:
    """A score does not depend on the order of examples."""
    for noisy, task in _cases(metric):
        turned = take(noisy, np.random.default_rng(1).permutation(len(noisy)))
        a, b = metric.score(noisy, task), metric.score(turned, task)
        demand(abs(a - b) < _TOLERANCE, f"{metric.name}: {a} becomes {b} in another order.")


def check_missing_answers_are_wrong(metric: Metric) -> None:
    """No valid answer never helps: not one example, not all, however the outcome is called."""
    low, _ = getattr(metric, "bounds", (0.0, 1.0))
    for noisy, task in _cases(metric):
        right = replace(noisy, predicted=noisy.gold)
        best = metric.score(right, task)
        for outcome in (Outcome.INVALID, Outcome.REFUSED, Outcome.TRUNCATED):
            outcomes = tuple(outcome if i % 3 == 0 else Outcome.OK for i in range(len(right)))
            score = metric.score(replace(right, outcomes=outcomes), task)
            demand(
                math.isfinite(score) and score < best,
                f"{metric.name}: a third of answers with outcome {outcome} scores {score}, "
                f"all right {best} (kind {task.kind}).",
            )
        nothing = replace(noisy, predicted=np.full_like(noisy.predicted, NO_ANSWER))
        score = metric.score(nothing, task)
        demand(
            math.isfinite(score) and score <= max(low, 0.0) + _TOLERANCE,
            f"{metric.name}: no answers at all score {score} (kind {task.kind}).",
        )


def check_failed_servers_are_never_a_score(metric: Metric) -> None:
    """An outcome ``infra`` is refused with a ``ValueError``."""
    for noisy, task in _cases(metric):
        outcomes = (Outcome.INFRA, *noisy.outcomes[1:])
        try:
            score = metric.score(replace(noisy, outcomes=outcomes), task)
        except ValueError:
            continue
        fail(f"{metric.name}: an example with outcome infra was scored: {score}.")


def check_sums_give_the_score(metric: Metric) -> None:
    """Of an additive metric: weighted sums give the scores of examples taken that often."""
    if not isinstance(metric, AdditiveMetric):
        return
    rng = np.random.default_rng(2)
    for noisy, task in _cases(metric):
        n = len(noisy)
        statistics = metric.statistics(noisy, task)
        demand(
            statistics.ndim == 2 and len(statistics) == n,  # noqa: PLR2004 - [n_examples, d]
            f"{metric.name}: statistics have shape {statistics.shape}, not [{n}, d].",
        )
        draws = rng.integers(0, n, size=(4, n))
        weights = np.stack([np.bincount(draw, minlength=n) for draw in draws]).astype(float)
        scores = metric.finish(weights @ statistics, task)
        wanted = [metric.score(take(noisy, draw), task) for draw in draws]
        demand(
            np.shape(scores) == (4,) and np.allclose(scores, wanted, atol=1e-9),
            f"{metric.name}: sums of draws give {scores}, the drawn examples {wanted}.",
        )


CHECKS: tuple[Check, ...] = (
    check_names_itself,
    check_imports_nothing_heavy,
    check_judges_some_kind,
    check_right_answers_score_one,
    check_scores_are_in_range,
    check_order_does_not_matter,
    check_missing_answers_are_wrong,
    check_failed_servers_are_never_a_score,
    check_sums_give_the_score,
)


def _cases(metric: Metric) -> Iterator[tuple[Predictions, MetricOptions]]:
    """Yield noisy answers to a toy task of each kind that the metric judges."""
    for kind in sorted(metric.kinds):
        task = replace(toy_task(kind, n_train=_N), positive_label=None)
        task = replace(task, positive_label=task.labels[-1])
        examples = task.data[Split.TRAIN]
        output: Output = noisy_output(task, examples, np.random.default_rng(0), strength=1.0)
        yield Predictions.assemble(task, examples, output), MetricOptions.of(task)
