"""Leaderboards: scores of entries with uncertainty, ranks and costs; a pure function of entries."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.cell import Status
from groupbench.leaderboard.facts import SuiteFacts, TaskFacts
from groupbench.leaderboard.gains import Gain, gain_over
from groupbench.leaderboard.row import CellScore, Row, TaskScore, cell_score, row_of, samples_of
from groupbench.leaderboard.scoring import Judged, judge
from groupbench.stats.bootstrap import N_DRAWS
from groupbench.stats.ranks import ranks, tiers
from groupbench.stats.sample import CellId, Sample, difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from groupbench.cell import Entry
    from groupbench.metrics import Metric

__all__ = ["CellScore", "Leaderboard", "Row", "SuiteFacts", "TaskFacts", "TaskScore"]

_STATUS_ORDER = (Status.OK, Status.PARTIAL, Status.FAILED, Status.SKIPPED, Status.REFUSED)
_EIGHTY_PERCENT_POWER = 2.8
"""Standard errors of a difference that a two-sided 5 % test finds four times out of five."""


@dataclass(frozen=True)
class Leaderboard:
    """Entries of one suite, ranked."""

    suite: SuiteFacts
    baseline: str
    """The grouping that gains are against, with the same runner."""
    rows: tuple[Row, ...]
    """Best first; then partial, failed, skipped and refused ones."""
    resolution: float | None = None
    """The smallest difference of averages that these test sets and seeds would tell from 0 with
    80 % power: the median over ranked entries, each compared with the best."""

    @classmethod
    def of(  # noqa: PLR0913 - what a leaderboard depends on, and nothing else
        cls,
        suite: SuiteFacts,
        entries: Sequence[Entry],
        *,
        baseline: str = "single",
        metrics: Mapping[str, Metric],
        published: Mapping[str, Mapping[CellId, Mapping[str, Judged]]] | None = None,
        n_draws: int = N_DRAWS,
    ) -> Leaderboard:
        """Return the leaderboard of ``entries``: a pure function, whatever their order.

        Args:
            suite: what they were judged on.
            entries: failed, skipped and refused ones too.
            baseline: the grouping that gains are against.
            metrics: by task.
            published: scores in place of predictions that may not be published: by entry's key,
                cell and task.
            n_draws: bootstrap draws of the test examples.
        """
        ordered = sorted({e.key: e for e in entries}.values(), key=_label)
        judged = _judge(suite, ordered, metrics, published or {}, n_draws)
        samples: dict[str, dict[str, Sample]] = {}
        averages: dict[str, Sample] = {}
        rows = []
        for entry in ordered:
            cells = tuple(cell_score(suite, cell, judged[entry.key]) for cell in entry.cells)
            mine = samples_of(suite, cells, judged[entry.key], metrics)
            samples[entry.key] = mine
            if mine:
                averages[entry.key] = Sample.averaged(list(mine.values()))
            rows.append(row_of(suite, entry, cells, mine, judged[entry.key]))
        bases = {r.entry.runner: r.entry.key for r in reversed(rows) if _is_base(r, baseline)}
        placed = _placed(rows, averages)
        final = [
            replace(row, rank=rank, tier=tier, gain=_gain(row, bases, samples, averages))
            for row in rows
            for rank, tier in [placed.get(row.entry.key, (None, None))]
        ]
        final.sort(key=lambda r: (_STATUS_ORDER.index(r.status), -_score(r), _label(r.entry)))
        return cls(suite, baseline, tuple(final), _resolution(final, averages))

    def to_json(self) -> dict[str, Any]:
        """Return the document of kind ``leaderboard``."""
        from groupbench.report.document import document

        return document(self)

    def to_markdown(self) -> str:
        """Return the leaderboard as Markdown: equal leaderboards give equal bytes."""
        from groupbench.report.markdown import markdown

        return markdown(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show the leaderboard in the width there is."""
        from groupbench.report.terminal import render

        yield from render(self, console, options)


def _judge(
    suite: SuiteFacts,
    entries: Sequence[Entry],
    metrics: Mapping[str, Metric],
    published: Mapping[str, Mapping[CellId, Mapping[str, Judged]]],
    n_draws: int,
) -> dict[str, dict[CellId, dict[str, Judged | str]]]:
    """Return verdicts by entry, cell and task."""
    found: dict[str, dict[CellId, dict[str, Judged | str]]] = {
        entry.key: {(cell.seed, cell.draw): {} for cell in entry.cells} for entry in entries
    }
    for task in suite.tasks:
        asked = {}
        for entry in entries:
            for cell in entry.cells:
                which = cell.seed, cell.draw
                known = published.get(entry.key, {}).get(which, {}).get(task.name)
                if cell.status is not Status.OK:
                    continue
                if task.name in cell.predictions:
                    asked[entry.key, which] = cell.predictions[task.name]
                else:
                    lacking = f"it has no predictions for {task.name}"
                    found[entry.key][which][task.name] = known or lacking
        verdicts = judge(task, metrics[task.name], asked, n_draws=n_draws)
        for (key, which), verdict in verdicts.items():
            found[key][which][task.name] = verdict
    return found


def _placed(rows: Sequence[Row], averages: Mapping[str, Sample]) -> dict[str, tuple[int, int]]:
    """Return rank and tier of the entries that compete: complete ones that are no oracle."""
    competing = [r.entry.key for r in rows if r.status is Status.OK and not r.entry.oracle]
    competing = [key for key in competing if key in averages]
    scores = [averages[key].mean for key in competing]

    def p(one: int, two: int) -> float:
        return difference(averages[competing[one]], averages[competing[two]]).p_value()

    places = zip(competing, ranks(scores), tiers(scores, p), strict=True)
    return {key: (rank, tier) for key, rank, tier in places}


def _resolution(rows: Sequence[Row], averages: Mapping[str, Sample]) -> float | None:
    ranked = [row.entry.key for row in rows if row.rank is not None]
    errors = [difference(averages[ranked[0]], averages[key]).std_error for key in ranked[1:]]
    return _EIGHTY_PERCENT_POWER * float(np.median(errors)) if errors else None


def _is_base(row: Row, baseline: str) -> bool:
    return row.entry.grouping == baseline and row.average is not None


def _gain(
    row: Row,
    bases: Mapping[str, str],
    samples: Mapping[str, Mapping[str, Sample]],
    averages: Mapping[str, Sample],
) -> Gain | None:
    base = bases.get(row.entry.runner)
    key = row.entry.key
    if base is None or row.entry.grouping is None or key not in averages:
        return None
    return gain_over(samples[key], samples[base], averages[key], averages[base])


def _score(row: Row) -> float:
    return round(row.average, 12) if row.average is not None else -math.inf


def _label(entry: Entry) -> tuple[str, str, str]:
    return entry.grouping or "", entry.runner, entry.key
