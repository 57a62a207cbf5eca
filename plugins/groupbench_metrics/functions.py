"""The metrics as plain functions over arrays. Definitions: the classes of the same name.

Labels are indices, ``[n]``, or 0/1 columns, ``[n, K]``; -1 (a row of them) is "no valid answer".
Tags are strings, one sequence a sentence; ``None`` is "no valid answer".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from groupbench_metrics.counts import (
    binary_counts,
    kept_labels,
    label_counts,
    macro,
    matthews,
    micro,
    ratio,
    right_answers,
    right_decisions,
)
from groupbench_metrics.tag_counts import (
    kept_types,
    right_entity_words,
    right_words,
    span_counts,
    type_counts,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from groupbench.predictions import FloatArray, IntArray

Sentences: TypeAlias = "Sequence[Sequence[str | None]]"


def accuracy(references: IntArray, predictions: IntArray) -> float:
    """Return the share of right answers (of wholly right rows).

    >>> accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 0, -1]))
    0.5
    """
    return _share(right_answers(*_alike(references, predictions)))


def label_accuracy(references: IntArray, predictions: IntArray) -> float:
    """Return the share of right decisions, one a label and example."""
    return _share(right_decisions(*_alike(references, predictions)))


def f1_macro(
    references: IntArray,
    predictions: IntArray,
    *,
    n_labels: int | None = None,
    excluded: Collection[int] = (),
) -> float:
    """Return F1 averaged over labels.

    >>> f1_macro(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0]))
    0.3333333333333333
    """
    sums, n_labels = _label_sums(references, predictions, n_labels)
    return float(macro(sums, kept_labels(n_labels, frozenset(excluded))))


def f1_micro(
    references: IntArray,
    predictions: IntArray,
    *,
    n_labels: int | None = None,
    excluded: Collection[int] = (),
) -> float:
    """Return F1 of counts pooled over labels.

    >>> f1_micro(np.array([0, 1, 1, 2]), np.array([0, 1, 0, 2]), excluded=[0])
    0.8
    """
    sums, n_labels = _label_sums(references, predictions, n_labels)
    return float(micro(sums, kept_labels(n_labels, frozenset(excluded))))


def f1_binary(references: IntArray, predictions: IntArray, *, positive: int = 1) -> float:
    """Return F1 of the label ``positive``."""
    return _f1(binary_counts(*_alike(references, predictions), positive))


def matthews_correlation(
    references: IntArray, predictions: IntArray, *, n_labels: int | None = None
) -> float:
    """Return the correlation of gold and predicted labels."""
    sums, _ = _label_sums(references, predictions, n_labels)
    return float(matthews(sums))


def seqeval_f1(
    references: Sentences, predictions: Sentences, *, excluded: Collection[str] = ()
) -> float:
    """Return micro F1 over exact entity spans.

    >>> seqeval_f1([["B-drug", "I-drug", "O", "B-gene"]], [["B-drug", "I-drug", "O", "O"]])
    0.6666666666666666
    """
    gold, predicted, offsets, tags = _tagged(references, predictions)
    return _f1(span_counts(gold, predicted, offsets, tags, kept_types(tags, excluded)))


def token_f1_macro(
    references: Sentences, predictions: Sentences, *, excluded: Collection[str] = ()
) -> float:
    """Return F1 over words, averaged over entity types."""
    gold, predicted, offsets, tags = _tagged(references, predictions)
    sums = type_counts(gold, predicted, offsets, tags).sum(axis=0)
    return float(macro(sums, kept_types(tags, excluded).nonzero()[0]))


def token_accuracy(references: Sentences, predictions: Sentences) -> float:
    """Return the share of words whose tag is right."""
    gold, predicted, offsets, _ = _tagged(references, predictions)
    return _share(right_words(gold, predicted, offsets))


def entity_accuracy(references: Sentences, predictions: Sentences) -> float:
    """Return the share of right tags among words whose gold tag is not ``O``."""
    gold, predicted, offsets, tags = _tagged(references, predictions)
    return _share(right_entity_words(gold, predicted, offsets, tags))


def _share(counts: FloatArray) -> float:
    right, total = counts.sum(axis=0)
    return float(ratio(right, total))


def _f1(counts: FloatArray) -> float:
    right, predicted, gold = counts.sum(axis=0)
    return float(ratio(2 * right, predicted + gold))


def _alike(references: IntArray, predictions: IntArray) -> tuple[IntArray, IntArray]:
    references, predictions = np.asarray(references), np.asarray(predictions)
    if references.shape != predictions.shape:
        raise ValueError(f"references {references.shape} and predictions {predictions.shape}")
    return references, predictions


def _label_sums(
    references: IntArray, predictions: IntArray, n_labels: int | None
) -> tuple[FloatArray, int]:
    references, predictions = _alike(references, predictions)
    if references.ndim > 1:
        n_labels = references.shape[1]
    elif n_labels is None:
        n_labels = 1 + int(max(references.max(initial=-1), predictions.max(initial=-1)))
    return label_counts(references, predictions, n_labels).sum(axis=0), n_labels


def _tagged(
    references: Sentences, predictions: Sentences
) -> tuple[IntArray, IntArray, IntArray, tuple[str, ...]]:
    lengths = [len(sentence) for sentence in references]
    if lengths != [len(sentence) for sentence in predictions]:
        raise ValueError("references and predictions differ in length.")
    flat = [[tag for sentence in side for tag in sentence] for side in (references, predictions)]
    tags = tuple(sorted({tag for side in flat for tag in side if tag is not None}))
    index: dict[str | None, int] = {tag: i for i, tag in enumerate(tags)} | {None: -1}
    gold, predicted = (np.array([index[tag] for tag in side], np.int64) for side in flat)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return gold, predicted, offsets, tags
