"""Checking tasks: every card, every row, splits against each other, tasks against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.authoring.across import across_tasks
from groupbench.authoring.findings import Counts, Finding, Level, counts_of, parts_of
from groupbench.authoring.inside import inside_task
from groupbench.authoring.unreadable import unreadable
from groupbench.cards.card import load_card
from groupbench.cards.paths import find_cards
from groupbench.errors import CardError, DataError, GroupbenchError, UnknownNameError
from groupbench.metrics import MetricOptions, demand_fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from groupbench.authoring.lengths import Length
    from groupbench.metrics import Metric
    from groupbench.task import Example, Task


@dataclass(frozen=True)
class Report:
    """What was found, the worst first."""

    findings: tuple[Finding, ...]
    counts: tuple[Counts, ...]
    """Of the tasks that could be read."""

    @property
    def failing(self) -> tuple[str, ...]:
        """Tasks, or cards, that have errors."""
        return tuple(sorted({f.task for f in self.findings if f.level is Level.ERROR}))


def load_cards(
    folder: Path, loaders: Mapping[str, type], taken: dict[str, Task]
) -> tuple[list[Task], list[Finding]]:
    """Return the tasks of every card in ``folder`` and below, and what is wrong with the others.

    Args:
        folder: where cards lie.
        loaders: what plugins registered, by name.
        taken: tasks by name, of folders that were read before; those of this one are added.

    Raises:
        CardError: there is no such folder, or no card in it.
    """
    paths = find_cards(folder)
    if not paths:
        raise CardError(
            f"{folder}: holds no card.toml, at no depth; `groupbench tasks new` writes one."
        )
    tasks, findings = [], []
    for path in paths:
        try:
            task = load_card(path).task(loaders)
        except CardError as problem:
            text = str(problem).removeprefix(f"{path}: ")
            findings.append(Finding(Level.ERROR, "card", str(path), text))
            continue
        other = taken.setdefault(task.name, task)
        if other is task:
            tasks.append(task)
        elif other.source != task.source:
            text = f"name = {task.name!r} is taken by {other.source}; rename one."
            findings.append(Finding(Level.ERROR, "name-taken", str(path), text))
    return tasks, findings


def check_tasks(
    tasks: Sequence[Task],
    metric_of: Callable[[str], Metric],
    length: Length,
    found: Iterable[Finding] = (),
) -> Report:
    """Check tasks one by one, and all that can be read against each other.

    Args:
        tasks: to check; their data are read.
        metric_of: finds a metric by name.
        length: how long inputs are, and may be.
        found: what was found before, to be told as well.
    """
    findings = list(found)
    counts: list[Counts] = []
    readable: list[tuple[Task, dict[str, tuple[Example, ...]]]] = []
    for task in tasks:
        findings += _metrics(task, metric_of)
        try:
            parts = parts_of(task)
        except (CardError, DataError) as problem:
            findings += unreadable(task, problem)
            continue
        readable.append((task, parts))
        counts.append(counts_of(task, parts))
        findings += inside_task(task, parts, length)
    findings += across_tasks(readable)
    levels = list(Level)
    names = {task.name: at for at, task in enumerate(tasks)}
    findings.sort(key=lambda f: (levels.index(f.level), names.get(f.task, -1)))
    return Report(tuple(findings), tuple(counts))


def _metrics(task: Task, metric_of: Callable[[str], Metric]) -> Iterable[Finding]:
    for name in task.metrics:
        try:
            demand_fit(metric_of(name), MetricOptions.of(task), task.where)
        except UnknownNameError as problem:
            yield Finding(Level.ERROR, "metric-unknown", task.name, f"metrics: {problem}")
        except CardError as problem:
            yield Finding(Level.ERROR, "metric-unfit", task.name, str(problem))
        except GroupbenchError as problem:
            yield Finding(Level.WARNING, "metric-unavailable", task.name, str(problem))
