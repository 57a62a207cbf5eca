"""The engine's side of metrics: which can judge what, and which answers count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.errors import CardError, UnknownNameError
from groupbench.metrics import (
    AdditiveMetric,
    Metric,
    MetricOptions,
    answered,
    demand_fit,
    find_metric,
    score_all,
    take,
    unfit,
)
from groupbench.predictions import NO_ANSWER, Outcome, Predictions
from groupbench.task import Kind, Split
from groupbench.testing.toy import noisy_output, toy_task

if TYPE_CHECKING:
    from groupbench.metrics import MetricTask
    from groupbench.predictions import FloatArray, IntArray


class Right(AdditiveMetric):
    """How many rows of answers are right, of one example on average."""

    name: ClassVar[str] = "right"
    summary: ClassVar[str] = "mean number of right rows"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.SINGLE, Kind.TOKEN})
    needs_positive_label: ClassVar[bool] = True

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        del task
        right = np.concatenate([[0], np.cumsum(predictions.gold == predicted)])
        starts, ends = predictions.offsets[:-1], predictions.offsets[1:]
        return np.stack([right[ends] - right[starts], np.ones(len(predictions))], axis=1)

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        del task
        mean: FloatArray = sums[..., 0] / sums[..., 1]
        return mean


def made(kind: Kind) -> tuple[Predictions, MetricOptions]:
    """Return noisy predictions on the toy task of a kind."""
    task = toy_task(kind)
    examples = task.data[Split.TRAIN]
    output = noisy_output(task, examples, np.random.default_rng(0), strength=1.0)
    options = MetricOptions(kind, task.labels, positive_label=task.labels[0])
    return Predictions.assemble(task, examples, output), options


def test_options_of_a_task_are_those_of_its_facts() -> None:
    task = replace(toy_task(Kind.SINGLE), positive_label="red", excluded_labels=("blue",))
    options = MetricOptions.of(task)
    assert options == MetricOptions(Kind.SINGLE, task.labels, "red", ("blue",))
    assert MetricOptions.of(options) == options


@pytest.mark.parametrize("kind", [Kind.SINGLE, Kind.TOKEN])
def test_answers_whose_outcome_is_not_ok_count_as_missing(kind: Kind) -> None:
    predictions, options = made(kind)
    right = replace(predictions, predicted=predictions.gold)
    outcomes = (Outcome.REFUSED, Outcome.TRUNCATED, *right.outcomes[2:])
    lengths = np.diff(right.offsets)
    counted = answered(replace(right, outcomes=outcomes))
    missing = int(lengths[:2].sum())
    assert (counted[:missing] == NO_ANSWER).all()
    assert (counted[missing:] == right.gold[missing:]).all()
    assert (right.predicted >= 0).all()
    score = Right().score(replace(right, outcomes=outcomes), options)
    assert score == pytest.approx(lengths[2:].sum() / len(right))


def test_a_whole_row_of_labels_is_missing() -> None:
    predictions, _ = made(Kind.MULTILABEL)
    counted = answered(replace(predictions, outcomes=(Outcome.INVALID, *predictions.outcomes[1:])))
    assert counted[0].tolist() == [NO_ANSWER, NO_ANSWER]
    np.testing.assert_array_equal(counted[1:], predictions.predicted[1:])


def test_a_failed_server_is_never_a_score() -> None:
    predictions, options = made(Kind.SINGLE)
    failed = replace(predictions, outcomes=(Outcome.INFRA,) * 2 + predictions.outcomes[2:])
    with pytest.raises(ValueError, match="2 of 24 examples have the outcome infra"):
        Right().score(failed, options)


def test_nothing_is_no_score_but_has_statistics() -> None:
    predictions, options = made(Kind.TOKEN)
    nothing = take(predictions, [])
    with pytest.raises(ValueError, match="no examples"):
        Right().score(nothing, options)
    assert Right().statistics(nothing, options).shape == (0, 2)


def test_a_task_that_a_metric_cannot_judge_is_refused_with_the_reason() -> None:
    predictions, options = made(Kind.PAIR)
    assert unfit(Right(), options) == "metric right judges tasks of kind single, token, not pair."
    with pytest.raises(ValueError, match="not pair"):
        Right().score(predictions, options)
    with pytest.raises(CardError, match=r"cards/x\.toml: metric right judges"):
        demand_fit(Right(), options, "cards/x.toml")
    single = made(Kind.SINGLE)[1]
    assert unfit(Right(), single) is None
    assert "one of red, blue, green." in str(unfit(Right(), replace(single, positive_label=None)))
    assert "not 'pink'." in str(unfit(Right(), replace(single, positive_label="pink")))


def test_several_predictions_are_scored_one_by_one() -> None:
    predictions, options = made(Kind.SINGLE)
    right = replace(predictions, predicted=predictions.gold)
    scores = score_all(Right(), [right, predictions], options)
    assert scores[0] == 1.0
    assert scores[1] == Right().score(predictions, options) < 1.0


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(Kind)), st.lists(st.integers(0, 23), max_size=30))
def test_taken_rows_are_the_examples_named(kind: Kind, rows: list[int]) -> None:
    predictions, _ = made(kind)
    taken = take(predictions, rows)
    assert taken.ids == tuple(predictions.ids[row] for row in rows)
    for position, row in enumerate(rows):
        left, right = (
            each.gold[slice(*each.offsets[at : at + 2])]
            for each, at in ((taken, position), (predictions, row))
        )
        np.testing.assert_array_equal(left, right)
    assert len(taken.offsets) == len(rows) + 1
    assert taken.log_probs is not None
    assert len(taken.log_probs) == len(taken.gold)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([Kind.SINGLE, Kind.TOKEN]), st.integers(0, 99))
def test_a_bootstrap_is_a_matrix_product(kind: Kind, seed: int) -> None:
    predictions, options = made(kind)
    n = len(predictions)
    draws = np.random.default_rng(seed).integers(0, n, size=(3, n))
    weights = np.stack([np.bincount(draw, minlength=n) for draw in draws])
    statistics = Right().statistics(predictions, options)
    scores = Right().finish(weights @ statistics, options)
    for score, draw in zip(scores, draws, strict=True):
        assert score == pytest.approx(Right().score(take(predictions, draw), options))


class Family:
    """Stands for many metrics."""

    name = "many"
    summary = "many metrics"
    kinds: frozenset[Kind] = frozenset()
    citation = ""

    def score(self, predictions: Predictions, task: MetricTask) -> float:
        raise ValueError(f"{predictions.task} {task.kind}: not a metric")

    def resolve(self, rest: str, *, allowed: frozenset[str], offline: bool) -> Metric:
        if f"many:{rest}" not in allowed or offline:
            raise CardError(f"{rest} is not allowed")
        return Right()


def test_metrics_are_found_by_name_or_by_their_family() -> None:
    known: dict[str, Metric] = {"right": Right(), "many": Family()}
    assert find_metric("right", known) is known["right"]
    assert find_metric("many:x", known, allowed=frozenset({"many:x"})).name == "right"
    with pytest.raises(CardError, match="x is not allowed"):
        find_metric("many:x", known)
    with pytest.raises(CardError, match="x is not allowed"):
        find_metric("many:x", known, allowed=frozenset({"many:x"}), offline=True)
    with pytest.raises(UnknownNameError, match="Did you mean 'right'"):
        find_metric("rigth", known)
    with pytest.raises(UnknownNameError, match="'right:x'"):
        find_metric("right:x", known)
