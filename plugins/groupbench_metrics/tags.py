"""Metrics of tagged words: kind ``token``. An example's words are counted together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from groupbench.metrics import AdditiveMetric
from groupbench.task import Kind
from groupbench_metrics.shares import PooledF1, Share

if TYPE_CHECKING:
    from groupbench.metrics import MetricTask
    from groupbench.predictions import FloatArray, IntArray, Predictions

_TOKEN = frozenset({Kind.TOKEN})


class SeqevalF1(PooledF1):
    """Micro F1 over exact entity spans: type, first and last word must agree.

    Spans as in `groupbench_metrics.spans`. A run of words without a valid answer is one wrong span.
    Types whose tags are all excluded are left out. With no span, gold or predicted, it is 0.
    """

    name: ClassVar[str] = "seqeval_f1"
    summary: ClassVar[str] = "micro F1 over exact entity spans"
    kinds: ClassVar[frozenset[Kind]] = _TOKEN
    citation: ClassVar[str] = (
        "Tjong Kim Sang and Buchholz (2000), Introduction to the CoNLL-2000 shared task: Chunking, "
        "CoNLL; Nakayama (2018), seqeval"
    )

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.tag_counts import kept_types, span_counts

        kept = kept_types(task.labels, task.excluded_labels)
        return span_counts(predictions.gold, predicted, predictions.offsets, task.labels, kept)


class TokenF1Macro(AdditiveMetric):
    """F1 of each entity type over words, averaged over the types; ``O`` is none.

    A word's type is its tag without prefix. Types whose tags are all excluded are left out, and
    those that are neither gold nor predicted, whose F1 is undefined.
    """

    name: ClassVar[str] = "token_f1_macro"
    summary: ClassVar[str] = "F1 over words, averaged over entity types"
    kinds: ClassVar[frozenset[Kind]] = _TOKEN

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.tag_counts import type_counts

        return type_counts(predictions.gold, predicted, predictions.offsets, task.labels)

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import macro
        from groupbench_metrics.tag_counts import kept_types

        return macro(sums, kept_types(task.labels, task.excluded_labels).nonzero()[0])


class TokenAccuracy(Share):
    """The share of words whose tag is right; 0 where there are no words."""

    name: ClassVar[str] = "token_accuracy"
    summary: ClassVar[str] = "share of words whose tag is right"
    kinds: ClassVar[frozenset[Kind]] = _TOKEN

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.tag_counts import right_words

        del task
        return right_words(predictions.gold, predicted, predictions.offsets)


class EntityAccuracy(Share):
    """The share of right tags among words whose gold tag is not ``O``; 0 where there are none."""

    name: ClassVar[str] = "entity_accuracy"
    summary: ClassVar[str] = "share of right tags among words whose gold tag is not O"
    kinds: ClassVar[frozenset[Kind]] = _TOKEN

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.tag_counts import right_entity_words

        return right_entity_words(predictions.gold, predicted, predictions.offsets, task.labels)
