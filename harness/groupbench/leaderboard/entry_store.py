"""Entries in a store; a leaderboard's folder is one too. One Parquet a task, the rest as JSON.

A task's Parquet holds the predictions of all finished cells (`groupbench.predictions_table`,
without probabilities and raw text) behind two columns, ``seed`` and ``draw``. In a store they are
kept for every task; what is published holds only scores of tasks that are not ``open``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from groupbench.cell import Cell, Entry, Status
from groupbench.errors import StoreError
from groupbench.leaderboard.entry_json import SCHEMA, entry_json, entry_of
from groupbench.leaderboard.facts import SuiteFacts
from groupbench.leaderboard.scoring import Judged, judge
from groupbench.task import DataClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from groupbench.metrics import Metric
    from groupbench.predictions import Predictions
    from groupbench.stats.sample import CellId
    from groupbench.store import Record, Store


_WITHHELD = "The reason is in the store of whoever ran it: a task's data are not open."


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry read back, with the suite it was judged on."""

    entry: Entry
    suite: SuiteFacts
    judged: Mapping[CellId, Mapping[str, Judged]] = field(default_factory=dict)
    """Scores in place of predictions that were not published, by cell and task."""


def write_entry(store: Store, suite: SuiteFacts, entry: Entry) -> Record:
    """Store an entry under its key; an entry that is there already is left as it is.

    Raises:
        StoreError: the store cannot be written.
    """
    known = store.get("entries", entry.key)
    if known is not None:
        return known
    with store.draft("entries", entry.key) as draft:
        for task in suite.names:
            _write_table(entry, task, draft.folder)
        return draft.commit(entry_json(suite, entry))


def read_entry(record: Record) -> StoredEntry:
    """Return a stored entry.

    Raises:
        StoreError: the record does not hold one, or a newer groupbench wrote it.
    """
    files = set(record.files)

    def table(task: str) -> Path | None:
        name = f"{task}.parquet"
        return record.path(name) if name in files else None

    return _read(record.meta, table, str(record.folder))


def publish(store: Store, suite: SuiteFacts, entry: Entry, metrics: Mapping[str, Metric]) -> Record:
    """Write an entry into a leaderboard's folder, opened as a store, to be seen by others.

    Tasks that are not ``open`` are published as scores and standard errors alone. Where a suite
    has one, reasons and warnings are withheld too: a message may quote the data. What is published
    already is left as it is.

    Args:
        store: of the leaderboard.
        suite: what the entry was judged on.
        entry: with its predictions.
        metrics: by task.

    Raises:
        StoreError: the folder cannot be written.
    """
    known = store.get("entries", entry.key)
    if known is not None:
        return known
    closed = [task for task in suite.tasks if task.data_class is not DataClass.OPEN]
    scores: dict[CellId, dict[str, Any]] = {(c.seed, c.draw): {} for c in entry.cells}
    for task in closed:
        asked = {
            (cell.seed, cell.draw): cell.predictions[task.name]
            for cell in entry.cells
            if task.name in cell.predictions
        }
        for which, verdict in judge(task, metrics[task.name], asked).items():
            if isinstance(verdict, Judged):
                scores[which][task.name] = verdict.to_json()
    document = entry_json(suite, _withheld(entry) if closed else entry)
    for cell, content in zip(entry.cells, document["cells"], strict=True):
        content["scores"] = scores[cell.seed, cell.draw]
    with store.draft("entries", entry.key) as draft:
        for task in suite.tasks:
            if task.data_class is DataClass.OPEN:
                _write_table(entry, task.name, draft.folder)
        return draft.commit(document)


def _withheld(entry: Entry) -> Entry:
    """Return an entry without the messages that may quote data."""

    def instead(reason: str | None) -> str | None:
        return _WITHHELD if reason is not None else None

    cells = tuple(replace(c, reason=instead(c.reason), warnings=()) for c in entry.cells)
    groupings = tuple(replace(grouping, warnings=()) for grouping in entry.groupings)
    reason = entry.reason
    if entry.status in {Status.FAILED, Status.PARTIAL}:
        reason = instead(reason)
    return replace(entry, reason=reason, warnings=(), cells=cells, groupings=groupings)


def _read(
    document: Mapping[str, Any], table: Callable[[str], Path | None], where: str
) -> StoredEntry:
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if schema != SCHEMA:
        raise StoreError(
            f"{where} holds no entry that this groupbench can read: schema {schema!r}, "
            f"wanted {SCHEMA!r}. A newer groupbench may have written it."
        )
    try:
        suite = SuiteFacts.from_json(document["suite"])
        predictions: dict[CellId, dict[str, Predictions]] = {}
        for task in suite.names:
            path = table(task)
            for which, each in _read_table(path) if path is not None else ():
                predictions.setdefault(which, {})[task] = each
        entry = entry_of(document, predictions)
        judged = {
            (cell["seed"], cell["draw"]): {
                task: Judged.from_json(scores, name=f"{entry.key}/{task}")
                for task, scores in cell.get("scores", {}).items()
            }
            for cell in document["cells"]
        }
    except (KeyError, TypeError, ValueError, OSError) as problem:
        raise StoreError(
            f"{where} holds a damaged entry: {type(problem).__name__}: {problem}."
        ) from None
    return StoredEntry(entry, suite, judged)


def _write_table(entry: Entry, task: str, folder: Path) -> None:
    """Write the predictions of all finished cells for one task, if there are any."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from groupbench.predictions_table import to_table

    parts = []
    cells: Sequence[Cell] = sorted(entry.cells, key=lambda cell: (cell.seed, cell.draw))
    for cell in cells:
        if cell.status is not Status.OK or task not in cell.predictions:
            continue
        part = to_table(cell.predictions[task], publish=True)
        for name, number in (("draw", cell.draw), ("seed", cell.seed)):
            column = pa.array([number] * part.num_rows, pa.int64())
            part = part.add_column(0, name, column)
        parts.append(part)
    if parts:
        whole = pa.concat_tables(parts).unify_dictionaries()
        pq.write_table(whole, folder / f"{task}.parquet", compression="zstd")


def _read_table(path: Path) -> Iterator[tuple[CellId, Predictions]]:
    """Yield each cell's predictions; a cell's rows follow each other."""
    import numpy as np
    import pyarrow.parquet as pq

    from groupbench.predictions_table import column_of, from_table, values_of

    whole = pq.read_table(path, use_threads=False).combine_chunks()
    cells = np.stack([values_of(column_of(whole, name)) for name in ("seed", "draw")], axis=1)
    bare = whole.drop_columns(["seed", "draw"])
    starts = np.flatnonzero(np.r_[True, (cells[1:] != cells[:-1]).any(axis=1)])
    for start, stop in zip(starts, [*starts[1:], len(cells)], strict=True):
        seed, draw = cells[start].tolist()
        yield (seed, draw), from_table(bare.slice(start, stop - start).combine_chunks())
