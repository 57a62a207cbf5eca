"""A small suite with entries of every status, made in memory: what reports can be tried on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from groupbench.canonical import digest
from groupbench.cell import Cell, Entry, Spent, Status
from groupbench.grouping import Grouping
from groupbench.leaderboard import Leaderboard
from groupbench.leaderboard.facts import SuiteFacts
from groupbench.metrics import AdditiveMetric
from groupbench.predictions import NO_ANSWER, Outcome, Output, Predictions, gold_array
from groupbench.suite import Suite
from groupbench.task import DataClass, Example, Kind, Materialised, Split, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.metrics import Metric, MetricTask
    from groupbench.predictions import FloatArray, IntArray


class ShareRight(AdditiveMetric):
    """The share of right answers: of labels, of label decisions, or of words."""

    name: ClassVar[str] = "share_right"
    summary: ClassVar[str] = "share of right answers"
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        """Return right answers and answers, by example."""
        right = (predicted == predictions.gold).astype(np.float64)
        if task.kind is Kind.TOKEN:
            starts = predictions.offsets[:-1]
            counts = np.diff(predictions.offsets).astype(np.float64)
            return np.stack([np.add.reduceat(right, starts), counts], axis=1)
        right = right.reshape(len(right), -1)
        return np.stack([right.sum(axis=1), np.full(len(right), float(right.shape[1]))], axis=1)

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        """Return the share; 0 of nothing."""
        del task
        right, all_ = sums[..., 0], sums[..., 1]
        return np.divide(right, all_, out=np.zeros_like(right), where=all_ > 0)


def make_task(  # noqa: PLR0913 - all that a task can differ in
    name: str,
    *,
    kind: Kind = Kind.SINGLE,
    n_test: int = 100,
    labels: Sequence[str] = ("no", "yes"),
    data_class: DataClass = DataClass.OPEN,
    cluster_size: int | None = None,
) -> Task:
    """Return a task that has test examples only; equal arguments give equal data."""
    rng = _rng("task", name)
    inputs = {Kind.PAIR: ("left", "right"), Kind.TOKEN: ("word",) * 5}
    shapes = {Kind.MULTILABEL: len(labels), Kind.TOKEN: 5}
    examples = []
    for row in range(n_test):
        drawn = rng.integers(0, 2 if kind is Kind.MULTILABEL else len(labels), shapes.get(kind))
        gold = int(drawn) if kind not in shapes else tuple(drawn.tolist())
        if kind is Kind.MULTILABEL:
            gold = tuple(np.flatnonzero(drawn).tolist())
        cluster = None if cluster_size is None else f"document {row // cluster_size}"
        examples.append(Example(f"test-{row}", inputs.get(kind, "text"), gold, cluster))
    data = {split: tuple(examples) if split is Split.TEST else () for split in Split}
    return Task(
        name=name,
        kind=kind,
        labels=tuple(labels),
        metrics=(ShareRight.name,),
        loader=Materialised(data),
        data_class=data_class,
    )


def answer(
    task: Task, share: float, *, seed: int, outcomes: Mapping[Outcome, int] | None = None
) -> Predictions:
    """Return predictions of which about ``share`` are right.

    Args:
        task: what to answer.
        share: chance of each answer (label decision, word) to be right.
        seed: of the chance.
        outcomes: how many of the first examples ended otherwise than well.
    """
    examples = task.examples(Split.TEST)
    gold, offsets = gold_array(task.kind, len(task.labels), examples)
    high = 2 if task.kind is Kind.MULTILABEL else len(task.labels)
    rng = _rng("answer", task.name, seed)
    wrong = rng.random(gold.shape) >= share
    predicted = np.where(wrong, (gold + 1) % high, gold)
    ends = [outcome for outcome, n in (outcomes or {}).items() for _ in range(n)]
    for row in range(len(ends)):
        rows = slice(*offsets[row : row + 2]) if task.kind is Kind.TOKEN else row
        predicted[rows] = NO_ANSWER
    ends += [Outcome.OK] * (len(examples) - len(ends))
    return Predictions.assemble(task, examples, Output(predicted, outcomes=tuple(ends)))


@dataclass
class Desk:
    """Makes entries of one suite and leaderboards of them."""

    tasks: tuple[Task, ...] = field(
        default_factory=lambda: (
            make_task("acceptable"),
            make_task("entails", kind=Kind.PAIR),
            make_task("topics", kind=Kind.MULTILABEL, labels=("art", "law", "sport")),
            make_task("diseases", kind=Kind.TOKEN, labels=("O", "B-D", "I-D")),
        )
    )
    note: str = "Nothing is planted here."

    @property
    def facts(self) -> SuiteFacts:
        """The suite."""
        return SuiteFacts.of(Suite("example", self.tasks, self.note))

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metric of each task."""
        return {task.name: ShareRight() for task in self.tasks}

    def cell(  # noqa: PLR0913 - all that a cell can differ in
        self,
        share: float | Mapping[str, float] | Mapping[str, Predictions],
        *,
        seed: int = 0,
        draw: int = 0,
        grouping: str | None = "single",
        runner: str = "encoder",
        left_out: Mapping[str, int] | None = None,
    ) -> Cell:
        """Return a finished cell: the same share right in every task, one by task, or answers."""
        predictions = {}
        for task in self.tasks:
            told = share if isinstance(share, int | float) else share[task.name]
            if isinstance(told, int | float):
                told = answer(task, told, seed=_number(grouping, runner, seed, draw))
            predictions[task.name] = told
        return Cell(
            grouping=grouping,
            runner=runner,
            seed=seed,
            draw=draw,
            status=Status.OK,
            predictions=predictions,
            fits={
                task.name: digest([grouping, runner, seed, draw, task.name]) for task in self.tasks
            },
            training=Spent(fits=len(self.tasks), seconds=12.5, example_steps=3000),
            predict_seconds=0.5,
            n_parameters=22_000_000,
            left_out=left_out or {},
        )

    def entry(  # noqa: PLR0913 - likewise
        self,
        grouping: str | None,
        share: float | Mapping[str, float] = 0.8,
        *,
        runner: str = "encoder",
        seeds: Sequence[int] = (0, 1, 2),
        draws: int = 1,
        blocks: Sequence[Sequence[str]] | None = None,
        oracle: bool = False,
        deciding: Spent | None = None,
        warnings: Sequence[str] = (),
    ) -> Entry:
        """Return a finished entry. ``blocks`` are its groups; each task alone if not given."""
        cells = tuple(
            self.cell(share, seed=seed, draw=draw, grouping=grouping, runner=runner)
            for seed in seeds
            for draw in range(draws)
        )
        chosen = Grouping.partition(blocks or [[task.name] for task in self.tasks])
        return Entry(
            key=digest([grouping, runner, list(seeds), draws]),
            grouping=grouping,
            runner=runner,
            status=Status.OK,
            cells=cells,
            groupings=() if grouping is None else (chosen,) * draws,
            oracle=oracle,
            deciding=deciding or Spent(),
            warnings=tuple(warnings),
        )

    def ended(
        self, grouping: str | None, status: Status, reason: str, *, runner: str = "encoder"
    ) -> Entry:
        """Return an entry without any finished cell."""
        key = digest([grouping, runner, str(status)])
        return Entry(key, grouping, runner, status, (), reason=reason)

    def board(self, entries: Sequence[Entry], *, baseline: str = "single") -> Leaderboard:
        """Return the leaderboard of ``entries``."""
        return Leaderboard.of(self.facts, entries, baseline=baseline, metrics=self.metrics)


def _number(*what: object) -> int:
    return int(digest([str(part) for part in what])[:8], 16)


def _rng(*what: object) -> np.random.Generator:
    return np.random.default_rng(_number(*what))
