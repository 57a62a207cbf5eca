"""A table of plain text. Listings use it: importing rich would cost more than all that they do."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP = "  "
NARROWEST = 8
"""Cells that a column keeps, however little room there is."""


def columns_text(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    r"""Return a table at most ``width`` cells wide, long cells folded at spaces where they can be.

    Cells must be safe to show (`groupbench.report.text.plain`).

    >>> print(columns_text(["name", "about"], [["all", "one model of all tasks"]], 20))
    name  about
    ────────────────────
    all   one model of
          all tasks
    """
    widths = _widths([head, *rows], width)
    rule = "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    lines = [*_lines(head, widths), rule]
    lines += [line for row in rows for line in _lines(row, widths)]
    return "\n".join(lines)


def text_width(text: str) -> int:
    """Return how many cells of a terminal a text takes.

    >>> [text_width(text) for text in ("Größe", "大", "e\u0301")]
    [5, 2, 1]
    """
    if text.isascii():
        return len(text)
    return sum(_cells(c) for c in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return what the columns need; where that is too much, the widest ones get less.

    The first column holds names, which people copy: it is narrowed only when all others are narrow.
    """
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    room = width - len(GAP) * (len(widths) - 1)
    while (excess := sum(widths) - room) > 0 and max(widths) > NARROWEST:
        first, *others = widths
        widest = max(others, default=0)
        if widest <= NARROWEST:
            return [max(first - excess, NARROWEST), *others]
        second = max((w for w in others if w < widest), default=0)
        less = -(-excess // others.count(widest))
        narrowed = max(widest - less, second, NARROWEST)
        widths = [first, *(narrowed if w == widest else w for w in others)]
    return widths


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    cells = [list(_folded(text, width)) for text, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, cells))):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        padded = (p + " " * (w - text_width(p)) for p, w in zip(parts, widths, strict=True))
        yield GAP.join(padded).rstrip()


def _folded(text: str, width: int) -> Iterator[str]:
    """Yield lines of at most ``width`` cells: broken at spaces, words only where one is longer."""
    if text_width(text) <= width:
        yield text
        return
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if text_width(joined) <= width:
            line = joined
            continue
        if line:
            yield line
        line = ""
        for character in word:
            if text_width(line + character) > width and line:
                yield line
                line = ""
            line += character
    yield line
