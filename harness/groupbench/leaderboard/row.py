"""Rows of a leaderboard: an entry with what it scored, its costs and how its cells ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from groupbench.calls import total
from groupbench.cell import Spent, Status
from groupbench.leaderboard.scoring import Judged
from groupbench.stats.sample import CellId, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.calls import Calls
    from groupbench.cell import Cell, Entry
    from groupbench.leaderboard.facts import SuiteFacts, TaskFacts
    from groupbench.leaderboard.gains import Gain
    from groupbench.metrics import Metric

Verdicts: TypeAlias = Mapping[CellId, Mapping[str, Judged | str]]
"""What each cell of an entry scored by task, or why it could not be scored."""


@dataclass(frozen=True, slots=True)
class TaskScore:
    """What an entry scored on one task, over its seeds and draws."""

    metric: str
    mean: float
    std: float | None
    """Over seeds, ddof 1; ``None`` with one seed."""
    per_seed: tuple[float | None, ...]
    """As the row's ``seeds``; the mean over draws; ``None`` where the seed has no score."""
    n_test: int
    ci: tuple[float, float]
    """95 %, over test examples and seeds (`groupbench.stats.uncertainty`)."""
    outcome_rates: Mapping[str, float]
    score_answered: float | None
    input_cut: float
    """Share of inputs that were shortened to fit."""


@dataclass(frozen=True, slots=True)
class CellScore:
    """One cell and what it scored by task; a cell may fail here that had ended well."""

    cell: Cell
    status: Status
    reason: str | None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One entry with all that is derived from it."""

    entry: Entry
    status: Status
    reason: str | None
    seeds: tuple[int, ...]
    draws: int
    cells: tuple[CellScore, ...]
    scores: Mapping[str, TaskScore] = field(default_factory=dict)
    average: float | None = None
    average_std: float | None = None
    """Over seeds."""
    average_ci: tuple[float, float] | None = None
    gain: Gain | None = None
    """Against the baseline grouping with the same runner."""
    rank: int | None = None
    tier: int | None = None

    @property
    def finished(self) -> tuple[Cell, ...]:
        """Cells that have scores."""
        return tuple(each.cell for each in self.cells if each.status is Status.OK)

    @property
    def _only_asked(self) -> bool:
        """Whether one model was asked about all tasks, and none was trained."""
        calls = [cell.calls for cell in self.finished]
        return self.entry.grouping is None and any(each is not None for each in calls)

    @property
    def n_models(self) -> float | None:
        """Models that serve the suite; the mean over draws. One that is only asked is one."""
        if self._only_asked:
            return 1.0
        counts = [len(grouping) for grouping in self.entry.groupings]
        counts = counts or [len(set(cell.fits.values())) for cell in self.finished]
        return sum(counts) / len(counts) if counts else None

    @property
    def n_parameters(self) -> float | None:
        """Over all models of a cell; the mean over cells."""
        # Each fit counted what it asked, and all asked the same.
        counts = [
            cell.n_parameters / (len(set(cell.fits.values())) if self._only_asked else 1)
            for cell in self.finished
        ]
        return sum(counts) / len(counts) if counts else None

    @property
    def training(self) -> Spent:
        """Of the fits that serve, over all seeds; of random draws, the mean draw."""
        total = sum((cell.training for cell in self.finished), Spent())
        share = 1 / max(self.draws, 1)
        return Spent(
            round(total.fits * share),
            total.seconds * share,
            round(total.example_steps * share),
            total.usd * share,
        )

    @property
    def predict_seconds(self) -> float | None:
        """To predict every test example once; the mean over cells."""
        seconds = [cell.predict_seconds for cell in self.finished]
        return sum(seconds) / len(seconds) if seconds else None

    @property
    def calls(self) -> Calls | None:
        """What asking a model took, over all finished cells; ``None``: none was asked."""
        return total([cell.calls for cell in self.finished])

    @property
    def outcome_rates(self) -> dict[str, float]:
        """Shares of all test examples, over all tasks and finished cells; empty without any."""
        return (
            {
                name: self._share([score.outcome_rates[name] for score in self.scores.values()])
                for name in next(iter(self.scores.values())).outcome_rates
            }
            if self.scores
            else {}
        )

    @property
    def input_cut(self) -> float | None:
        """Share of all test inputs that were shortened to fit."""
        cut = [score.input_cut for score in self.scores.values()]
        return self._share(cut) if cut else None

    @property
    def average_answered(self) -> float | None:
        """As ``average``, of answered examples alone; ``None`` where a task has none."""
        scores = [score.score_answered for score in self.scores.values()]
        known = [score for score in scores if score is not None]
        return sum(known) / len(known) if known and len(known) == len(scores) else None

    def _share(self, shares: Sequence[float]) -> float:
        sizes = [score.n_test for score in self.scores.values()]
        return sum(n * share for n, share in zip(sizes, shares, strict=True)) / sum(sizes)

    @property
    def cost_usd(self) -> float:
        """What deciding and all cells cost."""
        return self.entry.deciding.usd + sum(cell.training.usd for cell in self.finished)


def cell_score(suite: SuiteFacts, cell: Cell, judged: Verdicts) -> CellScore:
    """Return what one cell scored; it fails where one of its tasks cannot be scored."""
    if cell.status is not Status.OK:
        return CellScore(cell, cell.status, cell.reason)
    verdicts = judged[cell.seed, cell.draw]
    scores = {}
    reasons = []
    for name in suite.names:
        verdict = verdicts[name]
        if isinstance(verdict, str):
            reasons.append(verdict)
        else:
            scores[name] = verdict.score
    if reasons:
        return CellScore(cell, Status.FAILED, "; ".join(reasons))
    return CellScore(cell, Status.OK, None, scores)


def samples_of(
    suite: SuiteFacts,
    cells: Sequence[CellScore],
    judged: Verdicts,
    metrics: Mapping[str, Metric],
) -> dict[str, Sample]:
    """Return the scores of an entry's finished cells by task; empty where there are none."""
    done = tuple(sorted((c.cell.seed, c.cell.draw) for c in cells if c.status is Status.OK))
    samples = {}
    for task in suite.tasks if done else ():
        verdicts = _verdicts(judged, done, task.name)
        scores = np.array([v.score for v in verdicts])
        low, high = getattr(metrics[task.name], "bounds", (0.0, 1.0))
        samples[task.name] = Sample(
            cells=done,
            scores=scores,
            replicates=np.stack([v.replicates for v in verdicts]),
            task_means=np.array([scores.mean()]),
            task_units=np.array([verdicts[0].n_units]),
            low=low,
            high=high,
        )
    return samples


