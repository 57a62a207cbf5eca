"""Runs of the trained tiny Llama through the command line, and what is held of their accuracy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from trained_llama import TASK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sites import Site

POINTS = 0.20
"""By which a model that reads the text must beat the commonest label."""


@dataclass(frozen=True)
class Answers:
    """What one runner said about the test examples, in the order of their ids."""

    said: tuple[Any, ...]
    gold: tuple[Any, ...]

    @property
    def right(self) -> np.typing.NDArray[np.bool_]:
        """Which answers are right."""
        return np.array([a == b for a, b in zip(self.said, self.gold, strict=True)])

    def demand_far_above(self, baseline: Answers) -> None:
        """Assert that the 95 % interval of the accuracy lies `POINTS` above the baseline's."""
        right, n = self.right, len(self.said)
        accuracy = right.mean()
        lower = accuracy - 1.96 * np.sqrt(accuracy * (1 - accuracy) / n)
        assert n >= 500
        assert lower > baseline.right.mean() + POINTS


def run_trained(
    site: Site, store: Path, runners: Sequence[str], **environment: str
) -> dict[str, Answers]:
    """Return what each runner says about the task that the model has learnt."""
    chosen = [part for runner in runners for part in ("--runner", runner)]
    done = site.groupbench(
        *("run", "--task", TASK, "--grouping", "single"),
        *(*chosen, "--store", store, "--json"),
        timeout=600,
        **environment,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for entry in json.loads(done.stdout)["entries"]:
        assert entry["status"] == "ok", entry
        key = entry["key"]
        record = json.loads((store / "entries" / key[:2] / key / "record.json").read_text())
        fit = record["meta"]["cells"][0]["fits"][TASK]
        table = pq.read_table(store / "fits" / fit[:2] / fit / f"{TASK}.test.parquet").sort_by("id")
        said, gold = (tuple(table[column].to_pylist()) for column in ("predicted", "gold"))
        found[entry["runner"]] = Answers(said, gold)
    return found


def agreement(one: Answers, other: Answers) -> float:
    """Return the share of examples of which both say the same."""
    return float(np.mean([a == b for a, b in zip(one.said, other.said, strict=True)]))
