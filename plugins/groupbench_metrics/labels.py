"""Metrics of whole examples: kinds ``single``, ``pair`` and ``multilabel``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from groupbench.metrics import AdditiveMetric
from groupbench.task import Kind
from groupbench_metrics.shares import PooledF1, Share

if TYPE_CHECKING:
    from groupbench.metrics import MetricTask
    from groupbench.predictions import FloatArray, IntArray, Predictions

_ONE_LABEL = frozenset({Kind.SINGLE, Kind.PAIR})
_ANY_LABELS = _ONE_LABEL | {Kind.MULTILABEL}


class Accuracy(Share):
    """The share of examples whose answer is right; multilabel: whose whole set of labels is."""

    name: ClassVar[str] = "accuracy"
    summary: ClassVar[str] = "share of right answers (multilabel: of wholly right label sets)"
    kinds: ClassVar[frozenset[Kind]] = _ANY_LABELS

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import right_answers

        del task
        return right_answers(predictions.gold, predicted)


class _LabelCounts(AdditiveMetric):
    """What is a function of each label's true positives, predictions and golds."""

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import label_counts

        return label_counts(predictions.gold, predicted, len(task.labels))


class F1Macro(_LabelCounts):
    """F1 of each label, averaged.

    The average is over the task's labels without its excluded ones, and without those that are
    neither gold nor predicted (scikit-learn's ``zero_division=nan``), whose F1 is undefined. An
    example without a valid answer is missed by the labels it has.
    """

    name: ClassVar[str] = "f1_macro"
    summary: ClassVar[str] = "F1 averaged over labels"
    kinds: ClassVar[frozenset[Kind]] = _ANY_LABELS

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import macro

        return macro(sums, _kept(task))


class F1Micro(_LabelCounts):
    """F1 of the counts pooled over labels.

    Excluded labels add no counts, as in the official scorers of relation extraction: predicting
    one where another is gold is a miss, the reverse a false alarm. "No valid answer" is always
    pooled: one false alarm an example, so that where nothing is excluded and each example has one
    label this is accuracy. With nothing gold and nothing predicted it is 0.
    """

    name: ClassVar[str] = "f1_micro"
    summary: ClassVar[str] = "F1 of counts pooled over labels"
    kinds: ClassVar[frozenset[Kind]] = _ANY_LABELS

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import micro

        return micro(sums, _kept(task))


class F1Binary(PooledF1):
    """F1 of the task's positive label.

    An example without a valid answer is wrong: a miss where its gold is positive, a false alarm
    where not. With nothing positive, gold or predicted, it is 0.
    """

    name: ClassVar[str] = "f1_binary"
    summary: ClassVar[str] = "F1 of the positive label"
    kinds: ClassVar[frozenset[Kind]] = _ONE_LABEL
    needs_positive_label: ClassVar[bool] = True

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import binary_counts

        positive = task.labels.index(task.positive_label or "")
        return binary_counts(predictions.gold, predicted, positive)


class MatthewsCorrelation(_LabelCounts):
    """The correlation of gold and predicted labels, from -1 to 1; 0 is chance.

    R_K for more than two labels. 0 where gold or predictions are all one label, as in scikit-learn.
    "No valid answer" is a label that is never gold.
    """

    name: ClassVar[str] = "matthews_correlation"
    summary: ClassVar[str] = "correlation of gold and predicted labels, from -1; 0 is chance"
    kinds: ClassVar[frozenset[Kind]] = _ONE_LABEL
    citation: ClassVar[str] = (
        "Gorodkin (2004), Comparing two K-category assignments by a K-category correlation "
        "coefficient, Computational Biology and Chemistry 28"
    )
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import matthews

        del task
        return matthews(sums)


class LabelAccuracy(Share):
    """The share of right yes/no decisions, one a label and example.

    Without a valid answer all of an example's decisions are wrong.
    """

    name: ClassVar[str] = "label_accuracy"
    summary: ClassVar[str] = "share of right decisions, one a label and example"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.MULTILABEL})

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        from groupbench_metrics.counts import right_decisions

        del task
        return right_decisions(predictions.gold, predicted)


def _kept(task: MetricTask) -> IntArray:
    from groupbench_metrics.counts import kept_labels

    excluded = {task.labels.index(label) for label in task.excluded_labels if label in task.labels}
    return kept_labels(len(task.labels), frozenset(excluded))
