"""What a column of a new task's data looks like, before anybody has said what it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from groupbench.cards.data import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MEAN_WORDS = 3
"""A column of texts has at least so many words a cell, or is called like one."""
WHOLE = re.compile(r"[+-]?\d+")
REAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(\.\d*)?[eE][+-]?\d+)")
NUMBER = re.compile(f"{WHOLE.pattern}|{REAL.pattern}")


class Form(StrEnum):
    """What all cells of a column are, null and empty ones aside."""

    TEXT = "text"
    LIST = "list"
    """Lists of texts or whole numbers."""
    WHOLE = "whole"
    REAL = "real"
    TRUTH = "truth"
    EMPTY = "empty"
    MIXED = "mixed"


@dataclass(frozen=True, eq=False)
class Column:
    """All cells of one column, of every split."""

    name: str
    cells: Sequence[Any]

    @cached_property
    def filled(self) -> list[Any]:
        """Cells that hold something."""
        return [cell for cell in self.cells if cell is not None and cell != ""]

    @cached_property
    def n_missing(self) -> int:
        return len(self.cells) - len(self.filled)

    @cached_property
    def form(self) -> Form:
        types = set(map(type, self.filled))
        if not types:
            return Form.EMPTY
        if types <= {list, tuple}:
            inside = {type(item) for cell in self.filled for item in cell}
            return Form.LIST if inside <= {str} or inside <= {int} else Form.MIXED
        for form, allowed in _FORMS:
            if types <= allowed:
                return form
        return Form.MIXED

    @cached_property
    def distinct(self) -> set[Any]:
        """Different cells; lists as tuples. Cells that cannot be compared are one."""
        if self.form is Form.LIST:
            return set(map(tuple, self.filled))
        return {None} if self.form is Form.MIXED else set(self.filled)

    @property
    def unique(self) -> bool:
        """Whether every row has a cell and no two are alike."""
        return not self.n_missing and len(self.distinct) == len(self.cells)

    @cached_property
    def mean_words(self) -> float:
        """Words a cell, where cells are texts; else 0."""
        if self.form is not Form.TEXT:
            return 0.0
        return sum(len(cell.split()) for cell in self.filled) / len(self.filled)

    @cached_property
    def whole(self) -> bool:
        """Whether it holds whole numbers, be they written as text."""
        return self.form is Form.WHOLE or self._all_match(WHOLE)

    @cached_property
    def real(self) -> bool:
        """Whether it holds numbers with a point somewhere, be they written as text."""
        if self.form is Form.REAL:
            return True
        return not self.whole and self._all_match(NUMBER)

    def lists(self, separator: str) -> list[Sequence[Any]] | None:
        """Return the cells as lists, as cards read them; ``None`` where they are not."""
        if self.form is Form.LIST and not self.n_missing:
            return list(self.cells)
        if self.form is Form.TEXT and all(isinstance(cell, str) for cell in self.cells):
            return [listed(cell, separator) for cell in self.cells]
        return None

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its name: ``reviewText`` and ``review_text`` are ``review`` and ``text``."""
        parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name)
        return tuple(word for word in re.split(r"[^a-z0-9]+", parted.lower()) if word)

    def _all_match(self, pattern: re.Pattern[str]) -> bool:
        return self.form is Form.TEXT and all(pattern.fullmatch(cell) for cell in self.filled)


_FORMS: tuple[tuple[Form, set[type]], ...] = (
    (Form.TEXT, {str}),
    (Form.TRUTH, {bool}),
    (Form.WHOLE, {int}),
    (Form.REAL, {int, float}),
)


def columns_of(parts: Iterable[dict[str, Sequence[Any]]]) -> dict[str, Column]:
    """Return the columns that every part has, each part's cells after the other's."""
    parts = list(parts)
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: Column(name, [cell for part in parts for cell in part[name]]) for name in names}
