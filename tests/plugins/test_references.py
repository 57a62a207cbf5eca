"""The reference runners: what they predict, and that they are cheap and exact."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.errors import SettingError
from groupbench.predictions import Predictions
from groupbench.settings import configure
from groupbench.task import Example, Kind, Materialised, Split, Task
from groupbench.testing.pytest_helper import parametrize_with_checks
from groupbench.testing.toy import request_for, toy_task
from groupbench.variants import Blank
from groupbench_references import tfidf
from groupbench_references.majority import MajorityRunner
from groupbench_references.regression import Regression
from groupbench_references.tfidf import TfidfRunner
from groupbench_references.word_features import shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.runner import FitRequest, Runner
    from groupbench.task import Gold, Input
    from groupbench.testing.checks import Check


@parametrize_with_checks([MajorityRunner(), TfidfRunner(), TfidfRunner(ngrams=1, max_features=40)])
def test_reference_runners_keep_the_contract(runner: Runner, check: Check) -> None:
    check(runner)


def task_of(
    kind: Kind, labels: Sequence[str], rows: Sequence[tuple[Input, Gold]], n_test: int = 2
) -> Task:
    """Return a task that trains on ``rows`` and predicts the first of them in other splits."""
    train = tuple(Example(f"train-{i}", *row) for i, row in enumerate(rows))
    rest = tuple(replace(example, id=f"r-{example.id}") for example in train[:n_test])
    data = {Split.TRAIN: train, Split.DEV_A: rest, Split.DEV_B: rest, Split.TEST: rest}
    return Task("some-task", kind, tuple(labels), ("accuracy",), Materialised(data))


def on_test(runner: Runner, task: Task) -> Predictions:
    outputs = runner.fit(request_for(task)).outputs[task.name]
    return Predictions.assemble(task, task.data[Split.TEST], outputs[Split.TEST])


def probabilities(predictions: Predictions) -> list[list[float]]:
    assert predictions.log_probs is not None
    rows: list[list[float]] = np.exp(predictions.log_probs.astype(float)).round(4).tolist()
    return rows


# majority


def test_majority_says_the_commonest_label_with_the_frequencies_of_train() -> None:
    rows = [("a", 1), ("b", 0), ("c", 1), ("d", 1)]
    said = on_test(MajorityRunner(), task_of(Kind.SINGLE, ["no", "yes"], rows))
    assert said.predicted.tolist() == [1, 1]
    assert probabilities(said) == [[0.25, 0.75]] * 2


def test_majority_says_the_first_of_equally_common_labels() -> None:
    rows = [("a", 1), ("b", 0)]
    said = on_test(MajorityRunner(), task_of(Kind.SINGLE, ["no", "yes"], rows))
    assert said.predicted.tolist() == [0, 0]


def test_a_label_that_train_does_not_show_is_smoothed_by_a_half() -> None:
    rows = [("a", 1), ("b", 0), ("c", 1)]
    said = on_test(MajorityRunner(), task_of(Kind.SINGLE, ["no", "yes", "never"], rows))
    assert probabilities(said)[0] == pytest.approx([1.5 / 4.5, 2.5 / 4.5, 0.5 / 4.5], abs=1e-4)


def test_majority_of_label_sets_decides_label_by_label() -> None:
    rows: list[tuple[Input, Gold]] = [("a", (0,)), ("b", (0, 1)), ("c", (0,)), ("d", ())]
    said = on_test(MajorityRunner(), task_of(Kind.MULTILABEL, ["x", "y", "z"], rows))
    assert said.predicted.tolist() == [[1, 0, 0]] * 2
    # z never occurs: (0 + .5) / (4 + 1)
    assert probabilities(said)[0] == pytest.approx([0.75, 0.25, 0.1], abs=1e-4)


def test_majority_of_tags_is_the_commonest_tag_of_each_word() -> None:
    rows: list[tuple[Input, Gold]] = [(("a", "b", "c"), (0, 1, 2)), (("d",), (0,))]
    said = on_test(MajorityRunner(), task_of(Kind.TOKEN, ["O", "B-x", "I-x"], rows))
    assert said.predicted.tolist() == [0, 0, 0, 0]
    assert probabilities(said)[0] == pytest.approx([0.5, 0.25, 0.25])


# tfidf


@pytest.mark.parametrize("kind", [Kind.SINGLE, Kind.MULTILABEL, Kind.TOKEN])
def test_tfidf_learns_what_stands_in_the_text(kind: Kind) -> None:
    task = toy_task(kind, n_train=80)
    said, guessed = (on_test(runner, task) for runner in (TfidfRunner(), MajorityRunner()))
    right, chance = ((each.predicted == each.gold).mean() for each in (said, guessed))
    assert right > 0.9 > chance


def test_tfidf_of_pairs_tells_the_sides_apart() -> None:
    rows: list[tuple[Input, Gold]] = [
        (("good", "bad") if i % 2 else ("bad", "good"), i % 2) for i in range(20)
    ]
    said = on_test(TfidfRunner(), task_of(Kind.PAIR, ["second", "first"], rows, n_test=4))
    assert said.predicted.tolist() == said.gold.tolist()


@pytest.mark.parametrize("kind", list(Kind))
def test_of_blank_texts_tfidf_knows_the_frequencies_of_labels(kind: Kind) -> None:
    task = toy_task(kind, n_train=60)
    blank = Blank()(task)
    said = on_test(TfidfRunner(tagger_c=1e-6), blank)
    prior = on_test(MajorityRunner(), blank)
    assert said.log_probs is not None
    assert prior.log_probs is not None
    np.testing.assert_allclose(np.exp(said.log_probs), np.exp(prior.log_probs), atol=0.02)


def test_labels_that_train_does_not_show_have_a_small_probability() -> None:
    rows = [("good", 0), ("bad", 2)] * 4
    said = on_test(TfidfRunner(), task_of(Kind.SINGLE, ["pos", "never", "neg"], rows))
    unseen = 0.5 / (8 + 1.5)
    assert [row[1] for row in probabilities(said)] == pytest.approx([unseen] * 2, abs=1e-4)
    assert said.predicted.tolist() == [0, 2]


def test_a_label_that_all_or_no_examples_have_is_predicted_so() -> None:
    rows: list[tuple[Input, Gold]] = [("good", (0, 1)), ("bad", (0,))] * 6
    said = on_test(TfidfRunner(), task_of(Kind.MULTILABEL, ["all", "some", "none"], rows))
    assert said.predicted.tolist() == [[1, 1, 0], [1, 0, 0]]
    assert [row[2] for row in probabilities(said)] == pytest.approx([0.5 / 13] * 2, abs=1e-4)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("runner", [MajorityRunner(), TfidfRunner()])
def test_without_any_training_data_all_labels_are_as_likely(runner: Runner, kind: Kind) -> None:
    task = toy_task(kind)
    said = on_test(runner, task.with_data({**task.data, Split.TRAIN: ()}))
    n_choices = 2 if kind is Kind.MULTILABEL else len(task.labels)
    np.testing.assert_allclose(probabilities(said), 1 / n_choices, atol=1e-3)


def test_words_of_one_letter_and_marks_count() -> None:
    rows = [("a !", 0), ("b ?", 1)] * 5
    said = on_test(TfidfRunner(), task_of(Kind.SINGLE, ["x", "y"], rows))
    assert said.predicted.tolist() == [0, 1]


def test_a_tagger_sees_the_neighbours_of_a_word() -> None:
    rows: list[tuple[Input, Gold]] = [
        (("mister", "stone", "speaks"), (0, 1, 0)),
        (("the", "stone", "falls"), (0, 0, 0)),
    ] * 5
    said = on_test(TfidfRunner(), task_of(Kind.TOKEN, ["O", "B-name"], rows))
    assert said.predicted.tolist() == [0, 1, 0, 0, 0, 0]


def test_an_optimiser_that_was_stopped_is_said() -> None:
    result = TfidfRunner(max_iterations=1).fit(request_for(toy_task(Kind.SINGLE)))
    assert result.warnings == ("toy-single: stopped after 1 iterations",)
    assert not TfidfRunner().fit(request_for(toy_task(Kind.SINGLE))).warnings


def test_seeds_and_the_threads_of_the_machine_change_nothing() -> None:
    task = toy_task(Kind.SINGLE)
    one, two = (
        TfidfRunner().fit(request_for(task, seed=seed)).outputs[task.name][Split.TEST]
        for seed in (0, 1)
    )
    assert one.log_probs is not None
    assert two.log_probs is not None
    np.testing.assert_array_equal(one.log_probs, two.log_probs)


def test_costs_count_what_was_done() -> None:
    task = toy_task(Kind.MULTILABEL)
    result = TfidfRunner().fit(request_for(task))
    facts = result.training[task.name]
    assert isinstance(facts, dict)
    assert result.costs.n_parameters == 2 * (facts["n_features"] + 1)
    assert result.costs.example_steps == 24 * facts["n_iterations"]
    assert result.costs.n_predicted == 9 + 12 + 9
    assert result.costs.train_seconds > 0
    majority = MajorityRunner().fit(request_for(task)).costs
    assert (majority.example_steps, majority.n_parameters) == (24, 2)


def test_a_runner_without_scikit_learn_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfidf, "find_spec", lambda _: None)
    assert "pip install 'groupbench[references]'" in str(TfidfRunner().availability())


@pytest.mark.parametrize(
    "settings_", [{"ngrams": 0}, {"c": 0.0}, {"tagger_c": -1.0}, {"max_features": -1}]
)
def test_wrong_settings_are_refused(settings_: dict[str, float]) -> None:
    with pytest.raises(SettingError, match="ngrams and max_iterations must be at least 1"):
        configure(TfidfRunner, settings_, where="runner tfidf")


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
    st.integers(0, 3),
    st.integers(0, 99),
)
def test_probabilities_of_a_regression_always_sum_to_one(
    labels: list[int], n_features: int, seed: int
) -> None:
    from scipy.sparse import csr_matrix

    dense = np.random.default_rng(seed).normal(size=(len(labels), n_features)) * 50
    features = csr_matrix(dense)
    fitted = Regression.fit(features, np.array(labels), 5, c=10.0, max_iterations=50)
    logs = fitted.log_probs(features)
    assert logs.shape == (len(labels), 5)
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("word", "wanted"), [("ICD-10", "X-9"), ("éTé", "xXx"), ("...", "."), ("", ""), ("日本", "x")]
)
def test_the_shape_of_a_word_is_its_runs_of_characters(word: str, wanted: str) -> None:
    assert shape(word) == wanted


def test_a_tagger_of_400_sentences_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    words = [f"{chr(97 + i % 26)}o{chr(97 + i % 7)}" for i in range(40)]
    rows: list[tuple[Input, Gold]] = []
    for _ in range(400):
        chosen = rng.integers(0, 40, size=10)
        rows.append((tuple(words[i] for i in chosen), tuple(int(i % 3) for i in chosen)))
    task = task_of(Kind.TOKEN, ["O", "P", "M"], rows, n_test=100)
    started = time.process_time()
    request: FitRequest = request_for(task)
    TfidfRunner().fit(request)
    assert time.process_time() - started < 10
