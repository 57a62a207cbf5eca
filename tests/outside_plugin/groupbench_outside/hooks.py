"""What this plugin offers. Nothing heavy is imported here: listings would pay for it."""

from __future__ import annotations

from pathlib import Path

from groupbench import hookimpl
from groupbench_outside.runner import Averaged
from groupbench_outside.strategy import Centroids

GROUPBENCH_API = 1


@hookimpl
def groupbench_register_tasks() -> list[Path]:
    return [Path(__file__).parent / "cards"]


@hookimpl
def groupbench_register_groupings() -> list[type[Centroids]]:
    return [Centroids]


@hookimpl
def groupbench_register_runners() -> list[type[Averaged]]:
    return [Averaged]
