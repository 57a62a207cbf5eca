"""Metrics against scikit-learn, hand-worked cases and a slow oracle of entity spans."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from groupbench.metrics import AdditiveMetric, Metric, MetricOptions
from groupbench.predictions import Outcome, Predictions
from groupbench.task import Kind
from groupbench.testing.pytest_helper import parametrize_with_checks
from groupbench_metrics import functions
from groupbench_metrics.hooks import groupbench_register_metrics
from groupbench_metrics.spans import spans

Tagged: TypeAlias = list[list[str | None]]

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from groupbench.predictions import IntArray
    from groupbench.testing.checks import Check

METRICS = {metric.name: metric for metric in groupbench_register_metrics() if metric.kinds}


@parametrize_with_checks(list(METRICS.values()))
def test_metrics_keep_the_contract(metric: Metric, check: Check) -> None:
    check(metric)


def test_every_metric_is_additive_so_that_resampling_is_fast() -> None:
    assert all(isinstance(metric, AdditiveMetric) for metric in METRICS.values())


# single labels and label sets, against scikit-learn


def judged(
    kind: Kind, gold: IntArray, predicted: IntArray, offsets: IntArray | None = None
) -> Predictions:
    n = len(gold) if offsets is None else len(offsets) - 1
    return Predictions(
        task="t",
        kind=kind,
        labels=(),
        ids=("",) * n,
        gold=gold,
        predicted=predicted,
        log_probs=None,
        outcomes=(Outcome.OK,) * n,
        input_cut=(False,) * n,
        clusters=(None,) * n,
        offsets=np.arange(n + 1) if offsets is None else offsets,
    )


def score(
    name: str,
    gold: IntArray,
    predicted: IntArray,
    n_labels: int,
    **options: Any,
) -> float:
    kind = Kind.MULTILABEL if gold.ndim > 1 else Kind.SINGLE
    task = MetricOptions(kind, tuple(map(str, range(n_labels))), **options)
    return METRICS[name].score(judged(kind, gold, predicted), task)


def sklearn_f1(gold: IntArray, predicted: IntArray, **options: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of undefined scores
        value = float(sk.f1_score(gold, predicted, **options))
    return 0.0 if math.isnan(value) else value


@st.composite
def labelled(draw: st.DrawFn) -> tuple[IntArray, IntArray, int]:
    """Draw gold labels, predictions (-1: no valid answer) and the number of labels."""
    n_labels = draw(st.integers(1, 5))
    n = draw(st.integers(1, 25))
    gold = draw(st.lists(st.integers(0, n_labels - 1), min_size=n, max_size=n))
    predicted = draw(st.lists(st.integers(-1, n_labels - 1), min_size=n, max_size=n))
    return np.array(gold), np.array(predicted), n_labels


@st.composite
def label_sets(draw: st.DrawFn) -> tuple[IntArray, IntArray]:
    n, n_labels = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    row = st.lists(st.integers(0, 1), min_size=n_labels, max_size=n_labels)
    rows = st.lists(row, min_size=n, max_size=n)
    return np.array(draw(rows)), np.array(draw(rows))


@settings(deadline=None)
@given(labelled())
def test_single_labels_are_scored_as_scikit_learn_does(
    case: tuple[IntArray, IntArray, int],
) -> None:
    gold, predicted, n_labels = case
    labels = list(range(n_labels))
    assert score("accuracy", *case) == pytest.approx(np.mean(gold == predicted))
    macro = sklearn_f1(gold, predicted, labels=labels, average="macro", zero_division=np.nan)
    assert score("f1_macro", *case) == pytest.approx(macro)
    micro = sklearn_f1(gold, predicted, labels=[-1, *labels], average="micro")
    assert score("f1_micro", *case) == pytest.approx(micro)
    assert score("f1_micro", *case) == pytest.approx(score("accuracy", *case))
    wanted = 0.0
    if len({*gold.tolist()}) > 1 and len({*predicted.tolist()}) > 1:
        wanted = sk.matthews_corrcoef(gold, predicted)
    assert score("matthews_correlation", *case) == pytest.approx(wanted, abs=1e-9)


@settings(deadline=None)
@given(labelled(), st.data())
def test_excluded_labels_are_left_out_of_the_average_but_still_wrong_for_others(
    case: tuple[IntArray, IntArray, int], data: st.DataObject
) -> None:
    gold, predicted, n_labels = case
    excluded = data.draw(st.sets(st.integers(0, n_labels - 1), max_size=n_labels - 1))
    kept = [label for label in range(n_labels) if label not in excluded]
    out = tuple(map(str, sorted(excluded)))
    macro = sklearn_f1(gold, predicted, labels=kept, average="macro", zero_division=np.nan)
    assert score("f1_macro", *case, excluded_labels=out) == pytest.approx(macro)
    micro = sklearn_f1(gold, predicted, labels=[-1, *kept], average="micro", zero_division=0)
    assert score("f1_micro", *case, excluded_labels=out) == pytest.approx(micro)


@settings(deadline=None)
@given(labelled(), st.data())
def test_f1_of_the_positive_label_is_scikit_learns_with_missing_answers_turned_wrong(
    case: tuple[IntArray, IntArray, int], data: st.DataObject
) -> None:
    gold, predicted, n_labels = case
    positive = data.draw(st.integers(0, n_labels - 1))
    turned = np.where(predicted < 0, gold != positive, predicted == positive)
    wanted = sklearn_f1(gold == positive, turned, pos_label=True, zero_division=0)
    assert score("f1_binary", *case, positive_label=str(positive)) == pytest.approx(wanted)


@settings(deadline=None)
@given(label_sets())
def test_label_sets_are_scored_as_scikit_learn_does(case: tuple[IntArray, IntArray]) -> None:
    gold, predicted = case
    n_labels = gold.shape[1]
    accuracy = sk.accuracy_score(gold, predicted)
    assert score("accuracy", *case, n_labels) == pytest.approx(accuracy)
    macro = sklearn_f1(gold, predicted, average="macro", zero_division=np.nan)
    assert score("f1_macro", *case, n_labels) == pytest.approx(macro)
    micro = sklearn_f1(gold, predicted, average="micro", zero_division=0)
    assert score("f1_micro", *case, n_labels) == pytest.approx(micro)
    share = 1 - sk.hamming_loss(gold, predicted)
    assert score("label_accuracy", *case, n_labels) == pytest.approx(share)
    kept = list(range(1, n_labels))
    micro = sklearn_f1(gold, predicted, labels=kept, average="micro", zero_division=0)
    without = score("f1_micro", *case, n_labels, excluded_labels=("0",))
    assert without == pytest.approx(micro)


def test_a_missing_label_set_misses_its_labels_and_is_one_false_alarm() -> None:
    gold = np.array([[1, 1], [0, 0], [1, 0]])
    predicted = np.array([[-1, -1], [-1, -1], [1, 0]])
    assert score("f1_micro", gold, predicted, 2) == pytest.approx(2 / (3 + 3))
    assert score("f1_macro", gold, predicted, 2) == pytest.approx((2 / 3 + 0) / 2)
    assert score("accuracy", gold, predicted, 2) == pytest.approx(1 / 3)
    assert score("label_accuracy", gold, predicted, 2) == pytest.approx(1 / 3)


@settings(deadline=None)
@given(labelled(), st.data())
def test_no_answer_in_place_of_a_right_one_never_helps(
    case: tuple[IntArray, IntArray, int], data: st.DataObject
) -> None:
    gold, predicted, n_labels = case
    right = np.flatnonzero(gold == predicted)
    assume(len(right))
    worse = predicted.copy()
    worse[data.draw(st.sampled_from(right.tolist()))] = -1
    for name in ("accuracy", "f1_macro", "f1_micro", "f1_binary"):
        before, after = (
            score(name, gold, answers, n_labels, positive_label="0")
            for answers in (predicted, worse)
        )
        assert after <= before + 1e-12, name
    assert score("accuracy", gold, worse, n_labels) < score("accuracy", gold, predicted, n_labels)


def test_hand_worked_scores() -> None:
    gold, predicted = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, -1])
    assert score("accuracy", gold, predicted, 3) == pytest.approx(4 / 6)
    # label 0: 2 * 1 / (1 + 2); label 1: 2 * 2 / (3 + 2); label 2: 2 * 1 / (1 + 2)
    assert score("f1_macro", gold, predicted, 3) == pytest.approx((2 / 3 + 4 / 5 + 2 / 3) / 3)
    # R_K: c = 4, s = 6, predicted 1 3 1 (and 1 missing), gold 2 2 2
    wanted = (4 * 6 - (2 + 6 + 2)) / math.sqrt((36 - 12) * (36 - 12))
    assert score("matthews_correlation", gold, predicted, 3) == pytest.approx(wanted)


def test_matthews_correlation_spans_its_bounds() -> None:
    gold = np.array([0, 1, 0, 1])
    assert score("matthews_correlation", gold, gold, 2) == pytest.approx(1.0)
    assert score("matthews_correlation", gold, 1 - gold, 2) == pytest.approx(-1.0)
    assert score("matthews_correlation", gold, np.zeros(4, int), 2) == 0.0


def test_weights_that_are_not_whole_do_not_invent_a_correlation() -> None:
    metric = METRICS["matthews_correlation"]
    assert isinstance(metric, AdditiveMetric)
    task = MetricOptions(Kind.SINGLE, ("0", "1"))
    constant = judged(Kind.SINGLE, np.array([0, 1, 1] * 30), np.zeros(90, int))
    weights = np.random.default_rng(0).dirichlet(np.ones(90), size=200)
    assert not metric.finish(weights @ metric.statistics(constant, task), task).any()


# tags, against a slow oracle


def slow_spans(tags: Iterable[str | None]) -> set[tuple[str, int, int]]:
    """Return spans as conlleval's two tables of rules say (seqeval, default mode)."""

    def parts(tag: str | None) -> tuple[str, str]:
        if tag is None:
            return "I", "<none>"
        return ("O", "") if tag == "O" else (tag[0], tag[2:])

    found, start = set(), 0
    before, kind_before = "O", ""
    for i, (tag, kind) in enumerate([*map(parts, tags), ("O", "")]):
        ends = (
            before in {"E", "S"}
            or (before in {"B", "I"} and tag in {"B", "S", "O"})
            or (before != "O" and kind != kind_before)
        )
        begins = (
            tag in {"B", "S"}
            or (before in {"E", "S", "O"} and tag in {"E", "I"})
            or (tag != "O" and kind != kind_before)
        )
        if ends and before != "O":
            found.add((kind_before, start, i - 1))
        if begins:
            start = i
        before, kind_before = tag, kind
    return found


