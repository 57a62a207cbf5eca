"""How often labels occur in a training set, as log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from groupbench.predictions import Output, gold_array
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.predictions import FloatArray
    from groupbench.task import Example, Task

SMOOTHING = 0.5
"""Added to each label's count, but only where a label does not occur (methods.md 1.4)."""


def label_counts(task: Task, examples: Sequence[Example]) -> FloatArray:
    """Return how often each label occurs: ``[K]``; multilabel: ``[K, 2]``, absent and present."""
    gold, _ = gold_array(task.kind, len(task.labels), examples)
    if task.kind is Kind.MULTILABEL:
        present = gold.sum(axis=0)
        return np.stack([len(examples) - present, present], axis=1).astype(float)
    return np.bincount(gold, minlength=len(task.labels)).astype(float)


def log_prior(counts: FloatArray) -> FloatArray:
    """Return log-frequencies over the last axis, smoothed where a count is 0."""
    unseen = (counts == 0).any(axis=-1, keepdims=True)
    smoothed = counts + SMOOTHING * unseen
    logs: FloatArray = np.log(smoothed / smoothed.sum(axis=-1, keepdims=True))
    return logs


def prior_output(task: Task, counts: FloatArray, examples: Sequence[Example]) -> Output:
    """Return what knowing only the labels' frequencies says about ``examples``.

    Every example gets the commonest label (the first of equals), or the labels that more than half
    of the training examples have; every word the commonest tag.
    """
    logs = log_prior(counts)
    n = sum(len(e.input) for e in examples) if task.kind is Kind.TOKEN else len(examples)
    if task.kind is Kind.MULTILABEL:
        predicted = (counts[:, 1] > counts[:, 0]).astype(np.int32)
        return Output(np.tile(predicted, (n, 1)), np.tile(logs[:, 1], (n, 1)))
    return Output(np.full(n, counts.argmax(), dtype=np.int32), np.tile(logs, (n, 1)))
