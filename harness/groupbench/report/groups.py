"""A proposed grouping and its evidence, for the terminal.

Evidence is whatever JSON the strategy gave: lists of objects become tables, ``affinity`` a matrix,
the rest lines. Nothing here knows a strategy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from groupbench.report import text as safe

if TYPE_CHECKING:
    from rich.console import Group as Stack
    from rich.console import RenderableType
    from rich.table import Table


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
            return [_table(title, value)]
        return [_plain(f"{title}: {', '.join(map(_cell, value))}")]
    if isinstance(value, Mapping):
        inner = "; ".join(f"{key.replace('_', ' ')} {_cell(item)}" for key, item in value.items())
        return [_plain(f"{title}: {inner}")]
    return [_plain(f"{title}: {_cell(value)}")]


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns = [c for c in columns if any(row.get(c) not in (None, [], {}) for row in rows)]
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        numbers = all(not isinstance(row.get(column), str) for row in rows)
        table.add_column(
            _plain(column.replace("_", " ")),
            justify="right" if numbers else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_plain(_cell(row.get(column))) for column in columns))
    return table


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
