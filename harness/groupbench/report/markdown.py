"""A leaderboard as Markdown that any renderer shows alike, whatever names and reasons hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from groupbench.report.asked import extra_tables
from groupbench.report.lines import lines
from groupbench.report.notes import notes
from groupbench.report.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.leaderboard import Leaderboard

_COLUMNS = (
    ("place", "#"),
    ("tier", "tier"),
    ("grouping", "grouping"),
    ("runner", "runner"),
    ("average", "average"),
    ("gain", "gain"),
    ("models", "models"),
    ("parameters", "params"),
    ("decide", "decide"),
    ("train", "train"),
)
_LEFT = frozenset({"place", "tier", "grouping", "runner"})
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~$#!^])")
_SHORTCODE = re.compile(r":(?=[A-Za-z0-9_+\\-]+:)")
_AUTOLINK = re.compile(r"(?i)\b(https?|ftp|mailto)(:)|\b(www)(\.)|(@)")


def markdown(board: Leaderboard) -> str:
    """Return ``board`` as Markdown. Equal leaderboards give equal bytes."""
    rows = lines(board)
    tasks = [escape(name) for name in board.suite.names]
    heads = [head if head != "#" else "\\#" for _, head in _COLUMNS]
    rules = [":---" if name in _LEFT else "---:" for name, _ in _COLUMNS]
    parts = [f"## {escape(board.suite.name)}", ""]
    if rows:
        parts += [_row([*heads, *tasks]), _row([*rules, *["---:"] * len(tasks)])]
        for line in rows:
            cells = [escape(getattr(line, name)) for name, _ in _COLUMNS]
            parts.append(_row([*cells, *(escape(score) for score in line.task_intervals)]))
        parts.append("")
        for extra, table in extra_tables(board):
            parts.append(_row(escape(head.text) for head in extra))
            parts.append(_row(":---" if i == 0 else "---:" for i in range(len(extra))))
            parts += [_row(map(escape, cells)) for cells in table]
            parts.append("")
    else:
        parts += ["No entries.", ""]
    parts += [f"- **{escape(note.what)}**: {escape(note.text)}" for note in notes(board)]
    return "\n".join(parts).rstrip("\n") + "\n"


def escape(text: object) -> str:
    r"""Return foreign text as Markdown and HTML show it, and neither obeys.

    >>> print(escape("a|b <img> `c` :bomb:"))
    a\|b &lt;img&gt; \`c\` &#58;bomb:
    """
    shown = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = _AUTOLINK.sub(_unlinked, shown)
    shown = _SPECIAL.sub(r"\\\1", shown).replace("&\\#", "&#")
    return _SHORTCODE.sub("&#58;", shown)


def _unlinked(found: re.Match[str]) -> str:
    """Return the match with the character that makes it a link or a mention as an entity."""
    scheme, _, www, _, at = found.groups()
    if at:
        return "&#64;"
    return f"{scheme}&#58;" if scheme else f"{www}&#46;"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