def row_of(
    suite: SuiteFacts,
    entry: Entry,
    cells: tuple[CellScore, ...],
    samples: Mapping[str, Sample],
    judged: Verdicts,
) -> Row:
    """Return an entry with its scores; rank, tier and gain need the other entries."""
    status, reason = entry.status, entry.reason
    lost = [cell for cell in cells if cell.status is not cell.cell.status]
    if lost:
        # Cells that ended well cannot be scored after all.
        status = Status.PARTIAL if samples else Status.FAILED
        reason = reason or lost[0].reason
    seeds = tuple(sorted({cell.cell.seed for cell in cells}))
    row = Row(entry, status, reason, seeds, len({cell.cell.draw for cell in cells}), cells)
    if not samples:
        return row
    average = Sample.averaged(list(samples.values()))
    return replace(
        row,
        scores={
            task.name: _task_score(task, samples[task.name], seeds, judged) for task in suite.tasks
        },
        average=average.mean,
        average_std=_std(average.by_seed[0]),
        average_ci=average.interval(),
    )


def _task_score(
    task: TaskFacts, sample: Sample, seeds: Sequence[int], judged: Verdicts
) -> TaskScore:
    verdicts = _verdicts(judged, sample.cells, task.name)
    by_seed = dict(zip(sample.seeds, sample.by_seed[0].tolist(), strict=True))
    answered = [v.score_answered for v in verdicts if v.score_answered is not None]
    return TaskScore(
        metric=task.metric,
        mean=sample.mean,
        std=_std(sample.by_seed[0]),
        per_seed=tuple(by_seed.get(seed) for seed in seeds),
        n_test=task.n_test,
        ci=sample.interval(),
        outcome_rates={
            name: float(np.mean([v.outcome_rates[name] for v in verdicts]))
            for name in verdicts[0].outcome_rates
        },
        score_answered=float(np.mean(answered)) if answered else None,
        input_cut=float(np.mean([v.input_cut for v in verdicts])),
    )


def _verdicts(judged: Verdicts, cells: Sequence[CellId], task: str) -> list[Judged]:
    return [v for cell in cells if isinstance(v := judged[cell][task], Judged)]


def _std(scores: np.typing.NDArray[Any]) -> float | None:
    return float(scores.std(ddof=1)) if len(scores) > 1 else None
