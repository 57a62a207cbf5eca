from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from groupbench.information import (
    Aggregate,
    Pointwise,
    Prior,
    closed_form_null,
    mean_over_seeds,
    pointwise,
    std_error,
    surprisal_bits,
)
from groupbench.predictions import Output, Predictions
from groupbench.task import Example, Kind, Task
from groupbench.temperature import GRID, at_edge, fit_temperature, temperature_loss

unhurried = settings(
    deadline=None, max_examples=40, phases=[p for p in Phase if p is not Phase.explain]
)

KINDS = [Kind.SINGLE, Kind.PAIR, Kind.MULTILABEL, Kind.TOKEN]


def _nothing() -> dict[Any, Any]:
    return {}


def predictions_of(
    kind: Kind,
    golds: list[Any],
    log_probs: np.typing.NDArray[Any],
    *,
    labels: tuple[str, ...],
    clusters: list[str | None] | None = None,
) -> Predictions:
    task = Task("t", kind, labels, ("accuracy",), _nothing)
    examples = [
        Example(f"e{i}", "x", gold, clusters[i] if clusters else None)
        for i, gold in enumerate(golds)
    ]
    shape = log_probs.shape if kind is Kind.MULTILABEL else log_probs.shape[:-1]
    output = Output(predicted=np.zeros(shape, dtype=int), log_probs=log_probs)
    return Predictions.assemble(task, examples, output)


def log_softmax(logits: np.typing.NDArray[Any]) -> np.typing.NDArray[Any]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def random_predictions(kind: Kind, seed: int, *, scale: float = 2.0, n: int = 12) -> Predictions:
    rng = np.random.default_rng(seed)
    n_labels = 3
    labels = ("O", "B-x", "I-x")
    if kind is Kind.MULTILABEL:
        golds: list[Any] = [
            tuple(int(k) for k in np.flatnonzero(rng.random(n_labels) < 0.4)) for _ in range(n)
        ]
        logits = rng.normal(0, scale, (n, n_labels))
        return predictions_of(kind, golds, -np.logaddexp(0, -logits), labels=labels)
    if kind is Kind.TOKEN:
        golds = [tuple(map(int, rng.integers(n_labels, size=rng.integers(1, 6)))) for _ in range(n)]
        n_words = sum(len(gold) for gold in golds)
    else:
        golds, n_words = list(map(int, rng.integers(n_labels, size=n))), n
    log_probs = log_softmax(rng.normal(0, scale, (n_words, n_labels)))
    return predictions_of(kind, golds, log_probs, labels=labels)


def prior_of(predictions: Predictions, extra: int = 1) -> Prior:
    gold = predictions.gold
    if predictions.kind is Kind.MULTILABEL:
        present = gold.sum(axis=0) + extra
        return Prior(
            np.stack([len(predictions) + 2 * extra - present, present], axis=-1), Kind.MULTILABEL
        )
    return Prior(np.bincount(gold, minlength=len(predictions.labels)) + extra, predictions.kind)


def test_the_closed_form_null_of_cola_is_the_published_one() -> None:
    bits = -np.log2(closed_form_null(np.array([2528, 6023])))
    assert bits.round(6).tolist() == [1.758097, 0.505611]


@pytest.mark.parametrize("counts", [[2528, 6023], [5, 1, 14], [40, 40, 1, 7]])
def test_the_closed_form_null_is_a_logistic_regression_on_a_constant(counts: list[int]) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    labels = np.repeat(np.arange(len(counts)), counts)
    model = linear_model.LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
    model.fit(np.zeros((len(labels), 1)), labels)
    learned = model.predict_proba(np.zeros((1, 1)))[0]
    assert closed_form_null(np.array(counts)) == pytest.approx(learned, abs=1e-6)


@unhurried
@given(counts=st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any))
def test_the_null_is_smoothed_only_where_a_declared_label_is_missing(counts: list[int]) -> None:
    null = closed_form_null(np.array(counts))
    assert null.sum() == pytest.approx(1)
    assert (null > 0).all()
    added = 0.5 if 0 in counts else 0.0
    assert null == pytest.approx((np.array(counts) + added) / (sum(counts) + added * len(counts)))
    assert Prior(np.array(counts), Kind.SINGLE).smoothing == added


def test_each_label_of_a_multilabel_task_has_its_own_null() -> None:
    train = [Example(str(i), "x", (0,) if i < 3 else ()) for i in range(4)]
    prior = Prior.of(Kind.MULTILABEL, 2, train)
    assert prior.bits(np.array([[1, 0], [0, 0]])) == pytest.approx(
        np.array([[-np.log2(0.75), -np.log2(4.5 / 5)], [2.0, -np.log2(4.5 / 5)]])
    )
    assert prior.entropy_bits == pytest.approx((0.75 * -np.log2(0.75) + 0.25 * 2) / 2)


