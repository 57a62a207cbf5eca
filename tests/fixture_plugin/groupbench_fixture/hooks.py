"""What the fixture plugin offers."""

from __future__ import annotations

from groupbench.hookspecs import hookimpl
from groupbench_fixture.runner import AbsentRunner, CloudRunner, CountingRunner
from groupbench_fixture.served import ServedRunner
from groupbench_fixture.strategy import (
    HalvesStrategy,
    PeekingStrategy,
    RaisingStrategy,
    UnfitStrategy,
)


@hookimpl
def groupbench_register_runners() -> list[type]:
    return [CountingRunner, AbsentRunner, CloudRunner, ServedRunner]


@hookimpl
def groupbench_register_groupings() -> list[type]:
    return [HalvesStrategy, PeekingStrategy, RaisingStrategy, UnfitStrategy]
