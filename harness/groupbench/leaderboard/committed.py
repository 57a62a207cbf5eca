"""A leaderboard's folder, to be committed: the experiment, its entries, and a page made of them.

::

    leaderboards/<name>/
        experiment.toml     what to run
        entries/            one immutable folder per entry (`groupbench.leaderboard.entry_store`)
        reading.md          what its authors have to say, optional
        README.md           the page: rendered, never written by hand
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groupbench.cell import Status
from groupbench.errors import StoreError
from groupbench.experiment import load_experiment
from groupbench.leaderboard.board import Leaderboard
from groupbench.leaderboard.boards import read_board
from groupbench.leaderboard.entry_store import publish
from groupbench.report.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from groupbench.cell import Entry
    from groupbench.experiment import Experiment
    from groupbench.leaderboard.boards import Board
    from groupbench.metrics import Metric
    from groupbench.store import Store

EXPERIMENT, READING, PAGE = "experiment.toml", "reading.md", "README.md"


@dataclass(frozen=True)
class Update:
    """What publishing a board into a leaderboard's folder did."""

    added: tuple[str, ...]
    """Entries that were not there."""
    known: tuple[str, ...]
    """Entries that were there already."""
    superseded: tuple[str, ...]
    """Entries in whose place another of the same grouping and runner has come."""
    left_out: dict[str, str]
    """Entries that are not finished, with the reason."""
    page: Path

    def to_json(self) -> dict[str, Any]:
        """Return what was done as JSON."""
        return {
            "added": list(self.added),
            "known": list(self.known),
            "superseded": list(self.superseded),
            "left_out": self.left_out,
            "page": str(self.page),
        }


def demand_experiment(folder: Path) -> Experiment:
    """Return the experiment of a leaderboard's folder.

    Raises:
        ExperimentError: there is none, or it cannot be read.
    """
    return load_experiment(folder / EXPERIMENT)


def update(folder: Path, store: Store, board: Board, metric: Callable[[str], Metric]) -> Update:
    """Publish the finished entries of ``board`` in ``folder`` and render its page.

    Args:
        folder: holds an experiment file.
        store: the folder, opened as one.
        board: of the store where the experiment was run.
        metric: returns a metric by its name.

    Raises:
        ExperimentError: the folder holds no experiment.
        StoreError: the folder cannot be written, or holds entries of other tasks or other data.
    """
    experiment = demand_experiment(folder)
    there: dict[str, set[str]] = {}
    if any(True for _ in store.records("entries")):
        old = read_board(store)
        _demand_same(folder, old, board)
        for entry in old.entries:
            there.setdefault(_label(entry), set()).add(entry.key)
    metrics = {task.name: metric(task.metric) for task in board.suite.tasks}
    added: list[str] = []
    known: list[str] = []
    superseded: list[str] = []
    left_out: dict[str, str] = {}
    for entry in board.entries:
        label = _label(entry)
        older = there.get(label, set()) - {entry.key}
        if entry.status is not Status.OK:
            left_out[label] = plain(entry.reason or str(entry.status))
            continue
        publish(store, board.suite, entry, metrics)
        (known if entry.key in there.get(label, set()) else added).append(label)
        for key in older:
            shutil.rmtree(store.folder("entries", key), ignore_errors=True)
            superseded.append(label)
    published = read_board(store)
    leaderboard = Leaderboard.of(
        published.suite,
        published.entries,
        baseline=experiment.baseline,
        metrics=metrics,
        published=published.published,
    )
    done = Update(tuple(added), tuple(known), tuple(superseded), left_out, folder / PAGE)
    try:
        done.page.write_text(render(folder, leaderboard), encoding="utf-8")
    except OSError as problem:
        raise StoreError(f"{done.page} cannot be written: {problem.strerror}.") from None
    return done


def render(folder: Path, board: Leaderboard) -> str:
    """Return the page of a leaderboard's folder. Equal folders give equal bytes.

    Raises:
        ExperimentError: the folder holds no experiment, or its files cannot be read.
    """
    demand_experiment(folder)
    reading = folder / READING
    parts = [
        f"# {board.suite.name}",
        "<!-- Written by `groupbench leaderboard update`; put words of your own in reading.md. -->",
        *([reading.read_text(encoding="utf-8").strip()] if reading.exists() else []),
        board.to_markdown().strip(),
        "## What was run",
        f"```toml\n{(folder / EXPERIMENT).read_text(encoding='utf-8').strip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _label(entry: Entry) -> str:
    return f"{entry.grouping}/{entry.runner}" if entry.grouping else entry.runner


def _demand_same(folder: Path, there: Board, board: Board) -> None:
    old, new = there.suite, board.suite
    if old.to_json() != new.to_json():
        raise StoreError(
            f"{folder} holds entries judged on other tasks or other data than the board that is "
            f"to be published ({old.name}: {len(old.tasks)} tasks, {new.name}: {len(new.tasks)}): "
            "give --name with another board's, or start a new folder."
        )