@pytest.mark.parametrize("n_labels", [2, 3, 10])
def test_a_perfect_classifier_knows_all_of_the_entropy_of_balanced_labels(n_labels: int) -> None:
    golds = list(range(n_labels)) * 7
    certain = np.where(np.eye(n_labels)[golds] > 0, 0.0, -np.inf)
    labels = tuple(f"l{k}" for k in range(n_labels))
    predictions = predictions_of(Kind.SINGLE, golds, certain, labels=labels)
    prior = Prior.of(Kind.SINGLE, n_labels, [Example(str(i), "", g) for i, g in enumerate(golds)])
    information = pointwise(predictions, prior).v_information_bits
    assert information == pytest.approx(np.log2(n_labels))
    assert information / prior.entropy_bits == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_pvi_is_the_log_ratio_of_probabilities(kind: Kind) -> None:
    predictions = random_predictions(kind, 3)
    prior = prior_of(predictions)
    assert predictions.log_probs is not None
    probs = np.exp(predictions.log_probs.astype(float))
    null = closed_form_null(prior.counts)
    if kind is Kind.MULTILABEL:
        with_input = np.where(predictions.gold > 0, probs, 1 - probs)
        without = np.where(predictions.gold > 0, null[:, 1], null[:, 0])
        wanted = np.log2(with_input / without).mean(axis=1)
    else:
        rows = np.arange(len(predictions.gold))
        wanted = np.log2(probs[rows, predictions.gold] / null[predictions.gold])
        if kind is Kind.TOKEN:
            wanted = np.array([part.mean() for part in np.split(wanted, predictions.offsets[1:-1])])
    assert pointwise(predictions, prior).pvi == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@unhurried
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 60))
def test_pvi_never_exceeds_the_surprisal_of_the_label(kind: Kind, seed: int, scale: float) -> None:
    predictions = random_predictions(kind, seed, scale=scale)
    values = pointwise(predictions, prior_of(predictions))
    assert np.isfinite(values.pvi).all()
    assert (values.pvi <= values.h_0 + 1e-9).all()


def test_confident_errors_cost_bits_and_are_never_infinite() -> None:
    certain = np.array([[0.0, -np.inf], [0.0, -90.0]])
    predictions = predictions_of(Kind.SINGLE, [1, 1], certain, labels=("a", "b"))
    assert surprisal_bits(predictions) == pytest.approx([149, 90 / np.log(2)])
    sure = predictions_of(Kind.MULTILABEL, [(), (0,)], np.array([[0.0], [-np.inf]]), labels=("a",))
    assert surprisal_bits(sure)[:, 0] == pytest.approx([149, 149])


@pytest.mark.parametrize("aggregate", list(Aggregate))
@unhurried
@given(seed=st.integers(0, 10_000))
def test_ignored_words_change_nothing(aggregate: Aggregate, seed: int) -> None:
    predictions = random_predictions(Kind.TOKEN, seed)
    assert predictions.log_probs is not None
    rng = np.random.default_rng(seed)
    before = pointwise(predictions, prior_of(predictions), aggregate=aggregate)
    lengths = np.diff(predictions.offsets)
    gold, log_probs = [], []
    for i, length in enumerate(lengths):
        start = predictions.offsets[i]
        positions = rng.permutation(length + 2)  # two ignored words, anywhere in the sentence
        kept = np.sort(positions[:length])
        row_gold = np.full(length + 2, -1)
        row_gold[kept] = predictions.gold[start : start + length]
        rows = log_softmax(rng.normal(0, 5, (length + 2, 3)))
        rows[kept] = predictions.log_probs[start : start + length]
        gold.append(row_gold)
        log_probs.append(rows)
    padded = replace(
        predictions,
        gold=np.concatenate(gold),
        log_probs=np.concatenate(log_probs),
        offsets=np.concatenate([[0], np.cumsum(lengths + 2)]),
    )
    after = pointwise(padded, prior_of(predictions), aggregate=aggregate)
    assert after.ids == before.ids
    assert after.pvi == pytest.approx(before.pvi)


