"""A leaderboard as JSON: the document of kind ``leaderboard``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.canonical import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.cell import Spent
    from groupbench.grouping import Grouping
    from groupbench.leaderboard import Leaderboard
    from groupbench.leaderboard.row import CellScore, Row, TaskScore

SCHEMA = "groupbench/leaderboard/1"


def document(board: Leaderboard) -> dict[str, Any]:
    """Return ``board`` as JSON: finite numbers, ``null`` where something is not defined.

    Scores are fractions. ``gain_points`` and its interval are hundredths, ``relative_gain`` is
    Delta_m in percent. ``training`` holds all seeds of one grouping (of random draws, the mean
    draw), ``deciding`` what the strategy asked for before it could decide, ``predict_seconds`` one
    cell, ``cost_usd`` everything. ``calls`` is what asking a model took over all cells, ``null``
    for runners that ask none; ``outcome_rates`` and ``input_cut`` are shares of all test examples;
    ``average_answered`` is the mean over tasks of the score among answered examples.
    """
    plain = {
        "schema": SCHEMA,
        "suite": board.suite.name,
        "note": board.suite.note,
        "tasks": list(board.suite.names),
        "facts": [task.to_json() for task in board.suite.tasks],
        "baseline": board.baseline,
        "resolution": _rounded(board.resolution),
        "entries": [_entry(row) for row in board.rows],
        "cells": [_cell(row, cell) for row in board.rows for cell in row.cells],
    }
    converted = to_json(plain)  # raises where a number is not finite
    assert isinstance(converted, dict)  # noqa: S101 - for the type checker
    return converted


def _entry(row: Row) -> dict[str, Any]:
    entry, gain = row.entry, row.gain
    groupings = [_groups(grouping) for grouping in entry.groupings]
    calls = None if row.calls is None else row.calls.summary()
    return {
        "key": entry.key,
        "rank": row.rank,
        "tier": row.tier,
        "grouping": entry.grouping,
        "runner": entry.runner,
        "oracle": entry.oracle,
        "status": str(row.status),
        "reason": row.reason,
        "seeds": list(row.seeds),
        "draws": row.draws,
        "scores": {name: _score(score) for name, score in row.scores.items()},
        "average": _rounded(row.average),
        "average_std": _rounded(row.average_std),
        "average_ci": _interval(row.average_ci),
        "relative_gain": _rounded(gain.relative, 4) if gain else None,
        "gain_points": _rounded(gain.points, 4) if gain else None,
        "gain_points_ci": _interval(gain.points_ci, 4) if gain else None,
        "gains": {
            name: {"points": _rounded(g.points, 4), "points_ci": _interval(g.points_ci, 4)}
            for name, g in gain.tasks.items()
        }
        if gain
        else {},
        "negative_transfer": {k: _rounded(v) for k, v in gain.negative_transfer.items()}
        if gain
        else None,
        "n_models": _count(row.n_models),
        "n_parameters": _count(row.n_parameters),
        "groups": groupings[0] if len(groupings) == 1 else None,
        "groupings": groupings,
        "deciding": _spent(entry.deciding),
        "training": _spent(row.training),
        "predict_seconds": _rounded(row.predict_seconds, 3),
        "latency_ms": None if calls is None else calls["latency_ms"],
        "cost_usd": _rounded(row.cost_usd),
        "calls": calls,
        "outcome_rates": {name: _rounded(rate) for name, rate in row.outcome_rates.items()},
        "average_answered": _rounded(row.average_answered),
        "input_cut": _rounded(row.input_cut),
        "warnings": list(entry.warnings),
    }


def _score(score: TaskScore) -> dict[str, Any]:
    return {
        "metric": score.metric,
        "mean": _rounded(score.mean),
        "std": _rounded(score.std),
        "per_seed": [_rounded(value) for value in score.per_seed],
        "n_test": score.n_test,
        "ci": _interval(score.ci),
        "outcome_rates": {name: _rounded(rate) for name, rate in score.outcome_rates.items()},
        "score_answered": _rounded(score.score_answered),
        "input_cut": _rounded(score.input_cut),
    }


def _cell(row: Row, each: CellScore) -> dict[str, Any]:
    cell = each.cell
    scores = [each.scores[name] for name in each.scores]
    return {
        "entry": row.entry.key,
        "grouping": cell.grouping,
        "runner": cell.runner,
        "seed": cell.seed,
        "draw": cell.draw,
        "status": str(each.status),
        "reason": each.reason,
        "scores": {name: _rounded(score) for name, score in each.scores.items()},
        "average": _rounded(sum(scores) / len(scores)) if scores else None,
        "fits": dict(cell.fits),
        "training": _spent(cell.training),
        "predict_seconds": _rounded(cell.predict_seconds, 3),
        "calls": None if cell.calls is None else cell.calls.summary(),
        "left_out": dict(cell.left_out),
        "warnings": list(cell.warnings),
    }


def _groups(grouping: Grouping) -> list[dict[str, list[str]]]:
    return [{"trains": list(g.trains), "serves": list(g.serves)} for g in grouping]


def _spent(spent: Spent) -> dict[str, Any]:
    return {
        "fits": spent.fits,
        "seconds": _rounded(spent.seconds, 3),
        "example_steps": spent.example_steps,
        "usd": _rounded(spent.usd),
    }


def _interval(ends: Sequence[float] | None, digits: int = 6) -> list[float | None] | None:
    return None if ends is None else [_rounded(end, digits) for end in ends]


def _rounded(value: float | None, digits: int = 6) -> float | None:
    """Return ``value`` without the digits that another machine's arithmetic may change."""
    return None if value is None else round(float(value), digits) + 0.0


def _count(value: float | None) -> float | int | None:
    if value is None:
        return None
    return int(value) if float(value).is_integer() else round(value, 2)
