from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from prompting import an_example, make_task

from groupbench.errors import SettingError
from groupbench.llm import (
    Calibration,
    LabelReads,
    LabelScores,
    Normalisation,
    calibrated,
    fit_threshold,
    label_output,
    log_softmax,
    multilabel_output,
    pick,
)
from groupbench.llm.scores import first_tokens_differ
from groupbench.predictions import NO_ANSWER, Outcome, Predictions
from groupbench.task import Kind

SCORES = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
    elements=st.floats(-800, 0),
)


def reads(sums: list[float], first: list[float], n_tokens: list[int]) -> LabelReads:
    return LabelReads(np.array(sums), np.array(first), np.array(n_tokens))


def stacked(**more: Any) -> LabelScores:
    each = [reads([-4.0, -6.0], [-3.0, -1.0], [1, 3]), None]
    return LabelScores.stack(("a", "b"), ("né", "b"), each, **more)


@pytest.mark.parametrize(
    ("how", "row"),
    [
        (Normalisation.SUM, [-4.0, -6.0]),
        (Normalisation.PER_TOKEN, [-4.0, -2.0]),
        (Normalisation.PER_BYTE, [-4.0 / 3, -6.0]),
        (Normalisation.FIRST_TOKEN, [-3.0, -1.0]),
    ],
)
def test_scores_are_normalised_afterwards(how: Normalisation, row: list[float]) -> None:
    scores = stacked().normalised(how)

    np.testing.assert_allclose(scores[0], row)
    assert np.isnan(scores[1]).all()


def test_first_tokens_are_compared_only_where_they_differ() -> None:
    assert first_tokens_differ([(1, 2), (3,)])
    assert not first_tokens_differ([(1, 2), (1,)])
    with pytest.raises(SettingError, match=r"'first_token'.*use sum"):
        stacked(first_tokens_differ=False).normalised(Normalisation.FIRST_TOKEN)


@given(SCORES)
def test_log_softmax_sums_to_one_and_keeps_differences(scores: np.ndarray[Any, Any]) -> None:
    log_probs = log_softmax(scores)

    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1.0)
    np.testing.assert_allclose(log_probs - log_probs[:, :1], scores - scores[:, :1], atol=1e-9)


def test_ties_go_to_the_earlier_label_and_are_counted() -> None:
    scores = np.array([
        [-2.0, -1.0 - 5e-7, -1.0],  # a tie: the earlier of the two
        [-1.0, -1.0 + 2e-6, -3.0],  # none
        [-1.0, -2.0, -1.0],
        [np.nan, np.nan, np.nan],
    ])  # fmt: skip
    picked = pick(scores)

    assert picked.predicted.tolist() == [1, 1, 0, NO_ANSWER]
    assert picked.n_ties == 2


@given(SCORES, st.floats(-5, 5))
def test_calibrations_take_off_what_is_known_without_the_input(
    scores: np.ndarray[Any, Any], shift: float
) -> None:
    reference = scores[:1] + shift
    none = calibrated(scores, Calibration.NONE, None)
    free = calibrated(scores, Calibration.CONTENT_FREE, reference)
    pmi = calibrated(scores, Calibration.PMI, reference)

    assert none is scores
    # An input that says as little as the reference leaves all labels alike.
    np.testing.assert_allclose(log_softmax(free)[0], -np.log(scores.shape[1]), atol=1e-9)
    np.testing.assert_allclose(pmi[0], -shift, atol=1e-9)


def test_content_free_takes_the_mean_of_log_softmaxes() -> None:
    reference = np.log(np.array([[0.5, 0.5], [0.9, 0.1]]))
    scores = np.log(np.array([[0.6, 0.4]]))

    after = calibrated(scores, Calibration.CONTENT_FREE, reference)

    np.testing.assert_allclose(after, scores - reference.mean(axis=0))
    assert pick(scores).predicted.tolist() == [0]
    assert pick(after).predicted.tolist() == [1]


