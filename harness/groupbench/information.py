"""V-information: how much a family of models can use an input to predict a label, in bits.

Xu et al., "A theory of usable information under computational constraints" (ICLR 2020,
arXiv:2002.10689); pointwise (PVI) in Ethayarajh et al., "Understanding dataset difficulty with
V-usable information" (ICML 2022, arXiv:2110.08420). Token and multilabel tasks are extensions:
means over words and over labels, so that tasks can be compared.

Plain numpy over `Predictions`; nothing here trains or reads a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from groupbench.predictions import gold_array
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.predictions import FloatArray, IntArray, Predictions
    from groupbench.task import Example

FLOOR = -149 * np.log(2.0)
"""Log of the smallest positive float32. A probability that underflowed to 0 counts as this one:
149 bits, not infinitely many."""

OUTSIDE = "O"
"""The tag of words that belong to no entity."""


class Aggregate(StrEnum):
    """How words of a token task become units. Other kinds have one unit an example."""

    SENTENCE_MEAN = "sentence_mean"
    """A unit is a sentence: the mean over its words."""
    TOKEN = "token"  # noqa: S105 - a unit, not a secret
    """A unit is a word. Words of one sentence are dependent."""
    ENTITY_ONLY = "entity_only"
    """A unit is a sentence: the mean over words whose gold tag is not `OUTSIDE`. Sentences
    without such a word are left out."""


def closed_form_null(counts: IntArray) -> FloatArray:
    """Return the distribution that a model without input learns: the training frequencies.

    It minimises mean cross-entropy on the training labels, so a trained null can only tie with it
    there. Where a declared label does not occur, 0.5 is added to every count; else nothing is.

    Args:
        counts: training examples of each label. Shape ``[..., K]``.

    Returns:
        Probabilities that sum to 1 along the last axis. Shape ``[..., K]``.
    """
    smoothed = np.asarray(counts) + smoothing(counts)[..., None]
    return np.asarray(smoothed / smoothed.sum(axis=-1, keepdims=True))


def smoothing(counts: IntArray) -> FloatArray:
    """Return what `closed_form_null` adds to each count: 0, or 0.5 where one is 0.

    Shape ``[...]`` for counts of shape ``[..., K]``.
    """
    return np.where((np.asarray(counts) == 0).any(axis=-1), 0.5, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """The closed-form null of one task: what can be said of its labels without its inputs."""

    counts: IntArray
    """Training labels. Shape ``[K]``; multilabel: ``[K, 2]``, without and with the label."""
    kind: Kind

    @classmethod
    def of(cls, kind: Kind, n_labels: int, train: Sequence[Example]) -> Prior:
        """Count the labels of the training split that is really used. Token tasks: of words."""
        gold, _ = gold_array(kind, n_labels, train)
        if kind is Kind.MULTILABEL:
            present = gold.sum(axis=0)
            return cls(np.stack([len(train) - present, present], axis=-1), kind)
        return cls(np.bincount(gold[gold >= 0], minlength=n_labels), kind)

    @property
    def smoothing(self) -> float:
        """What was added to counts because a declared label does not occur, else 0."""
        return float(smoothing(self.counts).max())

    @property
    def entropy_bits(self) -> float:
        """Entropy of the training labels: H_V(Y). Multilabel: the mean over labels."""
        totals = self.counts.sum(axis=-1, keepdims=True)
        shares = self.counts / np.maximum(totals, 1)
        logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
        return float((-(shares * logs).sum(axis=-1)).mean()) + 0.0  # no minus zero

    def bits(self, gold: IntArray) -> FloatArray:
        """Return h_0, the surprisal of each gold label without the input. Shape of ``gold``.

        Gold labels below 0 are ignored positions; their value means nothing.
        """
        table = -np.log2(closed_form_null(self.counts))
        if self.kind is Kind.MULTILABEL:
            return np.asarray(np.where(gold > 0, table[:, 1], table[:, 0]))
        return np.asarray(table[np.maximum(gold, 0)])


def surprisal_bits(predictions: Predictions, temperature: float = 1.0) -> FloatArray:
    """Return h_x, the surprisal of each gold label given the input, in bits. Shape of gold.

    Computed from log-probabilities in float64, never through probabilities.

    Args:
        predictions: with log-probabilities, which are logits up to a constant.
        temperature: what logits are divided by.

    Raises:
        ValueError: there are no log-probabilities.
    """
    if predictions.log_probs is None:
        raise ValueError(f"task {predictions.task}: predictions without log-probabilities")
    log_probs = np.maximum(np.asarray(predictions.log_probs, dtype=np.float64), FLOOR)
    gold = predictions.gold
    if predictions.kind is Kind.MULTILABEL:
        logits = logit(log_probs) / temperature
        return np.asarray(np.logaddexp(0.0, np.where(gold > 0, -logits, logits)) / np.log(2.0))
    scaled = log_probs / temperature
    top = scaled.max(axis=-1, keepdims=True)
    total = top[..., 0] + np.log(np.exp(scaled - top).sum(axis=-1))
    chosen = np.take_along_axis(scaled, np.maximum(gold, 0)[..., None], axis=-1)[..., 0]
    return np.asarray((total - chosen) / np.log(2.0))


def logit(log_probs: FloatArray) -> FloatArray:
    """Return the log-odds of log-probabilities, within plus and minus `FLOOR`.

    ``log(1 - p)`` comes from ``expm1``, so that it stays exact where ``p`` is near 0 or 1.
    """
    bounded = np.minimum(log_probs, -np.exp(FLOOR))
    return np.asarray(np.clip(bounded - np.log(-np.expm1(bounded)), FLOOR, -FLOOR))


def unit_means(
    predictions: Predictions, cells: FloatArray, aggregate: Aggregate = Aggregate.SENTENCE_MEAN
) -> tuple[IntArray, FloatArray]:
    """Return which example each unit belongs to, and the mean of ``cells`` over each unit.

    Args:
        predictions: whose gold says which positions are ignored (below 0).
        cells: a value for each gold label. Shape of gold.
        aggregate: what a unit of a token task is.

    Returns:
        Example indices and means, both of shape ``[n_units]``. An example all of whose words are
        ignored has no unit.
    """
    n = len(predictions)
    if predictions.kind is Kind.MULTILABEL:
        return np.arange(n), np.asarray(cells.mean(axis=1))
    gold = predictions.gold
    if predictions.kind is not Kind.TOKEN:
        kept = np.flatnonzero(gold >= 0)
        return kept, np.asarray(cells[kept])
    counted = gold >= 0
    if aggregate is Aggregate.ENTITY_ONLY and OUTSIDE in predictions.labels:
        counted &= gold != predictions.labels.index(OUTSIDE)
    sentence = np.repeat(np.arange(n), np.diff(predictions.offsets))[counted]
    values = cells[counted]
    if aggregate is Aggregate.TOKEN:
        return sentence, np.asarray(values)
    n_words = np.bincount(sentence, minlength=n)
    kept = np.flatnonzero(n_words)
    return kept, np.bincount(sentence, weights=values, minlength=n)[kept] / n_words[kept]


@dataclass(frozen=True, slots=True, eq=False)
class Pointwise:
    """PVI of one task's units. All arrays have shape ``[n_units]`` and are in bits."""

    ids: tuple[str, ...]
    """Of the example that each unit belongs to."""
    clusters: tuple[str | None, ...]
    h_0: FloatArray
    """Surprisal of the gold label without the input."""
    h_x: FloatArray
    """Surprisal of the gold label given the input."""

    @property
    def pvi(self) -> FloatArray:
        """``h_0 - h_x``. At most ``h_0``; 0 is as good as knowing the label prior."""
        return np.asarray(self.h_0 - self.h_x)

    @property
    def v_entropy_bits(self) -> float:
        """H_V(Y) estimated on these examples: the mean of ``h_0``."""
        return float(self.h_0.mean())

    @property
    def conditional_v_entropy_bits(self) -> float:
        """H_V(Y|X): the mean of ``h_x``."""
        return float(self.h_x.mean())

    @property
    def v_information_bits(self) -> float:
        """I_V(X->Y): the mean of PVI. Below 0 where a model is worse than the prior."""
        return float(self.pvi.mean())

    @property
    def std_error_bits(self) -> float:
        """Standard error of the mean PVI; clusters are taken as drawn whole."""
        return std_error(self.pvi, self.clusters)

    def cluster_means(self) -> FloatArray:
        """Return the mean PVI of each cluster: independent units, which tests need."""
        index, n_clusters = cluster_index(self.clusters)
        return np.asarray(
            np.bincount(index, weights=self.pvi, minlength=n_clusters)
            / np.bincount(index, minlength=n_clusters)
        )