TAGS = ("O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y", "E-y", "S-y")
sentence = st.lists(st.sampled_from([*TAGS, None]), max_size=8)


@st.composite
def sentences(draw: st.DrawFn, tags: Sequence[str] = TAGS) -> tuple[Tagged, Tagged]:
    lengths = draw(st.lists(st.integers(0, 7), min_size=1, max_size=4))
    one, two = st.sampled_from(tags), st.sampled_from([*tags, None])
    return (
        [draw(st.lists(one, min_size=n, max_size=n)) for n in lengths],
        [draw(st.lists(two, min_size=n, max_size=n)) for n in lengths],
    )


@settings(deadline=None, max_examples=300)
@given(sentences())
def test_spans_are_those_of_conlleval(
    case: tuple[Tagged, Tagged],
) -> None:
    for side in case:
        index: dict[str | None, int] = {tag: i for i, tag in enumerate(TAGS)} | {None: -1}
        flat = np.array([index[tag] for tags in side for tag in tags], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum([len(tags) for tags in side], dtype=int)])
        found = spans(TAGS, flat, offsets)
        names = ("x", "y", "<none>")
        wanted = {
            (kind, start + offset, end + offset + 1)
            for tags, offset in zip(side, offsets, strict=False)
            for kind, start, end in slow_spans(tags)
        }
        triples = zip(found.type, found.start, found.end, strict=True)
        assert {(names[kind], start, end) for kind, start, end in triples} == wanted
        assert len(found.start) == len(wanted)


