"""Boards: which stored entries make up the leaderboard of a run.

A board is a small note, ``boards/<name>.json``, that names entries and can be written again at any
time by running the experiment again; the entries hold everything else.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groupbench.canonical import digest
from groupbench.errors import StoreError, UnknownNameError
from groupbench.leaderboard.entry_store import read_entry, write_entry
from groupbench.leaderboard.facts import SuiteFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from groupbench.cell import Entry
    from groupbench.leaderboard import Leaderboard
    from groupbench.leaderboard.entry_store import StoredEntry
    from groupbench.leaderboard.scoring import Judged
    from groupbench.stats.sample import CellId
    from groupbench.store import Store

SCHEMA = "groupbench/board/1"
FOLDER = "boards"


def write_board(
    store: Store, board: Leaderboard, entries: Sequence[Entry], *, experiment: str, source: str
) -> str:
    """Store the entries of a finished run and the note that names them; return the board's name.

    Args:
        store: of the run.
        board: as it was shown.
        entries: of the run.
        experiment: its name, by which the board can be asked for too.
        source: where the experiment was read from.

    Raises:
        StoreError: the store cannot be written.
    """
    for entry in entries:
        write_entry(store, board.suite, entry)
    keys = [entry.key for entry in entries]
    name = digest([board.baseline, keys])[:12]
    document = {
        "schema": SCHEMA,
        "name": name,
        "experiment": experiment,
        "source": source,
        "suite": board.suite.to_json(),
        "baseline": board.baseline,
        "entries": keys,
    }
    folder = store.root / FOLDER
    draft = folder / f".tmp-{uuid.uuid4().hex}"
    try:
        folder.mkdir(exist_ok=True)
        draft.write_text(json.dumps(document, indent=1), encoding="utf-8")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(folder / f"{name}.json")
    except OSError as problem:
        raise StoreError(f"{folder} cannot be written: {problem.strerror}.") from None
    return name


@dataclass(frozen=True, slots=True)
class Board:
    """What a leaderboard is made of, read back."""

    suite: SuiteFacts
    entries: tuple[Entry, ...]
    baseline: str
    published: Mapping[str, Mapping[CellId, Mapping[str, Judged]]]
    """Scores in place of predictions that were not published, by entry's key."""


def read_board(store: Store, name: str | None = None, *, prefer: str | None = None) -> Board:
    """Return a board: the one written last if none is named.

    A folder that holds entries and no boards is one leaderboard, of all its entries.

    Args:
        store: that holds it.
        name: the beginning of its own, or its experiment's.
        prefer: where no board is named, an experiment whose last one is taken, if it has any.

    Raises:
        StoreError: there are none, or an entry that the board names is gone.
        UnknownNameError: no board of that name.
    """
    boards = sorted((store.root / FOLDER).glob("[!.]*.json"), key=lambda p: p.stat().st_mtime_ns)
    if not boards:
        stored = [read_entry(record) for record in store.records("entries")]
        suite = SuiteFacts.agreed([each.suite for each in stored], where=str(store.root))
        if name not in {None, suite.name}:
            raise UnknownNameError("leaderboard", str(name), [suite.name])
        return _board(suite, stored, "single")
    wanted = prefer if name is None else name
    named = [] if wanted is None else [path for path in boards if _is_called(path, wanted)]
    if not named and name is not None:
        known = {_experiment(path) or path.stem for path in boards}
        raise UnknownNameError("leaderboard", name, known)
    path = (named or boards)[-1]
    document = _read(path)
    stored = []
    for key in document["entries"]:
        record = store.get("entries", key)
        if record is None:
            raise StoreError(
                f"{path} names entry {key}, which is not in the store: run the experiment again."
            )
        stored.append(read_entry(record))
    return _board(SuiteFacts.from_json(document["suite"]), stored, document["baseline"])


def _board(suite: SuiteFacts, stored: Sequence[StoredEntry], baseline: str) -> Board:
    return Board(
        suite,
        tuple(each.entry for each in stored),
        baseline,
        {each.entry.key: each.judged for each in stored},
    )


def _is_called(path: Path, name: str) -> bool:
    return path.stem.startswith(name) or _experiment(path) == name


def _experiment(path: Path) -> str | None:
    """Return the name of a board's experiment; ``None`` where the note cannot be read."""
    try:
        document = _read(path)
        return str(document.get("experiment") or document["suite"]["name"])
    except (StoreError, KeyError):
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise StoreError(f"{path} cannot be read: {problem}. Run the experiment again.") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise StoreError(f"{path} is not a board that this groupbench can read.")
    return document
