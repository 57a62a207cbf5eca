"""A proposed grouping and its evidence, for the terminal.

Evidence is whatever JSON the strategy gave: lists of objects become tables, ``affinity`` a matrix,
the rest lines. Nothing here knows a strategy: it puts what matters most into its first columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from groupbench.report import text as safe

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.console import Group as Stack
    from rich.table import Table

WIDEST = 24
"""Columns of text wider than this are folded before a column is left out."""


def grouping_text(document: Mapping[str, Any]) -> Stack:
    """Return a ``grouping`` document as text and tables."""
    from rich.console import Group as Stack

    groups = document["groups"]
    head = [
        f"{document['grouping']} with {document['runner']}, "
        f"seeds {', '.join(map(str, document['seeds']))}: {len(groups)} models"
    ]
    for group in groups:
        helpers = [name for name in group["trains"] if name not in group["serves"]]
        beside = f"  (trained with {', '.join(helpers)})" if helpers else ""
        head.append(f"  {', '.join(group['serves'])}{beside}")
    parts: list[RenderableType] = [Text("\n".join(map(safe.plain, head)))]
    for name, value in document["evidence"].items():
        parts += _shown(name, value)
    parts += [_plain(f"Note: {warning}") for warning in document["warnings"]]
    return Stack(*parts)


def _shown(name: str, value: Any) -> list[RenderableType]:  # noqa: ANN401 - JSON
    title = name.replace("_", " ")
    if name == "affinity" and isinstance(value, Mapping):
        return [_matrix(value)]
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        if all(isinstance(row, Mapping) for row in value):
            return [Rows(title, value)]
        return [_plain(f"{title}: {', '.join(map(_cell, value))}")]
    if isinstance(value, Mapping):
        inner = "; ".join(f"{key.replace('_', ' ')} {_cell(item)}" for key, item in value.items())
        return [_plain(f"{title}: {inner}")]
    return [_plain(f"{title}: {_cell(value)}")]


class Rows:
    """Objects as a table with as many columns as the terminal holds; the first come first."""

    def __init__(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = dict.fromkeys(key for row in rows for key in row)
        self.title = title
        self.rows = rows
        self.columns = [c for c in columns if any(row.get(c) not in (None, [], {}) for row in rows)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, and a line that names the columns that are not in it."""
        from rich import box
        from rich.table import Table

        shown = self._fitting(options.max_width)
        table = Table(
            title=self.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for column in shown:
            numbers = not any(_is_text(row.get(column)) for row in self.rows)
            table.add_column(
                _plain(column.replace("_", " ")),
                justify="right" if numbers else "left",
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(*(_plain(_cell(row.get(column))) for column in shown))
        yield table
        if hidden := [c.replace("_", " ") for c in self.columns if c not in shown]:
            yield _plain(f"Not shown here, but in --json: {', '.join(hidden)}.")

    def _fitting(self, width: int) -> list[str]:
        left = width - 2
        shown: list[str] = []
        for column in self.columns:
            cells = [column.replace("_", " "), *(_cell(row.get(column)) for row in self.rows)]
            left -= min(max(map(cell_len, cells)), WIDEST) + 2  # a space and the divider
            if left < 0 and len(shown) > 1:
                break
            shown.append(column)
        return shown


def _is_text(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, str) or (isinstance(value, list) and any(map(_is_text, value)))


def _matrix(affinity: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    tasks = affinity["tasks"]
    title = f"affinity ({affinity.get('unit', '')}): row affected, column source"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    for number, _ in enumerate(tasks, start=1):
        table.add_column(str(number), justify="right")
    for number, (task, row) in enumerate(zip(tasks, affinity["matrix"], strict=True), start=1):
        table.add_row(_plain(f"{number} {task}"), *(_plain(_cell(value)) for value in row))
    return table


def _cell(value: Any) -> str:  # noqa: ANN401 - JSON
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}"
        case list():
            return ", ".join(_cell(item) for item in value)
        case Mapping():
            return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
    return str(value)


def _plain(text: str) -> Text:
    return Text(safe.plain(text))