@settings(deadline=None, max_examples=150)
@given(sentences())
def test_span_f1_is_that_of_the_sets_of_spans(
    case: tuple[Tagged, Tagged],
) -> None:
    gold, predicted = (
        {(i, *s) for i, t in enumerate(side) for s in slow_spans(t)} for side in case
    )
    wanted = 2 * len(gold & predicted) / max(1, len(gold) + len(predicted))
    assert functions.seqeval_f1(*case) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("gold", "predicted", "wanted"),
    [
        ("B-x I-x O", "B-x I-x O", 1.0),
        ("B-x I-x O", "I-x I-x O", 1.0),  # I- without B- begins a span too
        ("B-x I-x O", "B-x B-x O", 0.0),
        ("B-x I-x O", "B-x I-y O", 0.0),
        ("B-x B-x", "B-x I-x", 0.0),
        ("S-x O B-y E-y", "S-x O B-y I-y", 1.0),
        ("S-x O B-y E-y", "S-x O S-y S-y", 2 / 5),
        ("B-x O B-y", "B-x O O", 2 / 3),
        ("O O", "O O", 0.0),  # no span at all: 0, as seqeval says
        ("O O", "B-x O", 0.0),
        ("U-x B-y L-y", "S-x B-y E-y", 1.0),
        ("P O M M", "P O M M", 1.0),  # tags without prefix: a run is a span
        ("P O M M", "P O M P", 2 / 5),
    ],
)
def test_span_f1_by_hand(gold: str, predicted: str, wanted: float) -> None:
    assert functions.seqeval_f1([gold.split()], [predicted.split()]) == pytest.approx(wanted)


