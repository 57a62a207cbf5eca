"""Suites: named lists of tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from groupbench.errors import CardError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from groupbench.task import Task


@dataclass(frozen=True)
class Suite:
    """A named list of tasks."""

    name: str
    tasks: tuple[Task, ...]
    note: str = ""
    """A line that every leaderboard of this suite shows."""

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise CardError(f"Suite {self.name}: two tasks are named {', '.join(twice)}.")

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, name: str) -> Task:
        for task in self.tasks:
            if task.name == name:
                return task
        raise UnknownNameError("task", name, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks' names, in the suite's order."""
        return tuple(task.name for task in self.tasks)

    def blinded(self) -> Suite:
        """Return this suite as strategies see it: no planted truth, no test split."""
        return replace(self, tasks=tuple(task.blinded() for task in self.tasks))


class SuiteSpec(Protocol):
    """A suite that a plugin offers: a frozen dataclass whose fields are its settings."""

    name: ClassVar[str]
    summary: ClassVar[str]

    def build(self) -> Suite:
        """Return the suite. Data are loaded later, when a task is asked for them."""
        ...
