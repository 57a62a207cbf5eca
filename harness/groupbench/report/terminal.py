"""A leaderboard in a terminal: one table where it fits, else a summary and the tasks below it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from groupbench.cell import Status
from groupbench.report.asked import extra_tables
from groupbench.report.lines import WORSE, Line, lines
from groupbench.report.notes import notes
from groupbench.report.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table
    from rich.text import Text

    from groupbench.leaderboard import Leaderboard
    from groupbench.report.asked import Head

_GAP = 2
_NAME_AT_LEAST = 7
_NAME_AT_MOST = 30
_TASK_NAME = 12
"""Longer names of tasks are folded."""
_SUMMARY = ("place", "tier", "grouping", "runner", "average", "gain", "models", "time")
_FULL = (
    *("place", "tier", "grouping", "runner", "average", "gain"),
    *("models", "parameters", "fits", "decide", "train"),
)
_HEADS = {"place": "#", "parameters": "params"}
_DROPPED = ("time", "models", "tier", "gain", "place")
"""What goes first where there is no room."""
_STYLES = {
    Status.PARTIAL: "yellow",
    Status.FAILED: "red",
    Status.SKIPPED: "dim",
    Status.REFUSED: "magenta",
}


def render(
    board: Leaderboard, console: Console, options: ConsoleOptions
) -> Iterator[RenderableType]:
    """Yield what to print: a title, the tables, the notes."""
    from rich.text import Text

    show = _ascii if options.ascii_only else _as_is
    width = options.max_width
    rows = lines(board)
    tasks = board.suite.names
    title = f"{plain(board.suite.name)}: {_counted(len(tasks), 'task', 'tasks')}, "
    title += _counted(len(rows), "entry", "entries")
    yield Text(show(title), style="bold")
    if not rows:
        return
    yield Text()
    by_task = sum(_task_width(rows, i, name) + _GAP for i, name in enumerate(tasks))
    whole = next((c for c in (_FULL, _SUMMARY) if _width(c, rows) + by_task <= width), None)
    if whole is not None:
        yield _table(whole, rows, tasks, width, show)
    else:
        yield _table(_SUMMARY, rows, (), width, show)
        if any(line.row.scores for line in rows):
            for table in _task_tables(rows, tasks, width, show):
                yield Text()
                yield table
    for heads, table_rows in extra_tables(board):
        yield Text()
        yield _extra_table(heads, table_rows, width, show)
    yield Text()
    yield from _legend(board, console, width, show)


def _table(
    columns: Sequence[str],
    rows: Sequence[Line],
    tasks: Sequence[str],
    width: int,
    show: Callable[[str], str],
) -> Table:
    """Return a table of the summary's columns, and of the tasks that fit beside them."""
    columns = _that_fit(columns, rows, width)
    fixed = sum(_natural(c, rows) + _GAP for c in columns if c not in {"grouping", "runner"})
    fixed += sum(_task_width(rows, i, name) + _GAP for i, name in enumerate(tasks))
    grouping, runner = _shares(
        _natural("grouping", rows), _natural("runner", rows), width - fixed - _GAP
    )
    table = _empty_table()
    for name in columns:
        right = name not in {"place", "tier", "grouping", "runner"}
        table.add_column(_HEADS.get(name, name), justify="right" if right else "left", no_wrap=True)
    for task in tasks:
        head = _text(show(_folded(plain(task), _TASK_NAME)))
        table.add_column(head, justify="right", no_wrap=True)
    for line in rows:
        cells = []
        for name in columns:
            text = plain(getattr(line, name))
            if name in {"grouping", "runner"}:
                text = _folded(text, grouping if name == "grouping" else runner)
            cells.append(_text(show(text)))
        cells += [_text(show(score)) for score in line.tasks[: len(tasks)]]
        table.add_row(*cells, style=_STYLES.get(line.row.status, ""))
    return table


