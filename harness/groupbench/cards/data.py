"""From columns to the examples of a card: every cell checked, fast where all is well.

Each column is first judged as a whole; only where that fails are the rows looked at one by one,
to name the first bad one.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, Any

from groupbench.cards.formats import short
from groupbench.errors import DataError
from groupbench.task import Example, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from groupbench.cards.formats import Table
    from groupbench.task import Gold, Input

ROLES: Mapping[Kind, tuple[str, ...]] = {
    Kind.SINGLE: ("text", "label"),
    Kind.PAIR: ("text", "text_pair", "label"),
    Kind.MULTILABEL: ("text", "labels"),
    Kind.TOKEN: ("tokens", "tags"),
}
"""What the columns of each kind are for; a card may name other columns for them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is read: the kind, its labels, and the column of each role."""

    kind: Kind
    labels: tuple[str, ...]
    columns: Mapping[str, str]
    """By role: those of `ROLES`, and ``id`` and ``cluster`` where there are any."""


class CellError(DataError):
    """A cell that its card does not allow."""

    def __init__(self, message: str, *, row: int = 0, column: str = "", fault: str = "") -> None:
        super().__init__(message)
        self.row = row
        """The first is 0."""
        self.column = column
        self.fault = fault
        """What is wrong, without the value: ``is null``, ``is not a label of the card``."""


def read_examples(
    table: Table, layout: Layout, split: str, *, numbered: str | None = None
) -> tuple[Example, ...]:
    """Return the examples of one split.

    Args:
        table: holds the columns of ``layout``.
        layout: of the card.
        split: ``train``, ``validation`` or ``test``.
        numbered: without an id column, ids are ``<numbered>-<row>``; ``None``: the split.

    Raises:
        CellError: a cell is wrong; the message names the first one.
        DataError: there are no rows.
    """
    if not table.n_rows:
        raise DataError(f"{table.where}: the {split} split has no rows; every split needs some.")
    reader = _Reader(table, layout)
    if "id" in layout.columns:
        ids = reader.ids()
    else:
        ids = [f"{numbered or split}-{i}" for i in range(table.n_rows)]
    inputs: Iterable[Input]
    golds: Iterable[Gold]
    match layout.kind:
        case Kind.SINGLE:
            inputs, golds = reader.texts("text"), reader.single()
        case Kind.PAIR:
            inputs = zip(reader.texts("text"), reader.texts("text_pair"), strict=True)
            golds = reader.single()
        case Kind.MULTILABEL:
            inputs, golds = reader.texts("text"), reader.several()
        case Kind.TOKEN:
            inputs, golds = reader.tagged()
    if "cluster" in layout.columns:
        return tuple(map(Example, ids, inputs, golds, reader.names("cluster")))
    return tuple(map(Example, ids, inputs, golds))


def check_ids(splits: Mapping[str, Sequence[Example]], column: str, where: str) -> None:
    """Raise `DataError` where an id stands in two splits: folds join them."""
    seen: dict[str, str] = {}
    for split, examples in splits.items():
        ids = {e.id for e in examples}
        if twice := sorted(ids & seen.keys()):
            raise DataError(
                f"{where}: {column} = {twice[0]!r} is in {seen[twice[0]]} and in {split}; ids must"
                " be unique over the whole task (without an id column rows are numbered)."
            )
        seen.update(dict.fromkeys(ids, split))


class _Reader:
    """Reads one table. Roles are translated into the names of columns."""

    def __init__(self, table: Table, layout: Layout) -> None:
        self._table = table
        self._columns = layout.columns
        self._index = {label: i for i, label in enumerate(layout.labels)}

    def texts(self, role: str) -> Sequence[str]:
        """Return a column of texts: none is null, empty or impossible to write as UTF-8."""
        texts = self._column(role)
        if set(map(type, texts)) <= {str} and all(map(str.strip, texts)) and _encodable(texts):
            return texts
        for row, text in enumerate(texts):
            if wrong := _wrong_text(text):
                raise self._error(row, role, f"is {wrong}", "mend or drop the row", shown=text)
        return texts

    def single(self) -> list[int]:
        labels = self._column("label")
        try:
            return list(map(self._index.__getitem__, labels))
        except (KeyError, TypeError):
            return [self._label(label, row, "label") for row, label in enumerate(labels)]

    def several(self) -> list[tuple[int, ...]]:
        cells = self._lists("labels", "|")
        index = self._index.__getitem__
        try:
            return [tuple(sorted(set(map(index, cell)))) for cell in cells]
        except (KeyError, TypeError):
            return [
                tuple(sorted({self._label(label, row, "labels") for label in cell}))
                for row, cell in enumerate(cells)
            ]

    def tagged(self) -> tuple[list[tuple[str, ...]], list[tuple[int, ...]]]:
        words, tags = self._lists("tokens", " "), self._lists("tags", " ")
        for row, (some, others) in enumerate(zip(words, tags, strict=True)):
            if not some:
                raise self._error(row, "tokens", "is empty", "mend or drop the row")
            if len(some) != len(others):
                raise self._error(
                    row,
                    "tags",
                    f"holds {len(others)} tags for {len(some)} {self._columns['tokens']}",
                    "give every word one tag",
                )
        flat = list(chain.from_iterable(words))
        if not (set(map(type, flat)) <= {str} and all(map(str.strip, flat)) and _encodable(flat)):
            for row, cell in enumerate(words):
                for word in cell:
                    if wrong := _wrong_text(word):
                        raise self._error(
                            row,
                            "tokens",
                            f"holds a word that is {wrong}",
                            "mend or drop the row",
                            shown=word,
                        )
        index = self._index.__getitem__
        try:
            golds = [tuple(map(index, cell)) for cell in tags]
        except (KeyError, TypeError):
            golds = [
                tuple(self._label(tag, row, "tags") for tag in cell)
                for row, cell in enumerate(tags)
            ]
        return list(map(tuple, words)), golds

    def ids(self) -> list[str]:
        ids = self.names("id")
        if len(set(ids)) != len(ids):
            first: dict[str, int] = {}
            for row, name in enumerate(ids):
                if name in first:
                    raise self._error(
                        row,
                        "id",
                        f"= {short(name)} was there before ({self._table.row(first[name])})",
                        "ids must be unique",
                        shown=name,
                    )
                first[name] = row
        return ids

    def names(self, role: str) -> list[str]:
        """Return a column of texts or whole numbers as texts: ids and clusters."""
        names = []
        for row, cell in enumerate(self._column(role)):
            name = str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell
            if wrong := _wrong_text(name):
                mend = "give every row a text or whole number"
                raise self._error(row, role, f"is {wrong}", mend, shown=name)
            names.append(name)
        return names

    def _column(self, role: str) -> Sequence[Any]:
        return self._table.columns[self._columns[role]]

    def _lists(self, role: str, separator: str) -> Sequence[Sequence[Any]]:
        """Return a column of lists; a text is split, or read as a JSON list."""
        cells = self._column(role)
        if set(map(type, cells)) <= {list, tuple}:
            return cells
        lists: list[Sequence[Any]] = []
        for row, cell in enumerate(cells):
            if isinstance(cell, str):
                lists.append(listed(cell, separator))
            elif isinstance(cell, (list, tuple)):
                lists.append(cell)
            else:
                what = "null" if cell is None else f"a {type(cell).__name__}"
                raise self._error(
                    row, role, f"is {what}", f"a list is wanted (as text: joined by {separator!r})"
                )
        return lists

    def _label(self, cell: object, row: int, role: str) -> int:
        """Return a label's index; a number stands for the label that is written like it."""
        name = cell if isinstance(cell, str) else str(cell) if isinstance(cell, int) else None
        if name is not None and name in self._index:
            return self._index[name]
        if cell is None:
            raise self._error(row, role, "is null", "give every row its label")
        what = {"labels": "a label", "tags": "a tag"}.get(role, "a label")
        near = get_close_matches(str(cell), self._index, n=1)
        known = textwrap.shorten(", ".join(self._index), 80, placeholder=" ...")
        mend = f"did you mean '{near[0]}'?" if near else f"known: {known}."
        raise CellError(
            f"{self._table.row(row)}: {self._columns[role]} holds {short(cell)}, which is not"
            f" {what} of the card; {mend}",
            row=row,
            column=self._columns[role],
            fault=f"holds what is not {what} of the card",
        )

    def _error(self, row: int, role: str, wrong: str, mend: str, shown: object = None) -> CellError:
        """Return the error of a cell; ``wrong`` may show the value ``shown``."""
        column = self._columns[role]
        fault = wrong.partition(" (")[0]
        for value in (f"= {short(shown)} ", f"{short(shown)}, "):
            fault = fault.replace(value, "")
        return CellError(
            f"{self._table.row(row)}: {column} {wrong}; {mend}.",
            row=row,
            column=column,
            fault=fault,
        )


def listed(cell: str, separator: str) -> Sequence[Any]:
    """Return the list that a text stands for: JSON, or parts joined by ``separator``."""
    if cell.startswith("["):
        try:
            parsed = json.loads(cell)
        except (ValueError, RecursionError):
            parsed = None  # a text that happens to begin with a bracket
        if isinstance(parsed, list):
            return parsed
    return [part for piece in cell.split(separator) if (part := piece.strip(" "))]


def _wrong_text(cell: object) -> str | None:
    if cell is None:
        return "null"
    if not isinstance(cell, str):
        return f"{short(cell)}, a {type(cell).__name__} and not a text"
    if not cell.strip():
        return "empty"
    return None if _encodable([cell]) else "not valid Unicode (half a surrogate pair)"


def _encodable(texts: Iterable[str]) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True
