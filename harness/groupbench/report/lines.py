"""A leaderboard as lines of text, before it is laid out for a terminal or as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.cell import Status
from groupbench.report.text import duration

if TYPE_CHECKING:
    from groupbench.leaderboard import Leaderboard
    from groupbench.leaderboard.row import Row

ORACLE = "*"
"""Stands where the rank of an oracle would be."""

NOTHING = "-"

WORSE = "▼"
"""Marks a task that is significantly below the baseline."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a leaderboard as text. Foreign text is as it came: escape it where it is shown."""

    row: Row
    name: str
    """How notes call the entry."""
    place: str
    """Rank, `ORACLE`, or `NOTHING`."""
    tier: str
    grouping: str
    runner: str
    average: str
    """``.934 ±.012``; of what has no score, its status."""
    gain: str
    models: str
    parameters: str
    fits: str
    decide: str
    train: str
    time: str
    """Deciding and training."""
    tasks: tuple[str, ...]
    """``.934``, with `WORSE` where it applies."""
    task_intervals: tuple[str, ...]
    """``.934 ±.012``, likewise."""


def lines(board: Leaderboard) -> list[Line]:
    """Return the rows of ``board`` as text."""
    names = names_of(board)
    return [_line(board, row, names[row.entry.key]) for row in board.rows]


def fraction(value: float) -> str:
    """Return a score with three decimals and no 0 before the point.

    >>> [fraction(x) for x in (0.9341, 1, 0, -0.0126, -0.0001)]
    ['.934', '1.000', '.000', '-.013', '.000']
    """
    text = f"{value:.3f}"
    if float(text) == 0:
        return ".000"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def names_of(board: Leaderboard) -> dict[str, str]:
    """Return how notes call each entry, by its key.

    ``grouping/runner``, or the runner alone where there is no grouping; the grouping alone where
    all groupings are of one runner and no two entries would be called alike.
    """
    entries = [row.entry for row in board.rows]
    full = {e.key: e.runner if e.grouping is None else f"{e.grouping}/{e.runner}" for e in entries}
    short = {e.key: e.grouping or e.runner for e in entries}
    one_runner = len({e.runner for e in entries if e.grouping is not None}) <= 1
    return short if one_runner and len(set(short.values())) == len(short) else full


def _line(board: Leaderboard, row: Row, name: str) -> Line:
    scored = row.average is not None
    place = NOTHING if row.rank is None else str(row.rank)
    if row.entry.oracle and row.status is Status.OK:
        place = ORACLE
    spent = row.entry.deciding.seconds + row.training.seconds
    return Line(
        row=row,
        name=name,
        place=place,
        tier=NOTHING if row.tier is None else str(row.tier),
        grouping=row.entry.grouping or NOTHING,
        runner=row.entry.runner,
        average=_average(row),
        gain=_gain(board, row),
        models=_number(row.n_models),
        parameters=_millions(row.n_parameters),
        fits=str(row.training.fits) if scored else NOTHING,
        decide=duration(row.entry.deciding.seconds) if row.entry.deciding.fits else NOTHING,
        train=duration(row.training.seconds) if scored else NOTHING,
        time=duration(spent) if scored else NOTHING,
        tasks=tuple(_task(row, name, with_interval=False) for name in board.suite.names),
        task_intervals=tuple(_task(row, name, with_interval=True) for name in board.suite.names),
    )


def _average(row: Row) -> str:
    if row.average is None or row.average_ci is None:
        return str(row.status)
    text = f"{fraction(row.average)} ±{_half(row.average_ci)}"
    return text if row.status is Status.OK else f"{text} {row.status}"


def _gain(board: Leaderboard, row: Row) -> str:
    if row.entry.grouping == board.baseline and row.gain is not None:
        return "base"
    if row.gain is None:
        return NOTHING
    return f"{row.gain.points:+.1f}".replace("-0.0", "+0.0")


def _task(row: Row, name: str, *, with_interval: bool) -> str:
    score = row.scores.get(name)
    if score is None:
        return NOTHING
    worse = row.gain is not None and row.gain.tasks[name].significantly_worse
    text = fraction(score.mean)
    if with_interval:
        text += f" ±{_half(score.ci)}"
    return text + (WORSE if worse else "")


def _half(ends: tuple[float, float]) -> str:
    return fraction((ends[1] - ends[0]) / 2)


def _number(value: float | None) -> str:
    if value is None:
        return NOTHING
    return str(int(value)) if float(value).is_integer() else f"{value:.1f}"


def _millions(value: float | None) -> str:
    if not value:
        return NOTHING
    if value < 1e5:  # noqa: PLR2004 - under a tenth of a million
        return f"{value / 1e3:.3g}k"
    return f"{value / 1e6:.0f}M" if value >= 1e7 else f"{value / 1e6:.1f}M"  # noqa: PLR2004
