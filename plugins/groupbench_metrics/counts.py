"""Counts of labels that accuracy, F1 and Matthews correlation are made of.

Arrays of references and predictions hold label indices, ``[n]``, or one 0/1 column a label,
``[n, K]``. A prediction of -1 (a row of them) is "no valid answer": a column of its own, after the
labels, in which nothing is ever right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from groupbench.predictions import FloatArray, IntArray


def one_hot(values: IntArray, n_labels: int) -> FloatArray:
    """Return one column a label and one for "no valid answer": ``[n]`` to ``[n, K + 1]``."""
    rows = np.zeros((len(values), n_labels + 1))
    # NO_ANSWER is -1: it falls into the last column by itself
    rows[np.arange(len(values)), values] = 1.0
    return rows


def columns(values: IntArray, n_labels: int) -> FloatArray:
    """Return ``[n, K + 1]`` counts of label indices ``[n]`` or of 0/1 columns ``[n, K]``."""
    if values.ndim == 1:
        return one_hot(values, n_labels)
    missing = np.any(values < 0, axis=1)
    rows = np.where(missing[:, None], 0.0, values)
    return np.concatenate([rows, missing[:, None]], axis=1)


def label_counts(references: IntArray, predictions: IntArray, n_labels: int) -> FloatArray:
    """Return what each example adds to the true positives, predictions and golds of each label.

    Returns:
        Shape ``[n, 3 * (K + 1)]``: true positives of each label, then how often it is predicted,
        then how often it is gold; "no valid answer" is the last label of each third.
    """
    gold, predicted = columns(references, n_labels), columns(predictions, n_labels)
    return np.concatenate([gold * predicted, predicted, gold], axis=1)


def right_answers(references: IntArray, predictions: IntArray) -> FloatArray:
    """Return ``[right, 1]`` for each example; of several labels all must be right."""
    right = np.equal(references, predictions)
    right = np.all(right, axis=1) if references.ndim > 1 else right
    return np.stack([right, np.ones(len(right))], axis=1).astype(float)


def right_decisions(references: IntArray, predictions: IntArray) -> FloatArray:
    """Return ``[share of labels decided rightly, 1]`` for each example. Arrays are ``[n, K]``."""
    right = (references == predictions).mean(axis=1)
    return np.stack([right, np.ones(len(right))], axis=1)


def binary_counts(references: IntArray, predictions: IntArray, positive: int) -> FloatArray:
    """Return true positives, predictions and golds of one label, ``[n, 3]``.

    No valid answer is a miss where the label is gold, and a false alarm where it is not.
    """
    gold = references == positive
    said = np.where(predictions < 0, ~gold, predictions == positive)
    return np.stack([gold & said, said, gold], axis=1).astype(float)


def thirds(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return true positives, predictions and golds, ``[..., K + 1]`` each."""
    right, predicted, gold = np.split(sums, 3, axis=-1)
    return right, predicted, gold


def ratio(numerator: Any, denominator: Any) -> FloatArray:  # noqa: ANN401 - floats or arrays
    """Return ``numerator / denominator``, 0 where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, float), np.asarray(denominator, float)
    )
    quotient: FloatArray = np.divide(
        numerator, denominator, out=np.zeros(numerator.shape), where=denominator > 0
    )
    return quotient


def macro(sums: FloatArray, kept: IntArray) -> FloatArray:
    """Return F1 averaged over the labels ``kept`` that are gold or predicted at all."""
    right, predicted, gold = (part[..., kept] for part in thirds(sums))
    there = predicted + gold
    return ratio(ratio(2 * right, there).sum(axis=-1), (there > 0).sum(axis=-1))


def micro(sums: FloatArray, kept: IntArray) -> FloatArray:
    """Return F1 of the pooled counts of the labels ``kept`` and of "no valid answer"."""
    pooled = np.append(kept, sums.shape[-1] // 3 - 1)
    right, predicted, gold = (part[..., pooled].sum(axis=-1) for part in thirds(sums))
    return ratio(2 * right, predicted + gold)


def matthews(sums: FloatArray) -> FloatArray:
    """Return the multi-class correlation R_K (Gorodkin 2004, equation 8); 0 where undefined."""
    right, predicted, gold = thirds(sums)
    total = gold.sum(axis=-1)
    covariance = right.sum(axis=-1) * total - (predicted * gold).sum(axis=-1)
    spread_predicted = total**2 - (predicted**2).sum(axis=-1)
    spread_gold = total**2 - (gold**2).sum(axis=-1)
    product = spread_predicted * spread_gold
    # weighted sums are not integers: rounding must not pass for a spread
    return ratio(covariance, np.where(product > 1e-9 * total**4, np.sqrt(np.abs(product)), 0.0))


def kept_labels(n_labels: int, excluded: frozenset[int] = frozenset()) -> IntArray:
    """Return the labels that an average is over, in order."""
    return np.array([label for label in range(n_labels) if label not in excluded], dtype=np.int64)