def test_sentence_means_of_constant_sentences_are_the_value_of_their_words() -> None:
    rows = log_softmax(np.array([[1.0, 0.2, -3.0], [0.3, 0.1, 0.0]]))
    log_probs = np.repeat(rows, [4, 2], axis=0)
    predictions = predictions_of(
        Kind.TOKEN, [(1,) * 4, (2,) * 2], log_probs, labels=("O", "B-x", "I-x")
    )
    prior = Prior(np.array([80, 15, 5]), Kind.TOKEN)
    words = pointwise(predictions, prior, aggregate=Aggregate.TOKEN)
    sentences = pointwise(predictions, prior)
    assert sentences.pvi == pytest.approx(words.pvi[[0, 4]])
    assert words.pvi == pytest.approx(np.repeat(sentences.pvi, [4, 2]))


def test_entity_only_leaves_out_words_and_sentences_without_entities() -> None:
    log_probs = log_softmax(np.arange(15.0).reshape(5, 3) % 4)
    predictions = predictions_of(
        Kind.TOKEN, [(0, 1, 2), (0, 0)], log_probs, labels=("O", "B-x", "I-x")
    )
    prior = Prior(np.array([80, 15, 5]), Kind.TOKEN)
    entities = pointwise(predictions, prior, aggregate=Aggregate.ENTITY_ONLY)
    words = pointwise(predictions, prior, aggregate=Aggregate.TOKEN)
    assert entities.ids == ("e0",)
    assert entities.pvi == pytest.approx([words.pvi[[1, 2]].mean()])


def test_seeds_are_averaged_for_each_example_and_do_not_multiply_them() -> None:
    one = Pointwise(("a", "b"), (None, None), np.array([1.0, 1.0]), np.array([0.0, 2.0]))
    other = replace(one, h_x=np.array([1.0, 1.0]))
    mean = mean_over_seeds([one, other])
    assert mean.h_x.tolist() == [0.5, 1.5]
    assert len(mean.pvi) == 2
    with pytest.raises(ValueError, match="different examples"):
        mean_over_seeds([one, replace(other, ids=("b", "a"))])


def test_repeating_examples_inside_clusters_does_not_make_the_mean_surer() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=50)
    alone = std_error(values, [None] * 50)
    assert alone == pytest.approx(values.std(ddof=1) / np.sqrt(50))
    repeated = std_error(np.repeat(values, 4), [f"c{i // 4}" for i in range(200)])
    assert repeated == pytest.approx(alone)
    assert std_error(values, ["one document"] * 50) == float("inf")


def test_cluster_means_are_one_value_a_document() -> None:
    values = Pointwise(("a", "b", "c"), ("d", None, "d"), np.array([1.0, 2.0, 3.0]), np.zeros(3))
    assert values.cluster_means().tolist() == [2.0, 2.0]


@pytest.mark.parametrize("kind", KINDS)
@unhurried
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 40))
def test_temperature_never_raises_the_loss_it_is_picked_by(
    kind: Kind, seed: int, scale: float
) -> None:
    predictions = random_predictions(kind, seed, scale=scale)
    temperature = fit_temperature(predictions)
    assert temperature_loss(predictions, temperature) <= temperature_loss(predictions, 1.0)
    assert GRID.min() <= temperature <= GRID.max()


@pytest.mark.parametrize("kind", [Kind.SINGLE, Kind.MULTILABEL])
def test_temperature_undoes_overconfidence(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    n, too_sharp = 4000, 3.0
    labels = ("a", "b", "c")
    logits = rng.normal(0, 1.5, (n, 3))
    if kind is Kind.SINGLE:
        probs = np.exp(log_softmax(logits))
        golds: list[Any] = [int(rng.choice(3, p=row)) for row in probs]
        sharp = log_softmax(logits * too_sharp)
    else:
        present = rng.random((n, 3)) < 1 / (1 + np.exp(-logits))
        golds = [tuple(map(int, np.flatnonzero(row))) for row in present]
        sharp = -np.logaddexp(0, -logits * too_sharp)
    temperature = fit_temperature(predictions_of(kind, golds, sharp, labels=labels))
    assert temperature == pytest.approx(too_sharp, rel=0.08)


def test_a_model_that_knows_nothing_is_flattened_to_the_edge_of_the_grid() -> None:
    golds = [0, 1] * 50
    wrong = log_softmax(np.tile([[0.0, 8.0], [8.0, 0.0]], (50, 1)))
    temperature = fit_temperature(predictions_of(Kind.SINGLE, golds, wrong, labels=("a", "b")))
    assert at_edge(temperature)
    assert not at_edge(1.0)


def test_predictions_without_probabilities_have_no_pvi() -> None:
    bare = replace(random_predictions(Kind.SINGLE, 0), log_probs=None)
    with pytest.raises(ValueError, match="without log-probabilities"):
        surprisal_bits(bare)
