"""Entries as JSON, all but their predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.calls import Calls
from groupbench.canonical import to_json
from groupbench.cell import Cell, Entry, Spent, Status
from groupbench.grouping import Group, Grouping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.leaderboard.facts import SuiteFacts
    from groupbench.predictions import Predictions
    from groupbench.stats.sample import CellId

SCHEMA = "groupbench/entry/1"


def entry_json(suite: SuiteFacts, entry: Entry) -> dict[str, Any]:
    """Return an entry and the suite that it was judged on."""
    return {
        "schema": SCHEMA,
        "key": entry.key,
        "suite": suite.to_json(),
        "grouping": entry.grouping,
        "runner": entry.runner,
        "status": str(entry.status),
        "reason": entry.reason,
        "oracle": entry.oracle,
        "groupings": [
            {
                "groups": [{"trains": list(g.trains), "serves": list(g.serves)} for g in grouping],
                "warnings": list(grouping.warnings),
            }
            for grouping in entry.groupings
        ],
        "deciding": to_json(entry.deciding),
        "warnings": list(entry.warnings),
        "cells": [
            {
                "seed": cell.seed,
                "draw": cell.draw,
                "status": str(cell.status),
                "reason": cell.reason,
                "fits": dict(cell.fits),
                "training": to_json(cell.training),
                "predict_seconds": cell.predict_seconds,
                "n_parameters": cell.n_parameters,
                "left_out": dict(cell.left_out),
                "warnings": list(cell.warnings),
                **({} if cell.calls is None else {"calls": to_json(cell.calls)}),
            }
            for cell in entry.cells
        ],
    }


def entry_of(
    document: Mapping[str, Any], predictions: Mapping[CellId, Mapping[str, Predictions]]
) -> Entry:
    """Return the entry that `entry_json` wrote, with its cells' predictions."""
    cells = tuple(
        Cell(
            grouping=document["grouping"],
            runner=document["runner"],
            seed=cell["seed"],
            status=Status(cell["status"]),
            draw=cell["draw"],
            reason=cell["reason"],
            fits=cell["fits"],
            predictions=predictions.get((cell["seed"], cell["draw"]), {}),
            training=Spent(**cell["training"]),
            predict_seconds=cell["predict_seconds"],
            n_parameters=cell["n_parameters"],
            left_out=cell["left_out"],
            warnings=tuple(cell["warnings"]),
            calls=Calls.from_json(cell.get("calls")),
        )
        for cell in document["cells"]
    )
    groupings = tuple(
        Grouping(
            tuple(Group(tuple(g["trains"]), tuple(g["serves"])) for g in grouping["groups"]),
            warnings=tuple(grouping["warnings"]),
        )
        for grouping in document["groupings"]
    )
    return Entry(
        key=document["key"],
        grouping=document["grouping"],
        runner=document["runner"],
        status=Status(document["status"]),
        cells=cells,
        groupings=groupings,
        reason=document["reason"],
        oracle=document["oracle"],
        deciding=Spent(**document["deciding"]),
        warnings=tuple(document["warnings"]),
    )
