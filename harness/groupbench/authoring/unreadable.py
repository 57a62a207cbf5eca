"""Why a task's data cannot be read: every bad row of its files, not only the first."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from groupbench.authoring.findings import N_ROWS, Finding, Level
from groupbench.cards.data import CellError
from groupbench.cards.formats import Table
from groupbench.cards.loader import CardLoader, rows_of
from groupbench.errors import CardError, DataError
from groupbench.task import DataClass

if TYPE_CHECKING:
    from groupbench.cards.card import TaskCard
    from groupbench.task import Task

CODES = {"is empty": "empty-text", "is null": "missing", "was there before": "id-twice"}
"""Of faults of cells; others are ``label-unknown`` or ``cell``."""


def unreadable(task: Task, problem: Exception) -> list[Finding]:
    """Return what is wrong with the data of a task that cannot be loaded.

    What rows hold is shown of ``open`` tasks only.

    Args:
        task: whose data raised.
        problem: what they raised.
    """
    shown = task.data_class is DataClass.OPEN
    loader = getattr(task.loader, "load", None)
    if isinstance(problem, CellError) and isinstance(loader, CardLoader):
        try:
            tables = loader.tables()
        except (CardError, DataError) as other:  # it changed meanwhile
            return [_whole(task, other, shown=shown)]
        return [
            finding
            for split, table in tables.items()
            for finding in _bad_rows(task, loader.card, table, split, shown=shown)
        ]
    return [_whole(task, problem, shown=shown)]


def _whole(task: Task, problem: Exception, *, shown: bool) -> Finding:
    text = str(problem)
    if not shown and not isinstance(problem, CardError):
        text = (
            f"Its data do not fit its card. Why is not shown, since the task is {task.data_class}:"
            f" `groupbench tasks show {task.name}` shows it, and may show text."
        )
    return Finding(Level.ERROR, "data", task.name, text)


def _bad_rows(
    task: Task, card: TaskCard, table: Table, split: str, *, shown: bool
) -> list[Finding]:
    try:
        rows_of(card, table, split)
    except CellError as problem:
        whole = problem
    except DataError as problem:
        return [_whole(task, problem, shown=shown)]
    else:
        return []
    bad: dict[tuple[str, str], list[CellError]] = defaultdict(list)
    for row in range(table.n_rows):
        try:
            rows_of(card, _only(table, row), split)
        except CellError as problem:
            bad[problem.column, problem.fault].append(CellError(str(problem), row=row))
    if not bad:  # an id that is there twice is wrong beside another row only
        bad[whole.column, whole.fault].append(whole)
    findings = []
    for (column, fault), cells in bad.items():
        text = f"{table.where}: {column} {fault}"
        if shown:
            text += f". The first: {cells[0]}" if len(cells) > 1 else f". {cells[0]}"
        findings.append(
            Finding(
                Level.ERROR,
                CODES.get(fault, "label-unknown" if "of the card" in fault else "cell"),
                task.name,
                text,
                split,
                len(cells),
                tuple(_called(table, cell.row) for cell in cells[:N_ROWS]),
            )
        )
    return findings


def _only(table: Table, row: int) -> Table:
    """Return the table of a single row."""
    lines = None if table.lines is None else [table.lines[row]]
    columns = {name: [column[row]] for name, column in table.columns.items()}
    return Table(table.where, columns, 1, lines)


def _called(table: Table, row: int) -> str:
    return f"row {row}" if table.lines is None else f"line {table.lines[row]}"
