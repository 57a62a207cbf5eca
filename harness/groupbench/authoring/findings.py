"""What checks of tasks find: how bad it is, where, and in which rows, never what they hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from groupbench.task import Example, Task

N_ROWS = 5
"""Rows that a finding names."""
PARTS = ("train", "validation", "test")
"""Splits as files have them; dev-A and dev-B are halves of validation."""


class Level(StrEnum):
    """How bad a finding is, the worst first."""

    ERROR = "error"
    """The task cannot be used."""
    WARNING = "warning"
    """Numbers may mislead."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one task."""

    level: Level
    code: str
    """Stable: scripts may go by it."""
    task: str
    text: str
    split: str | None = None
    """One of `PARTS`."""
    count: int | None = None
    """Of rows; of labels where the code is about labels."""
    rows: tuple[str, ...] = ()
    """The first `N_ROWS`: ids, or lines where rows could not be read."""
    other: str | None = None
    """The other task, where it takes two."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A task in numbers."""

    task: str
    kind: str
    data_class: str
    source: str
    sizes: Mapping[str, int]
    """Examples by split."""
    labels: Mapping[str, Mapping[str, int]]
    """How often each label occurs, by label and split; in words of token tasks."""


def parts_of(task: Task) -> dict[str, tuple[Example, ...]]:
    """Return a task's examples by split, validation whole.

    Raises:
        DataError: the data do not fit the card.
    """
    from groupbench.task import Split

    dev = (*task.examples(Split.DEV_A), *task.examples(Split.DEV_B))
    rows = (task.examples(Split.TRAIN), dev, task.examples(Split.TEST))
    return dict(zip(PARTS, rows, strict=True))


def counts_of(task: Task, parts: Mapping[str, Sequence[Example]]) -> Counts:
    """Return a task in numbers."""
    by_split = {split: label_counts(rows) for split, rows in parts.items()}
    return Counts(
        task=task.name,
        kind=str(task.kind),
        data_class=str(task.data_class),
        source=task.source,
        sizes={split: len(rows) for split, rows in parts.items()},
        labels={
            label: {split: counts[index] for split, counts in by_split.items()}
            for index, label in enumerate(task.labels)
        },
    )


def label_counts(rows: Iterable[Example]) -> Counter[int]:
    """Return how often each label's index occurs: in examples, or in words of token tasks."""
    counts: Counter[int] = Counter()
    for row in rows:
        counts.update([row.gold] if isinstance(row.gold, int) else row.gold or ())
    return counts


def first(rows: Iterable[Example]) -> tuple[str, ...]:
    """Return the ids of the first `N_ROWS`."""
    return tuple(row.id for row, _ in zip(rows, range(N_ROWS), strict=False))
