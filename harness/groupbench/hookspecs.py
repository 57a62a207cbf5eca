"""Every hook: the contract with plugins.

Register hooks take nothing, return an iterable and do no work. A plugin is a module that an entry
point of the group ``groupbench`` names. Implementations are marked with ``hookimpl``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from groupbench.cell import Cell
    from groupbench.execute import Executor
    from groupbench.grouping import GroupingStrategy
    from groupbench.metrics import Metric
    from groupbench.run import RunFinished, RunStarted
    from groupbench.runner import Runner
    from groupbench.suite import SuiteSpec
    from groupbench.task import Task

hookspec = pluggy.HookspecMarker("groupbench")
hookimpl = pluggy.HookimplMarker("groupbench")


@hookspec
def groupbench_register_tasks() -> Iterable[Task | Path]:
    """Return tasks, or folders that hold task cards (any depth).

    Data are loaded later, when a task is asked for them.
    """


@hookspec
def groupbench_register_suites() -> Iterable[type[SuiteSpec]]:
    """Return suites as classes: frozen dataclasses whose fields are their settings."""


@hookspec
def groupbench_register_loaders() -> Iterable[type]:
    """Return loaders of data formats that cards can name, as classes.

    A card with ``[source] loader = "NAME"`` makes an instance from the table's other keys;
    calling it returns rows by split name.
    """


@hookspec
def groupbench_register_groupings() -> Iterable[type[GroupingStrategy]]:
    """Return grouping strategies as classes: frozen dataclasses whose fields are their settings."""


@hookspec
def groupbench_register_runners() -> Iterable[type[Runner]]:
    """Return model runners as classes: frozen dataclasses whose fields are their settings."""


@hookspec
def groupbench_register_metrics() -> Iterable[Metric]:
    """Return metrics that task cards can name."""


@hookspec
def groupbench_register_executors() -> Iterable[type[Executor]]:
    """Return executors as classes: frozen dataclasses whose fields are their settings."""


@hookspec
def groupbench_run_started(run: RunStarted) -> None:
    """Observe that a run begins. An observer that raises is reported and ignored.

    Args:
        run: the suite, groupings, runners and seeds asked for. It is frozen.
    """


@hookspec
def groupbench_cell_finished(cell: Cell) -> None:
    """Observe one finished cell, failed and skipped ones included.

    Called in the order the cells finish. An observer that raises is reported and ignored.

    Args:
        cell: the finished cell. It is frozen.
    """


@hookspec
def groupbench_run_finished(run: RunFinished) -> None:
    """Observe that a run ended, with its leaderboard. Not called when it is interrupted.

    Args:
        run: the leaderboard and the exit code. It is frozen.
    """
