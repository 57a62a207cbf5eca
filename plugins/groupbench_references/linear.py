"""Linear models of one task: features, regressions and predictions by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from groupbench.predictions import Output, gold_array
from groupbench.task import Kind
from groupbench_references.regression import Regression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.runner import TaskInput
    from groupbench.task import Example
    from groupbench_references.tfidf import TfidfRunner


class Features(Protocol):
    """Turns examples into a sparse matrix: a row an example or, for taggers, a word."""

    @property
    def n_features(self) -> int: ...
    @property
    def n_tokens(self) -> int:
        """Words of the training examples."""
        ...

    def __call__(self, examples: Sequence[Example]) -> Any:  # noqa: ANN401 - a scipy.sparse matrix
        """Return the features of ``examples``, shape ``[n, n_features]``."""
        ...


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A fitted task: its features and its regressions, one or (multilabel) one a label."""

    kind: Kind
    features: Features
    regressions: tuple[Regression, ...]

    @property
    def n_features(self) -> int:
        return self.features.n_features

    @property
    def n_tokens(self) -> int:
        return self.features.n_tokens

    @property
    def n_iterations(self) -> int:
        """Passes over train; of several regressions, the most."""
        return max(each.n_iterations for each in self.regressions)

    @property
    def n_parameters(self) -> int:
        return sum(each.n_parameters for each in self.regressions)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(w for each in self.regressions for w in each.warnings))

    def predict(self, examples: Sequence[Example]) -> Output:
        """Return the most probable labels and all log-probabilities."""
        matrix = self.features(examples)
        if self.kind is Kind.MULTILABEL:
            both = np.stack([each.log_probs(matrix) for each in self.regressions], axis=1)
            predicted = (both[:, :, 1] > both[:, :, 0]).astype(np.int32)
            return Output(predicted, both[:, :, 1])
        logs = self.regressions[0].log_probs(matrix)
        return Output(logs.argmax(axis=1).astype(np.int32), logs)


def fit_task(runner: TfidfRunner, given: TaskInput) -> LinearModel:
    """Fit one task on its train split."""
    from groupbench_references.text_features import TextFeatures
    from groupbench_references.word_features import WordFeatures

    task = given.task
    kept, c = runner.max_features, runner.c
    features: Features
    if task.kind is Kind.TOKEN:
        features, c = WordFeatures.fit(given.train, max_features=kept), runner.tagger_c
    else:
        features = TextFeatures.fit(given.train, ngrams=runner.ngrams, max_features=kept)
    matrix = features(given.train)
    gold, _ = gold_array(task.kind, len(task.labels), given.train)
    targets = gold.T if task.kind is Kind.MULTILABEL else gold[None]
    n_labels = 2 if task.kind is Kind.MULTILABEL else len(task.labels)
    regressions = tuple(
        Regression.fit(matrix, target, n_labels, c=c, max_iterations=runner.max_iterations)
        for target in targets
    )
    return LinearModel(task.kind, features, regressions)
