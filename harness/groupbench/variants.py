"""Ways to change a task's data before a fit: folds for cross-fitting, blank inputs for nulls.

A variant is a pure function of a task. It is how strategies ask for fits on other data without
ever holding the test split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from groupbench.errors import DataError
from groupbench.splits import divide
from groupbench.task import Example, Kind, Split, Task

if TYPE_CHECKING:
    from groupbench.task import Input


class Variant(Protocol):
    """Changes a task's data; frozen, picklable, with a stable ``repr``."""

    def __call__(self, task: Task) -> Task:
        """Return ``task`` over the changed data, under the same name."""
        ...


@dataclass(frozen=True, slots=True)
class Blank:
    """Every input replaced by one space, so that only the label prior can be learned.

    Words of token tasks are blanked one by one: the sentence's length stays.
    """

    def __call__(self, task: Task) -> Task:
        data = {
            split: tuple(
                Example(e.id, _blank(task.kind, e.input), e.gold, e.cluster)
                for e in task.data[split]
            )
            for split in Split
        }
        return task.with_data(data)


@dataclass(frozen=True, slots=True)
class Fold:
    """Fold ``index`` of ``n_folds`` of train and dev-B together becomes dev-B; the rest is train.

    Over all folds every example of train and dev-B is predicted once by a model that has not seen
    it (cross-fitting, for tasks with few dev examples). There is no test split.

    Raises:
        DataError: when called, there are too few rows for so many folds.
    """

    index: int
    n_folds: int
    seed: int = 0

    def __call__(self, task: Task) -> Task:
        rows = (*task.data[Split.TRAIN], *task.data[Split.DEV_B])
        parts = divide(rows, task.kind, [1 / self.n_folds] * self.n_folds, seed=self.seed)
        if min(map(len, parts)) == 0:
            raise DataError(
                f"{task.where}: {len(rows)} rows of train and dev-B cannot be cut into"
                f" {self.n_folds} folds (documents and patients stay whole); use fewer folds."
            )
        train = tuple(e for i, part in enumerate(parts) if i != self.index for e in part)
        data = {
            Split.TRAIN: train,
            Split.DEV_A: task.data[Split.DEV_A],
            Split.DEV_B: parts[self.index],
            Split.TEST: (),
        }
        return task.with_data(data)


def _blank(kind: Kind, value: Input) -> Input:
    if kind is Kind.TOKEN:
        return tuple(" " for _ in value)
    return (" ", " ") if kind is Kind.PAIR else " "
