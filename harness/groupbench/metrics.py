"""Metrics: from predictions to one number, and how to score resampled examples fast.

A metric is defined over a task's fixed labels with "no valid answer" as one more column that is
never right. Nearly all metrics in use are functions of sums over examples; those are
`AdditiveMetric`, and a bootstrap of one is a matrix product::

    finish(weights @ statistics(predictions, task), task)  # weights: [n_resamples, n_examples]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from groupbench.errors import CardError, UnknownNameError
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.predictions import FloatArray, IntArray, Predictions


class MetricTask(Protocol):
    """What a metric needs to know of a task. `groupbench.task.Task` and `MetricOptions` fit."""

    @property
    def kind(self) -> Kind: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def positive_label(self) -> str | None: ...
    @property
    def excluded_labels(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """A task as metrics see it, for results that are read back without their task."""

    kind: Kind
    labels: tuple[str, ...]
    positive_label: str | None = None
    excluded_labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: MetricTask) -> MetricOptions:
        """Return what metrics need of ``task``."""
        return cls(task.kind, task.labels, task.positive_label, task.excluded_labels)


class Metric(Protocol):
    """Turns predictions into one number, higher is better. Implemented by plugins.

    Optional, looked up with a default:

    - ``needs_positive_label: bool``: tasks judged by it must name a positive label.
    - ``bounds: tuple[float, float]``: the lowest and highest score; 0 and 1 if not said.
    """

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of task it can judge."""
        ...

    @property
    def citation(self) -> str:
        """Where it is defined; empty where that goes without saying."""
        ...

    def score(self, predictions: Predictions, task: MetricTask) -> float:
        """Return the score: a fraction, at most 1, never NaN.

        Raises:
            ValueError: there are no examples, one has the outcome ``infra``, or the task is not
                one that this metric can judge.
        """
        ...


class MetricFamily(Protocol):
    """A metric that stands for many: ``name:rest`` in a card names one of them."""

    @property
    def name(self) -> str: ...

    def resolve(self, rest: str, *, allowed: frozenset[str], offline: bool) -> Metric:
        """Return the metric called ``name:rest``.

        Args:
            rest: what the card writes after the colon.
            allowed: full names whose code the user agreed to run (``--trust-remote-code``).
            offline: whether the network may not be used.

        Raises:
            GroupbenchError: it cannot be had; the message says how it could.
        """
        ...