@pytest.mark.parametrize("shape", [(1, 3), (2,), (2, 2)])
def test_a_reference_that_does_not_fit_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="calibration pmi needs"):
        calibrated(np.zeros((4, 2)), Calibration.PMI, np.zeros(shape))


def test_the_output_of_scores_is_what_predictions_are_made_of() -> None:
    task = make_task()
    examples = [an_example(Kind.SINGLE, i, i % 3) for i in range(3)]
    scores = np.array([[-9.0, -1.0, -2.0], [np.nan] * 3, [-1.0, -1.0, -5.0]])
    outcomes = (Outcome.OK, Outcome.TRUNCATED, Outcome.OK)

    output, n_ties = label_output(scores, outcomes, (True, False, False))
    predictions = Predictions.assemble(task, examples, output)

    assert predictions.predicted.tolist() == [1, NO_ANSWER, 0]
    assert predictions.outcomes == outcomes
    assert predictions.input_cut == (True, False, False)
    assert n_ties == 1
    assert predictions.log_probs is not None
    np.testing.assert_allclose(np.exp(predictions.log_probs).sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(predictions.log_probs[1], -np.log(3), rtol=1e-6)


@pytest.mark.parametrize("outcomes", [None, (Outcome.OK,), (Outcome.REFUSED,)])
def test_ok_and_scored_are_the_same(outcomes: tuple[Outcome, ...] | None) -> None:
    scored = outcomes == (Outcome.REFUSED,)
    scores = np.zeros((1, 2)) if scored else np.full((1, 2), np.nan)
    with pytest.raises(ValueError, match="if and only if it was scored"):
        label_output(scores, outcomes)


def test_yes_and_no_become_probabilities_of_each_label() -> None:
    task = make_task(Kind.MULTILABEL)
    examples = [an_example(Kind.MULTILABEL, i, (0,)) for i in range(2)]
    scores = np.array([[[-1.0, -3.0], [-3.0, -1.0], [-2.0, -2.0]], np.full((3, 2), np.nan)])

    output, n_ties = multilabel_output(scores, (Outcome.OK, Outcome.TRUNCATED))
    predictions = Predictions.assemble(task, examples, output)

    assert predictions.predicted.tolist() == [[1, 0, 1], [NO_ANSWER] * 3]
    assert n_ties == 1
    assert predictions.log_probs is not None
    yes = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(np.exp(predictions.log_probs[0]), [yes, 1 - yes, 0.5], rtol=1e-6)
    strict, _ = multilabel_output(scores[:1], threshold=0.9)
    assert strict.predicted.tolist() == [[0, 0, 0]]


@given(
    hnp.arrays(np.float64, (12, 2), elements=st.floats(0.001, 1.0)),
    hnp.arrays(np.int64, (12, 2), elements=st.integers(0, 1)),
)
def test_a_fitted_threshold_is_never_worse_than_half(
    probabilities: np.ndarray[Any, Any], gold: np.ndarray[Any, Any]
) -> None:
    def f1(threshold: float) -> float:
        said = np.exp(np.log(probabilities)) >= threshold
        return float(2 * (said & (gold > 0)).sum() / max(said.sum() + gold.sum(), 1))

    threshold = fit_threshold(np.log(probabilities), gold)

    assert 0 < threshold < 1
    assert f1(threshold) >= f1(0.5) - 1e-9
    assert f1(threshold) >= max(f1(t) for t in (0.2, 0.4, 0.6, 0.8)) - 1e-9


def test_a_threshold_that_makes_no_difference_stays_at_half() -> None:
    assert fit_threshold(np.log(np.array([[0.9], [0.1]])), np.array([[1], [0]])) == 0.5
    assert fit_threshold(np.log(np.array([[0.3], [0.1]])), np.array([[1], [0]])) == pytest.approx(
        0.2
    )
