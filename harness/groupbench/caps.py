"""Smaller versions of a task, for quick runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from groupbench.errors import SettingError
from groupbench.splits import cap
from groupbench.task import Split

if TYPE_CHECKING:
    from groupbench.task import Kind, Loader, Task, TaskData


def capped(
    task: Task,
    train: int | None = None,
    validation: int | None = None,
    test: int | None = None,
    seed: int = 0,
) -> Task:
    """Return ``task`` with at most about so many examples, stratified, clusters whole.

    Nothing is loaded yet. ``None`` leaves a split as it is; ``validation`` is shared by dev-A and
    dev-B, one half each.

    Raises:
        SettingError: a cap is too small: at least 1, of validation at least 2.
    """
    for name, n, least in (("train", train, 1), ("validation", validation, 2), ("test", test, 1)):
        if n is not None and n < least:
            raise SettingError(f"The cap of {name} is {n}; it must be at least {least}.")
    if train is None and validation is None and test is None:
        return task
    return replace(task, loader=CappedLoader(task.loader, task.kind, train, validation, test, seed))


@dataclass(frozen=True)
class CappedLoader:
    """Loads part of what another loader gives."""

    loader: Loader
    kind: Kind
    train: int | None
    validation: int | None
    test: int | None
    seed: int

    def __call__(self) -> TaskData:
        half = None if self.validation is None else self.validation // 2
        other = None if self.validation is None or half is None else self.validation - half
        caps = {
            Split.TRAIN: self.train,
            Split.DEV_A: other,
            Split.DEV_B: half,
            Split.TEST: self.test,
        }
        return {
            split: rows if (n := caps[split]) is None else cap(rows, self.kind, n, seed=self.seed)
            for split, rows in self.loader().items()
        }
