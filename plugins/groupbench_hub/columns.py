"""Columns of a ``datasets.Dataset`` as plain lists, class indices as names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from groupbench.errors import DataError


class ArrowColumns(Mapping[str, Sequence[Any]]):
    """The columns of one split, each converted only when it is asked for."""

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401 - a datasets.Dataset
        where: str,
        names: Mapping[str, Sequence[str]],
    ) -> None:
        self._dataset = dataset
        self._where = where
        self._names = names
        self.n_rows: int = dataset.num_rows

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._dataset.column_names:
            raise KeyError(name)
        picked = self._dataset.select_columns([name]).with_format("arrow")
        cells: list[Any] = picked[:].column(name).to_pylist() if self.n_rows else []
        feature = self._dataset.features[name]
        inner = getattr(feature, "feature", None)
        if names := self._names.get(name) or _class_names(feature) or _class_names(inner):
            return [
                [self._named(part, names, name, row) for part in cell]
                if isinstance(cell, list)
                else self._named(cell, names, name, row)
                for row, cell in enumerate(cells)
            ]
        return cells

    def __contains__(self, name: object) -> bool:
        return name in self._dataset.column_names

    def __iter__(self) -> Iterator[str]:
        return iter(self._dataset.column_names)

    def __len__(self) -> int:
        return len(self._dataset.column_names)

    def _named(self, cell: object, names: Sequence[str], column: str, row: int) -> str | None:
        if cell is None:
            return None
        if isinstance(cell, int) and 0 <= cell < len(names):
            return names[cell]
        why = "; the labels of this split are hidden, use another" if cell == -1 else ""
        raise DataError(
            f"{self._where}, row {row} (the first is 0): {column} = {cell!r} is none of its"
            f" {len(names)} classes{why}."
        )


def _class_names(feature: object) -> Sequence[str]:
    """Return the names of a ``datasets.ClassLabel``; empty for any other feature."""
    names = getattr(feature, "names", None)
    return names if isinstance(names, list) else ()
