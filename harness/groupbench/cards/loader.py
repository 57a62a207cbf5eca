"""The lazy loader of a card's data."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.cards.data import check_ids, read_examples
from groupbench.cards.divide import divided
from groupbench.cards.formats import Table, read_table, select
from groupbench.cards.loaded import note_loaded
from groupbench.cards.paths import SPLITS, split_files
from groupbench.errors import CardError, DataError
from groupbench.splits import with_dev_divided
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from groupbench.cards.card import TaskCard
    from groupbench.cards.data import Layout
    from groupbench.cards.row_loader import RowLoader
    from groupbench.task import Example, TaskData


@dataclass(frozen=True)
class CardLoader:
    """Reads the data of a card; what its task calls when it is first asked for examples."""

    card: TaskCard
    rows: RowLoader | None = None
    """``None``: files beside the card."""

    def __call__(self) -> TaskData:
        with _collector_paused():
            return self._read()

    def _read(self) -> TaskData:
        card = self.card
        data = task_data(card, self.tables())
        if self.rows is not None:
            where: Mapping[str, str] = getattr(self.rows, "provenance", dict)()
            note_loaded(card, {str(split): len(data[split]) for split in Split}, where)
        return data

    def tables(self) -> dict[str, Table]:
        """Return the columns of the card by split; a split that is cut from train has no table.

        Raises:
            CardError: a file is named that cannot be meant.
            DataError: a file, or what the loader gave, cannot be read or lacks a column.
        """
        layout = self.card.layout
        return self._files(layout) if self.rows is None else self._loaded(self.rows, layout)

    def _files(self, layout: Layout) -> dict[str, Table]:
        names = {key: str(name) for key, name in self.card.files.items() if key != "quotes"}
        quotes = bool(self.card.files.get("quotes", True))
        wanted = tuple(layout.columns.values())
        found = split_files(Path(self.card.path), names, self.card.own_splits)
        return {split: read_table(path, wanted, quotes=quotes) for split, path in found.items()}

    def _loaded(self, rows: RowLoader, layout: Layout) -> dict[str, Table]:
        name = (self.card.source or {}).get("loader")
        try:
            loaded = rows()
        except (CardError, DataError) as problem:
            raise type(problem)(f"{self.card.path}: [source] {problem}") from None
        tables = {}
        for split in self.card.own_splits:
            if split not in loaded:
                mend = "" if split == "train" else "; [divide] can cut it from train"
                raise DataError(
                    f"{self.card.path}: loader {name} gave no {split} split, only"
                    f" {', '.join(sorted(loaded)) or 'none'}{mend}."
                )
            where = f"{self.card.path}: {split} from loader {name}"
            tables[split] = select(loaded[split], tuple(layout.columns.values()), where)
        return tables


def task_data(card: TaskCard, tables: Mapping[str, Table]) -> TaskData:
    """Return the examples of a card from its tables, as `CardLoader.tables` gives them.

    Raises:
        DataError: a cell is wrong, an id is there twice, or a split comes out empty.
    """
    splits = {split: rows_of(card, table, split) for split, table in tables.items()}
    if column := card.layout.columns.get("id"):
        check_ids(splits, column, card.path)
    where = tables.get("validation", tables["train"]).where
    if card.divide:
        splits |= divided(splits["train"], card.kind, card.divide, tables["train"].where)
    train, validation, test = (splits[split] for split in SPLITS)
    data = with_dev_divided(train, validation, test, card.kind)
    if not (data[Split.DEV_A] and data[Split.DEV_B]):
        what = "cluster" if "cluster" in card.layout.columns else "row"
        raise DataError(
            f"{where}: {'gives validation' if card.divide else 'has'} a single {what}, but"
            " validation is divided in two; at least two are needed."
        )
    return data


def rows_of(card: TaskCard, table: Table, split: str) -> tuple[Example, ...]:
    """Return the examples of one table, before splits are cut from it.

    Raises:
        DataError: there are no rows, or a cell is wrong.
    """
    cut = split == "train" and card.divide
    return read_examples(table, card.layout, split, numbered="row" if cut else split)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking the growing rows: a third of the time they take."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
