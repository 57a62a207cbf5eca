"""Checks of tasks against each other: train rows of one in the test set of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.authoring.findings import Finding, Level, first
from groupbench.execute import comparable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from groupbench.task import Example, Task


def across_tasks(
    tasks: Sequence[tuple[Task, Mapping[str, Sequence[Example]]]],
) -> Iterator[Finding]:
    """Yield train rows whose text is held out in another task, as the engine compares them."""
    held = {
        (task.name, split): {comparable(row.text) for row in parts[split]}
        for task, parts in tasks
        for split in ("validation", "test")
    }
    for task, parts in tasks:
        train = [(comparable(row.text), row) for row in parts["train"]]
        for other, _ in tasks:
            if other.name == task.name:
                continue
            copies = [row for text, row in train if text in held[other.name, "test"]]
            if copies:
                yield Finding(
                    Level.NOTE,
                    "train-in-other-test",
                    task.name,
                    f"Train rows whose text is in the test set of {other.name}. They are kept out"
                    f" of every model that trains on both; the leaderboard says so.",
                    "train",
                    len(copies),
                    first(copies),
                    other.name,
                )
            copies = [row for text, row in train if text in held[other.name, "validation"]]
            if copies:
                yield Finding(
                    Level.NOTE,
                    "train-in-other-validation",
                    task.name,
                    f"Train rows whose text is in the validation set of {other.name}. They are"
                    " trained on: evidence for joining the two may be a little too good.",
                    "train",
                    len(copies),
                    first(copies),
                    other.name,
                )
