"""From predictions to scores, also on other draws of the test examples."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.canonical import digest
from groupbench.leaderboard.facts import examples_key
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

    from groupbench.leaderboard.facts import TaskFacts
    from groupbench.metrics import Metric
    from groupbench.predictions import FloatArray, IntArray, Predictions

    Name = TypeVar("Name", bound=Hashable)

N_DRAWS_BY_SCORING = 100
"""Draws where a metric must score each one anew; they are repeated to fill `N_DRAWS`."""

_CHUNK = 1 << 22
"""Numbers held at once while scores are made of sums."""

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
    def from_json(cls, document: Mapping[str, Any], *, name: str, n_draws: int = N_DRAWS) -> Judged:
        """Return what `to_json` wrote, with draws of a normal in place of those of the examples.

        Which examples were right is not known, so entries cannot be paired on this task: the draws
        of each ``name`` are independent of all others', which makes tests weaker, never stronger.
        """
        steps = [NormalDist().inv_cdf((draw + 0.5) / n_draws) for draw in range(n_draws)]
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
    same: dict[tuple[Hashable, ...], list[Name]] = {}
    for name, each in predictions.items():
        all_ok = each.outcomes.count(Outcome.OK) == len(each)
        said = each.predicted.tobytes(), None if all_ok else each.outcomes, each.input_cut
        same.setdefault((each.ids, each.gold.tobytes(), *said), []).append(name)
    found: dict[Name, Judged | str] = {}
    usable: list[_Placed] = []
    orders: dict[Hashable, IntArray | str] = {}
    for (ids, gold, *_), names in same.items():
        each = predictions[names[0]]
        if (ids, gold) not in orders:
            orders[ids, gold] = _order(task, each)
        order = orders[ids, gold]
        if Outcome.INFRA in each.outcomes:
            order = (
                f"the server failed on {each.outcomes.count(Outcome.INFRA)} of {len(each)} "
                f"examples of {task.name}, which is never a score"
            )
        if isinstance(order, str):
            found.update(dict.fromkeys(names, order))
        else:
            usable.append(_Placed(names, each, order))
    seed = int(digest(task.name)[:8], 16)
    if isinstance(metric, AdditiveMetric):
        judged = _by_sums(task, metric, usable, n_draws, seed)
    else:
        judged = [_by_scoring(task, metric, placed, n_draws, seed) for placed in usable]
    for placed, verdict in zip(usable, judged, strict=True):
        found.update(dict.fromkeys(placed.names, verdict))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """Predictions that some cells share, and the order of their rows by id."""

    names: Sequence[Any]
    predictions: Predictions
    order: IntArray

    def units(self) -> tuple[IntArray, int]:
        clusters = self.predictions.clusters
        return units_of([clusters[row] for row in self.order])


def _order(task: TaskFacts, predictions: Predictions) -> IntArray | str:
    """Return the rows in the order of their ids; a reason if they are other examples."""
    ids = predictions.ids
    order = np.asarray(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.intp)
    key = examples_key([ids[row] for row in order], take(predictions, order).gold)
    if key != task.test_key:
        return (
            f"it was judged on {len(ids)} other test examples of {task.name} than the "
            f"{task.n_test} of this suite: run it again"
        )
    return order if len(ids) else f"{task.name} has no test examples"


def _by_sums(
    task: TaskFacts,
    metric: AdditiveMetric,
    usable: Sequence[_Placed],
    n_draws: int,
    seed: int,
) -> list[Judged]:
    if not usable:
        return []
    units, n_units = usable[0].units()
    statistics = [metric.statistics(p.predictions, task)[p.order] for p in usable]
    columns, places = unique_columns(statistics)
    sums = resampled_sums(sums_by_unit(columns, units, n_units), n_draws, seed)
    where = np.array(places, dtype=np.intp)
    step = max(1, _CHUNK // max(1, n_draws * where.shape[1]))
    replicates = [
        metric.finish(sums[:, where[start : start + step]], task).T
        for start in range(0, len(usable), step)
    ]
    scores = metric.finish(np.array([own.sum(axis=0) for own in statistics]), task).tolist()
    judged = []
    for placed, own, score, drawn in zip(
        usable, statistics, scores, np.concatenate(replicates), strict=True
    ):
        ok = _answered(placed.predictions)[placed.order]
        answered = None
        if ok.any():
            answered = score if ok.all() else float(metric.finish(own[ok].sum(axis=0), task))
        judged.append(_judged(placed.predictions, score, drawn, n_units, answered))
    return judged


def _by_scoring(
    task: TaskFacts, metric: Metric, placed: _Placed, n_draws: int, seed: int
) -> Judged:
    predictions = placed.predictions
    units, n_units = placed.units()
    members = [placed.order[units == unit] for unit in range(n_units)]
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(min(N_DRAWS_BY_SCORING, n_draws)):
        rows = np.concatenate([members[unit] for unit in rng.integers(0, n_units, size=n_units)])
        scores.append(metric.score(take(predictions, rows), task))
    score = metric.score(predictions, task)
    ok = _answered(predictions)
    answered = None
    if ok.any():
        kept = take(predictions, np.flatnonzero(ok))
        answered = score if ok.all() else metric.score(kept, task)
    return _judged(predictions, score, np.resize(scores, n_draws), n_units, answered)


def _answered(predictions: Predictions) -> np.typing.NDArray[np.bool_]:
    if predictions.outcomes.count(Outcome.OK) == len(predictions):
        return np.ones(len(predictions), dtype=bool)
    return np.fromiter((o is Outcome.OK for o in predictions.outcomes), bool, len(predictions))


def _judged(
    predictions: Predictions,
    score: float,
    replicates: FloatArray,
    n_units: int,
    answered: float | None,
) -> Judged:
    outcomes, n = predictions.outcomes, len(predictions)
    return Judged(
        score=score,
        replicates=np.nan_to_num(np.asarray(replicates, dtype=np.float64), nan=score),
        n_units=n_units,
        outcome_rates={str(outcome): outcomes.count(outcome) / n for outcome in SCORED_OUTCOMES},
        score_answered=answered,
        input_cut=sum(predictions.input_cut) / n,
    )