def _task_tables(
    rows: Sequence[Line], tasks: Sequence[str], width: int, show: Callable[[str], str]
) -> Iterator[Table]:
    """Yield tables of scores by task, as many tasks in each as there is room for."""
    scored = [line for line in rows if line.row.scores]
    names = [plain(line.name) for line in scored]
    widths = [
        max(_head_width(task), *(len(line.task_intervals[i]) for line in scored))
        for i, task in enumerate(tasks)
    ]
    place = max(len(line.place) for line in scored)
    name_width = min(max(len(name) for name in names), max(width // 3, _NAME_AT_LEAST))
    room = width - place - _GAP - name_width
    start = 0
    while start < len(tasks):
        end, used = start, 0
        while end < len(tasks) and (end == start or used + widths[end] + _GAP <= room):
            used += widths[end] + _GAP
            end += 1
        table = _empty_table()
        table.add_column("#", no_wrap=True)
        table.add_column("entry", no_wrap=True)
        for task in tasks[start:end]:
            head = _text(show(_folded(plain(task), _TASK_NAME)))
            table.add_column(head, justify="right", no_wrap=True)
        for line, name in zip(scored, names, strict=True):
            cells = [line.place, _folded(name, name_width), *line.task_intervals[start:end]]
            table.add_row(*(_text(show(cell)) for cell in cells))
        yield table
        start = end


def _extra_table(
    heads: Sequence[Head],
    rows: Sequence[Sequence[str]],
    width: int,
    show: Callable[[str], str],
) -> Table:
    """Return a table about some entries; columns that say least go where there is no room."""
    widths = [
        max(len(head.text), *(len(plain(row[i])) for row in rows)) for i, head in enumerate(heads)
    ]
    kept = list(range(len(heads)))
    least = max(width // 3, _NAME_AT_LEAST)

    def needed() -> int:
        return min(widths[0], least) + sum(widths[i] + _GAP for i in kept[1:])

    for i in sorted(kept[1:], key=lambda i: -heads[i].goes):
        if needed() <= width or heads[i].goes == 0:
            break
        kept.remove(i)
    name_width = max(min(widths[0], width - sum(widths[i] + _GAP for i in kept[1:])), least)
    table = _empty_table()
    for i in kept:
        justify: Literal["left", "right"] = "right" if i else "left"
        table.add_column(heads[i].text, justify=justify, no_wrap=True)
    for row in rows:
        cells = [_folded(plain(row[0]), name_width), *(plain(row[i]) for i in kept[1:])]
        table.add_row(*(_text(show(cell)) for cell in cells))
    return table


def _legend(
    board: Leaderboard, console: Console, width: int, show: Callable[[str], str]
) -> Iterator[Text]:
    """Yield the notes, each beside what it is about; lines end where their text does."""
    from rich.text import Text

    said = notes(board)
    indent = max((len(note.what) for note in said), default=0) + _GAP
    for note in said:
        text = Text(show(plain(note.text)))
        wrapped = text.wrap(console, max(width - indent, _NAME_AT_LEAST), overflow="fold")
        for number, line in enumerate(wrapped):
            line.rstrip()
            head = show(plain(note.what)) if number == 0 else ""
            yield Text.assemble((head.ljust(indent), "bold"), line)


def _empty_table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))


def _that_fit(columns: Sequence[str], rows: Sequence[Line], width: int) -> list[str]:
    """Return the columns that there is room for when names are as narrow as may be."""
    kept = list(columns)
    for candidate in _DROPPED:
        least = 0
        for name in kept:
            natural = _natural(name, rows)
            least += min(natural, _NAME_AT_LEAST) if name in {"grouping", "runner"} else natural
        if least + _GAP * (len(kept) - 1) <= width:
            break
        if candidate in kept:
            kept.remove(candidate)
    return kept


def _shares(one: int, other: int, room: int) -> tuple[int, int]:
    """Return how wide two columns of names are that want ``one`` and ``other``."""
    room = max(room, 2 * _NAME_AT_LEAST)
    if one + other <= room:
        return one, other
    half = room // 2
    if one <= half:
        return one, room - one
    if other <= half:
        return room - other, other
    return half, room - half


def _width(columns: Sequence[str], rows: Sequence[Line]) -> int:
    widths = [_natural(name, rows) for name in columns]
    names = [_natural(name, rows) for name in ("grouping", "runner")]
    spare = sum(max(0, n - _NAME_AT_MOST) for n in names)
    return sum(widths) - spare + _GAP * (len(columns) - 1)


def _natural(column: str, rows: Sequence[Line]) -> int:
    return max(len(_HEADS.get(column, column)), *(len(plain(getattr(r, column))) for r in rows))


def _task_width(rows: Sequence[Line], index: int, name: str) -> int:
    return max(_head_width(name), *(len(line.tasks[index]) for line in rows))


def _head_width(task: str) -> int:
    return max(len(part) for part in _folded(plain(task), _TASK_NAME).split("\n"))


def _folded(text: str, width: int) -> str:
    """Return ``text`` in lines of at most ``width``, broken after punctuation where that is near.

    >>> _folded("pvi:test=tost,margin=0.25", 14).split(chr(10))
    ['pvi:test=tost,', 'margin=0.25']
    """
    width = max(width, 1)
    done = [""]
    for piece in re.findall(r"[^,:/=\s_-]*[,:/=\s_-]|[^,:/=\s_-]+", text):
        if len(done[-1]) + len(piece) > width and done[-1]:
            done.append("")
        done[-1] += piece
        while len(done[-1]) > width:
            done[-1:] = [done[-1][:width], done[-1][width:]]
    return "\n".join(done)


def _counted(n: int, one: str, many: str) -> str:
    return f"{n or 'no'} {one if n == 1 else many}"


def _text(text: str) -> Text:
    from rich.text import Text

    return Text(text)


def _as_is(text: str) -> str:
    return text


def _ascii(text: str) -> str:
    text = text.replace("±", "+-").replace(WORSE, "v")
    return text.encode("ascii", "backslashreplace").decode("ascii")
