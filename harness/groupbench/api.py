"""Running an experiment from Python, and from the command line: the same few lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.leaderboard.board import Leaderboard, SuiteFacts
from groupbench.leaderboard.boards import write_board
from groupbench.resolve import Resolved
from groupbench.run import Run, RunFinished
from groupbench.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from groupbench.experiment import Experiment
    from groupbench.plugins import Plugins
    from groupbench.report.progress import Progress


@dataclass(frozen=True)
class RunReport:
    """A finished run and its leaderboard."""

    leaderboard: Leaderboard
    exit_code: int
    n_computed: int
    """Fits that this run computed; the others were in the store."""
    stopped: str | None = None
    """The limit that stopped it."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Tracebacks of failures."""


def prepare(
    experiment: Experiment,
    *,
    plugins: Plugins | None = None,
    store: Store | str | Path,
    progress: Progress | None = None,
    create: bool = True,
) -> Run:
    """Return a run that is ready: every name resolved, the store open and, if asked, writable.

    Raises:
        GroupbenchError: something asked for is wrong; nothing was computed.
    """
    from groupbench.plugins import Plugins
    from groupbench.report.progress import NullProgress

    if plugins is None:
        plugins = Plugins.discover(tasks_dirs=experiment.tasks_dirs)
    resolved = Resolved.of(experiment, plugins)
    opened = store if isinstance(store, Store) else Store.open(store, create=create)
    return Run(resolved, opened, progress or NullProgress(), plugins.notify)


def run_experiment(
    experiment: Experiment,
    *,
    plugins: Plugins | None = None,
    store: Store | str | Path,
    progress: Progress | None = None,
) -> RunReport:
    """Run what the store lacks of an experiment and return its leaderboard.

    Args:
        experiment: what to run.
        plugins: where names are looked up; all that are installed if not given.
        store: where results are kept. Running again computes only what is missing.
        progress: told about every fit.

    Raises:
        GroupbenchError: something asked for is wrong, or the store cannot be written.
    """
    run = prepare(experiment, plugins=plugins, store=store, progress=progress)
    finished = run.execute()
    board = leaderboard_of(run, finished)
    write_board(
        run.store,
        board,
        finished.entries,
        experiment=experiment.name,
        source=experiment.source,
    )
    run.notify("groupbench_run_finished", finished)
    return RunReport(
        leaderboard=board,
        exit_code=finished.exit_code,
        n_computed=finished.n_computed,
        stopped=finished.stopped,
        details=finished.details,
    )


def leaderboard_of(run: Run, finished: RunFinished) -> Leaderboard:
    """Return the leaderboard of a finished run."""
    return Leaderboard.of(
        SuiteFacts.of(run.resolved.suite),
        finished.entries,
        baseline=run.resolved.experiment.baseline,
        metrics=run.resolved.metrics,
    )