def test_spans_do_not_cross_sentences() -> None:
    assert functions.seqeval_f1([["B-x"], ["I-x"]], [["B-x"], ["I-x"]]) == 1.0
    assert functions.seqeval_f1([["B-x"], ["O"]], [["B-x"], ["I-x"]]) == pytest.approx(2 / 3)


def test_a_run_of_words_without_answer_is_one_wrong_span() -> None:
    gold: list[list[str]] = [["B-x", "I-x", "O"], ["O", "O"]]
    assert functions.seqeval_f1(gold, [["B-x", "I-x", "O"], [None, None]]) == pytest.approx(2 / 3)
    assert functions.seqeval_f1(gold, [[None, None, None], ["O", "O"]]) == 0.0


@settings(deadline=None, max_examples=150)
@given(sentences(tags=("O", "B-x", "I-x", "B-y", "I-y")))
def test_word_scores_are_scikit_learns(
    case: tuple[Tagged, Tagged],
) -> None:
    gold, predicted = (
        ["" if tag is None else tag.split("-")[-1] for tags in side for tag in tags]
        for side in case
    )
    flat = [[tag for tags in side for tag in tags] for side in case]
    assume(gold)
    macro = sklearn_f1(
        np.array(gold),
        np.array(predicted),
        labels=["x", "y"],
        average="macro",
        zero_division=np.nan,
    )
    assert functions.token_f1_macro(*case) == pytest.approx(macro)
    right = [a == b for a, b in zip(*flat, strict=True)]
    assert functions.token_accuracy(*case) == pytest.approx(np.mean(right))
    entity = [r for r, tag in zip(right, gold, strict=True) if tag != "O"]
    assert functions.entity_accuracy(*case) == pytest.approx(np.mean(entity) if entity else 0.0)


def test_excluded_types_of_entities_are_left_out() -> None:
    gold, predicted = [["B-x", "I-x", "B-y"]], [["B-x", "I-x", "O"]]
    assert functions.seqeval_f1(gold, predicted) == pytest.approx(2 / 3)
    assert functions.seqeval_f1(gold, predicted, excluded=["y"]) == 1.0
    assert functions.seqeval_f1(gold, predicted, excluded=["B-y", "I-y"]) == 1.0
    assert functions.token_f1_macro(gold, predicted) == pytest.approx(0.5)
    assert functions.token_f1_macro(gold, predicted, excluded=["y"]) == 1.0


# functions and classes are the same code


@settings(deadline=None)
@given(labelled())
def test_functions_over_arrays_give_the_classes_scores(
    case: tuple[IntArray, IntArray, int],
) -> None:
    gold, predicted, n_labels = case
    same = {
        "accuracy": functions.accuracy(gold, predicted),
        "f1_macro": functions.f1_macro(gold, predicted, n_labels=n_labels),
        "f1_micro": functions.f1_micro(gold, predicted),
        "f1_binary": functions.f1_binary(gold, predicted, positive=0),
        "matthews_correlation": functions.matthews_correlation(gold, predicted),
    }
    for name, value in same.items():
        assert score(name, gold, predicted, n_labels, positive_label="0") == pytest.approx(value)


@settings(deadline=None)
@given(label_sets())
def test_functions_over_rows_give_the_classes_scores(case: tuple[IntArray, IntArray]) -> None:
    for name in ("accuracy", "f1_macro", "f1_micro", "label_accuracy"):
        value = getattr(functions, name)(*case)
        assert score(name, *case, case[0].shape[1]) == pytest.approx(value)


def test_functions_refuse_what_does_not_match() -> None:
    with pytest.raises(ValueError, match=r"references \(2,\) and predictions \(3,\)"):
        functions.accuracy(np.zeros(2, int), np.zeros(3, int))
    with pytest.raises(ValueError, match="differ in length"):
        functions.token_accuracy([["O"]], [["O", "O"]])


def test_tagged_predictions_are_scored_by_the_classes_too() -> None:
    tags = ("O", "B-x", "I-x")
    gold, predicted = np.array([1, 2, 0, 1]), np.array([1, 2, 0, 0])
    predictions = judged(Kind.TOKEN, gold, predicted, np.array([0, 3, 3, 4]))
    task = MetricOptions(Kind.TOKEN, tags)
    wanted = {
        "seqeval_f1": 2 / 3,
        "token_f1_macro": 4 / 5,
        "token_accuracy": 3 / 4,
        "entity_accuracy": 2 / 3,
    }
    for name, value in wanted.items():
        assert METRICS[name].score(predictions, task) == pytest.approx(value)
        assert isinstance(METRICS[name], AdditiveMetric)
        statistics = METRICS[name].statistics(predictions, task)  # type: ignore[attr-defined]
        assert not statistics[1].any(), "a sentence without words adds nothing"
