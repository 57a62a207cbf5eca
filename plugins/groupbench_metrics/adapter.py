"""Any metric as an `evaluate` module; nothing is downloaded, nothing is written to disk.

>>> accuracy = as_evaluate(Accuracy())  # doctest: +SKIP
>>> accuracy.compute(references=[0, 1], predictions=[0, 0])  # doctest: +SKIP
{'accuracy': 0.5}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.errors import PluginError
from groupbench.metrics import MetricOptions
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import evaluate

    from groupbench.metrics import Metric, MetricTask
    from groupbench.predictions import Predictions

_INPUTS = {
    Kind.SINGLE: "a label's index",
    Kind.PAIR: "a label's index",
    Kind.MULTILABEL: "one 0 or 1 for each label",
    Kind.TOKEN: "one tag for each word, such as B-drug",
}


def as_evaluate(
    metric: Metric, task: MetricTask | None = None, *, kind: Kind | None = None
) -> evaluate.Metric:
    """Return ``metric`` as an `evaluate` module.

    Its ``compute(references=, predictions=)`` takes, of each example, a label's index (kinds
    ``single`` and ``pair``), a row of 0 and 1 (``multilabel``) or a list of tags (``token``). "No
    valid answer" is -1, a row of -1, or an empty tag. Without a task the labels are those that
    occur, and ``compute`` takes ``positive_label`` (1 if not said) and ``excluded_labels``, as
    indices or tags.

    Args:
        metric: any metric, of this package or another.
        task: gives labels and options, as for groupbench's own scores.
        kind: which inputs to take where there is no task; else the first kind of the metric.

    Raises:
        PluginError: `evaluate` is not installed.
        ValueError: the metric does not judge this kind.
    """
    try:
        import datasets
        import evaluate
    except ImportError as problem:
        raise PluginError(
            f"evaluate cannot be imported ({problem}): pip install 'groupbench[evaluate]'."
        ) from None

    first = next((each for each in Kind if each in metric.kinds), Kind.SINGLE)
    chosen = task.kind if task is not None else kind or first
    if chosen not in metric.kinds:
        raise ValueError(f"metric {metric.name} does not judge tasks of kind {chosen}.")
    value = datasets.Value("string" if chosen is Kind.TOKEN else "int64")
    one = value if chosen in {Kind.SINGLE, Kind.PAIR} else datasets.Sequence(value)

    class Adapter(evaluate.Metric):  # type: ignore[misc] # evaluate has no types
        def _info(self) -> evaluate.MetricInfo:
            return evaluate.MetricInfo(
                description=metric.summary,
                citation=metric.citation,
                inputs_description=f"references and predictions: {_INPUTS[chosen]}",
                features=datasets.Features({"predictions": one, "references": one}),
            )

        def _compute(
            self,
            predictions: Sequence[Any],
            references: Sequence[Any],
            **options: Any,  # noqa: ANN401 - whatever `compute` is given
        ) -> dict[str, float]:
            judged = task or _options(chosen, references, predictions, options)
            return {
                metric.name: metric.score(_predictions(judged, references, predictions), judged)
            }

    # `evaluate` names a module, and a clash of names in `combine`, after its class
    Adapter.__name__ = "".join(part.capitalize() for part in metric.name.split("_"))
    return Adapter(keep_in_memory=True)


def _options(
    kind: Kind, references: Sequence[Any], predictions: Sequence[Any], options: dict[str, Any]
) -> MetricOptions:
    """Return options for the labels that occur; labels that are indices are named by them."""
    if kind is Kind.TOKEN:
        occurring = {tag for side in (references, predictions) for tags in side for tag in tags}
        labels = tuple(sorted(occurring - {"", None})) or ("O",)
    elif kind is Kind.MULTILABEL:
        labels = tuple(map(str, range(max((len(row) for row in references), default=1))))
    else:
        labels = tuple(map(str, range(1 + max(0, 1, *references, *predictions))))
    return MetricOptions(
        kind,
        labels,
        positive_label=str(options.get("positive_label", 1)),
        excluded_labels=tuple(map(str, options.get("excluded_labels", ()))),
    )


def _predictions(
    task: MetricTask, references: Sequence[Any], predictions: Sequence[Any]
) -> Predictions:
    import numpy as np

    from groupbench.predictions import NO_ANSWER, Outcome, Predictions

    n = len(references)
    offsets = np.arange(n + 1)
    if task.kind is Kind.TOKEN:
        index = {tag: i for i, tag in enumerate(task.labels)} | {"": NO_ANSWER, None: NO_ANSWER}
        lengths = [len(tags) for tags in references]
        if lengths != [len(tags) for tags in predictions]:
            raise ValueError("references and predictions differ in their number of words.")
        if unknown := {tag for tags in (*references, *predictions) for tag in tags} - set(index):
            raise ValueError(f"tag {min(unknown)!r} is none of {', '.join(task.labels)}.")
        references, predictions = (
            [index[tag] for tags in side for tag in tags] for side in (references, predictions)
        )
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    shape = (n, len(task.labels)) if task.kind is Kind.MULTILABEL else (-1,)
    gold, predicted = (
        np.asarray(side, dtype=np.int64).reshape(shape) for side in (references, predictions)
    )
    if gold.size and gold.min() < 0:
        raise ValueError("references hold a negative label.")
    return Predictions(
        task="evaluate",
        kind=task.kind,
        labels=task.labels,
        ids=("",) * n,
        gold=gold,
        predicted=predicted,
        log_probs=None,
        outcomes=(Outcome.OK,) * n,
        input_cut=(False,) * n,
        clusters=(None,) * n,
        offsets=offsets,
    )
