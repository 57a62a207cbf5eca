"""From predictions to scores, and to the scores that other draws of the test examples would give."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.canonical import digest
from groupbench.facts import examples_key
from groupbench.metrics import AdditiveMetric, take
from groupbench.predictions import Outcome
from groupbench.stats.bootstrap import (
    N_DRAWS,
    resampled_sums,
    sums_by_unit,
    unique_columns,
    units_of,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import TypeVar

    from groupbench.facts import TaskFacts
    from groupbench.metrics import Metric
    from groupbench.predictions import FloatArray, Predictions

    Name = TypeVar("Name", bound=Hashable)

N_DRAWS_BY_SCORING = 100
"""Draws where a metric must score each one anew; they are repeated to fill `N_DRAWS`."""

SCORED_OUTCOMES = (Outcome.OK, Outcome.INVALID, Outcome.REFUSED, Outcome.TRUNCATED)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What one cell scored on one task."""

    score: float
    replicates: FloatArray
    """The score on each draw of the test examples. ``[draws]``."""
    n_units: int
    """Examples, or clusters, that were drawn whole."""
    outcome_rates: Mapping[str, float]
    score_answered: float | None
    """Of the examples whose outcome is ``ok``; ``None`` where there are none."""
    input_cut: float
    """Share of inputs that were shortened to fit."""

    def to_json(self) -> dict[str, Any]:
        """Return what may be published of a task whose predictions may not: scores."""
        return {
            "score": self.score,
            "std_error": float(self.replicates.std(ddof=1)),
            "n_units": self.n_units,
            "outcome_rates": dict(self.outcome_rates),
            "score_answered": self.score_answered,
            "input_cut": self.input_cut,
        }

    @classmethod
    def from_json(
        cls, document: Mapping[str, Any], *, name: str, n_draws: int = N_DRAWS
    ) -> Judged:
        """Return what `to_json` wrote, with draws of a normal in place of those of the examples.

        Which examples were right is not known, so entries cannot be paired on this task: the draws
        of each ``name`` are independent of all others', which makes tests weaker, never stronger.
        """
        from scipy.special import ndtri

        steps = ndtri((np.arange(n_draws) + 0.5) / n_draws)
        shuffled = np.random.default_rng(int(digest(name)[:8], 16)).permutation(steps)
        return cls(
            score=document["score"],
            replicates=document["score"] + document["std_error"] * shuffled,
            n_units=document["n_units"],
            outcome_rates=document["outcome_rates"],
            score_answered=document["score_answered"],
            input_cut=document["input_cut"],
        )


def judge(
    task: TaskFacts,
    metric: Metric,
    predictions: Mapping[Name, Predictions],
    *,
    n_draws: int = N_DRAWS,
) -> dict[Name, Judged | str]:
    """Return what each cell scored on one task; a reason where it cannot be scored.

    All cells are scored on the same draws of the test examples, whatever their order in a file.
    Equal predictions are scored once.
    """
    same: dict[Hashable, list[Name]] = {}
    for name, each in predictions.items():
        content = (each.ids, each.gold.tobytes(), each.predicted.tobytes(), each.outcomes)
        same.setdefault((*content, each.input_cut), []).append(name)
    found: dict[Name, Judged | str] = {}
    usable: list[tuple[list[Name], Predictions]] = []
    for names in same.values():
        try:
            usable.append((names, _in_order(task, predictions[names[0]])))
        except ValueError as problem:
            found.update(dict.fromkeys(names, str(problem)))
    seed = int(digest(task.name)[:8], 16)
    try:
        if isinstance(metric, AdditiveMetric):
            judged = _by_sums(task, metric, [each for _, each in usable], n_draws, seed)
        else:
            judged = [_by_scoring(task, metric, each, n_draws, seed) for _, each in usable]
    except ValueError as problem:
        judged = [str(problem)] * len(usable)
    for (names, _), verdict in zip(usable, judged, strict=True):
        found.update(dict.fromkeys(names, verdict))
    return found


def _in_order(task: TaskFacts, predictions: Predictions) -> Predictions:
    """Return predictions sorted by id.

    Raises:
        ValueError: they are not about the task's test examples, or a server failed on some.
    """
    if n := sum(outcome is Outcome.INFRA for outcome in predictions.outcomes):
        raise ValueError(
            f"the server failed on {n} of {len(predictions)} examples of {task.name}, "
            "which is never a score"
        )
    ids = predictions.ids
    if any(one > two for one, two in zip(ids, ids[1:], strict=False)):
        predictions = take(predictions, sorted(range(len(ids)), key=ids.__getitem__))
    if examples_key(predictions.ids, predictions.gold) != task.test_key:
        raise ValueError(
            f"it was judged on {len(predictions)} other test examples of {task.name} than the "
            f"{task.n_test} of this suite: run it again"
        )
    if not len(predictions):
        raise ValueError(f"{task.name} has no test examples")
    return predictions


def _by_sums(
    task: TaskFacts,
    metric: AdditiveMetric,
    predictions: Sequence[Predictions],
    n_draws: int,
    seed: int,
) -> list[Judged | str]:
    if not predictions:
        return []
    units, n_units = units_of(predictions[0].clusters)
    statistics = [metric.statistics(each, task) for each in predictions]
    columns, places = unique_columns(statistics)
    sums = resampled_sums(sums_by_unit(columns, units, n_units), n_draws, seed)
    judged: list[Judged | str] = []
    for each, own, where in zip(predictions, statistics, places, strict=True):
        ok = _answered(each)
        answered = float(metric.finish(own[ok].sum(axis=0), task)) if ok.any() else None
        judged.append(
            _judged(
                each,
                float(metric.finish(own.sum(axis=0), task)),
                metric.finish(sums[:, where], task),
                n_units,
                answered,
            )
        )
    return judged


def _by_scoring(
    task: TaskFacts, metric: Metric, predictions: Predictions, n_draws: int, seed: int
) -> Judged:
    units, n_units = units_of(predictions.clusters)
    members = [np.flatnonzero(units == unit) for unit in range(n_units)]
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(min(N_DRAWS_BY_SCORING, n_draws)):
        drawn = rng.integers(0, n_units, size=n_units)
        rows = np.concatenate([members[unit] for unit in drawn])
        scores.append(metric.score(take(predictions, rows), task))
    ok = _answered(predictions)
    answered = metric.score(take(predictions, np.flatnonzero(ok)), task) if ok.any() else None
    score = metric.score(predictions, task)
    return _judged(predictions, score, np.resize(scores, n_draws), n_units, answered)


def _answered(predictions: Predictions) -> np.typing.NDArray[np.bool_]:
    return np.fromiter((o is Outcome.OK for o in predictions.outcomes), bool, len(predictions))


def _judged(
    predictions: Predictions,
    score: float,
    replicates: FloatArray,
    n_units: int,
    answered: float | None,
) -> Judged:
    counts = Counter(predictions.outcomes)
    n = len(predictions)
    return Judged(
        score=score,
        replicates=np.nan_to_num(np.asarray(replicates, dtype=np.float64), nan=score),
        n_units=n_units,
        outcome_rates={str(outcome): counts[outcome] / n for outcome in SCORED_OUTCOMES},
        score_answered=answered,
        input_cut=sum(predictions.input_cut) / n,
    )