def pointwise(
    predictions: Predictions,
    null: Prior | FloatArray,
    *,
    temperature: float = 1.0,
    aggregate: Aggregate = Aggregate.SENTENCE_MEAN,
) -> Pointwise:
    """Return the PVI of predictions against a null.

    Multilabel: bits per label, the mean over the binary PVI of each label; times the number of
    labels this is the sum.

    Args:
        predictions: of the model that sees the input, on held-out examples.
        null: the closed form, or a trained null's surprisal in bits, in the shape of gold.
        temperature: what the model's logits are divided by.
        aggregate: what a unit of a token task is.

    Raises:
        ValueError: there are no log-probabilities.
    """
    h_0 = null.bits(predictions.gold) if isinstance(null, Prior) else null
    units, with_input = unit_means(predictions, surprisal_bits(predictions, temperature), aggregate)
    _, without = unit_means(predictions, h_0, aggregate)
    return Pointwise(
        ids=tuple(predictions.ids[i] for i in units),
        clusters=tuple(predictions.clusters[i] for i in units),
        h_0=without,
        h_x=with_input,
    )


def mean_over_seeds(samples: Sequence[Pointwise]) -> Pointwise:
    """Return one sample: the mean surprisal of each unit over seeds.

    Seeds are not examples: putting them side by side would multiply ``n`` falsely.

    Raises:
        ValueError: the samples are not of the same examples in the same order.
    """
    first = samples[0]
    if any(sample.ids != first.ids for sample in samples):
        raise ValueError("seeds predicted different examples, or in different order")
    return Pointwise(
        ids=first.ids,
        clusters=first.clusters,
        h_0=np.mean([sample.h_0 for sample in samples], axis=0),
        h_x=np.mean([sample.h_x for sample in samples], axis=0),
    )


def cluster_index(clusters: Sequence[str | None]) -> tuple[IntArray, int]:
    """Return each unit's cluster as a number from 0, and how many; without one, it is its own."""
    numbers: dict[str | int, int] = {}
    index = [
        numbers.setdefault(i if cluster is None else cluster, len(numbers))
        for i, cluster in enumerate(clusters)
    ]
    return np.asarray(index, dtype=np.int64), len(numbers)


def std_error(values: FloatArray, clusters: Sequence[str | None]) -> float:
    """Return the standard error of the mean of ``values``, robust to clusters.

    Without clusters this is ``sd / sqrt(n)``. Infinite where there are fewer than two clusters.
    """
    index, n_clusters = cluster_index(clusters)
    if n_clusters < 2:  # noqa: PLR2004 - one cluster shows no spread
        return float("inf")
    sums = np.bincount(index, weights=values - values.mean(), minlength=n_clusters)
    spread = float((sums**2).sum()) * n_clusters / (n_clusters - 1)
    return float(np.sqrt(spread)) / len(values)