class AdditiveMetric(ABC):
    """A metric that is a function of sums over examples.

    A subclass says which sums (`count`) and what they come to (`finish`).
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]]
    citation: ClassVar[str] = ""
    needs_positive_label: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @abstractmethod
    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        """Return each example's share of the sums, shape ``[n_examples, d]``.

        Args:
            predictions: what is judged; read the gold labels and offsets here.
            predicted: the predicted labels to count, `groupbench.predictions.NO_ANSWER` wherever
                the outcome is not ``ok``.
            task: labels and options.
        """

    @abstractmethod
    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        """Return the scores of weighted sums: ``[..., d]`` to ``[...]``. Undefined scores are 0."""

    def statistics(self, predictions: Predictions, task: MetricTask) -> FloatArray:
        """Return each example's share of the sums, shape ``[n_examples, d]``.

        Raises:
            ValueError: as `score`, but no examples are no error.
        """
        if problem := unfit(self, task):
            raise ValueError(f"task {predictions.task}: {problem}")
        return self.count(predictions, answered(predictions), task)

    def score(self, predictions: Predictions, task: MetricTask) -> float:
        """Return the score of all examples, each counted once."""
        if not len(predictions):
            raise ValueError(f"task {predictions.task}: there are no examples to score.")
        return float(self.finish(self.statistics(predictions, task).sum(axis=0), task))


def score_all(
    metric: Metric, predictions: Sequence[Predictions], task: MetricTask
) -> tuple[float, ...]:
    """Return the score of each of several predictions for one task, for example one a seed."""
    return tuple(metric.score(each, task) for each in predictions)


def unfit(metric: Metric | AdditiveMetric, task: MetricTask) -> str | None:
    """Return why ``metric`` cannot judge ``task``; ``None`` if it can."""
    if task.kind not in metric.kinds:
        kinds = ", ".join(sorted(metric.kinds))
        return f"metric {metric.name} judges tasks of kind {kinds}, not {task.kind}."
    if getattr(metric, "needs_positive_label", False) and task.positive_label not in task.labels:
        what = "" if task.positive_label is None else f", not {task.positive_label!r}"
        known = ", ".join(task.labels)
        return f"metric {metric.name} needs positive_label to be one of {known}{what}."
    return None


def find_metric(
    name: str,
    metrics: Mapping[str, Metric],
    *,
    allowed: frozenset[str] = frozenset(),
    offline: bool = False,
) -> Metric:
    """Return the metric that a card calls ``name``; ``family:rest`` is resolved by its family.

    Raises:
        UnknownNameError: no metric or family has this name.
        GroupbenchError: a family cannot give the metric; the message says how it could.
    """
    if name in metrics:
        return metrics[name]
    family, colon, rest = name.partition(":")
    resolve = getattr(metrics.get(family), "resolve", None)
    if not colon or resolve is None:
        raise UnknownNameError("metric", name, metrics)
    resolved: Metric = resolve(rest, allowed=allowed, offline=offline)
    return resolved


def demand_fit(metric: Metric, task: MetricTask, where: str) -> None:
    """Raise `CardError` unless ``metric`` can judge ``task``; ``where`` begins the message."""
    if problem := unfit(metric, task):
        raise CardError(f"{where}: {problem}")


def answered(predictions: Predictions) -> IntArray:
    """Return the predicted labels with `NO_ANSWER` wherever the outcome is not ``ok``.

    Raises:
        ValueError: an example has the outcome ``infra``, which is never a score.
    """
    import numpy as np

    from groupbench.predictions import NO_ANSWER, Outcome

    if predictions.outcomes.count(Outcome.OK) == len(predictions):  # fast: nearly always so
        return predictions.predicted
    ok = np.fromiter((o is Outcome.OK for o in predictions.outcomes), bool, len(predictions))
    if n := sum(outcome is Outcome.INFRA for outcome in predictions.outcomes):
        raise ValueError(
            f"task {predictions.task}: {n} of {len(predictions)} examples have the outcome infra, "
            "which is never a score: predict them again."
        )
    if predictions.kind is Kind.TOKEN:
        ok = np.repeat(ok, np.diff(predictions.offsets))
    predicted = predictions.predicted.copy()
    predicted[~ok] = NO_ANSWER
    return predicted


def take(predictions: Predictions, rows: Sequence[int] | IntArray) -> Predictions:
    """Return the examples ``rows``, in that order and as often as they are named."""
    import numpy as np

    rows = np.asarray(rows, dtype=np.int64)
    lengths = np.diff(predictions.offsets)[rows]
    flat: IntArray = rows
    if predictions.kind is Kind.TOKEN:
        starts = predictions.offsets[rows] - (np.cumsum(lengths) - lengths)
        flat = np.repeat(starts, lengths) + np.arange(lengths.sum())
    log_probs, raw = predictions.log_probs, predictions.raw
    return replace(
        predictions,
        ids=tuple(predictions.ids[i] for i in rows),
        gold=predictions.gold[flat],
        predicted=predictions.predicted[flat],
        log_probs=None if log_probs is None else log_probs[flat],
        outcomes=tuple(predictions.outcomes[i] for i in rows),
        input_cut=tuple(predictions.input_cut[i] for i in rows),
        clusters=tuple(predictions.clusters[i] for i in rows),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        raw=None if raw is None else tuple(raw[i] for i in rows),
    )
