"""Cells and entries: what a run produces, and what a leaderboard is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.calls import Calls
    from groupbench.grouping import Grouping
    from groupbench.predictions import Predictions


class Status(StrEnum):
    """How a cell, or an entry, ended."""

    OK = "ok"
    PARTIAL = "partial"
    """Entries only: some of its cells failed."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It cannot run here; the reason holds the mend."""
    REFUSED = "refused"
    """A policy said no."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What some fits took. Sums over them; shared fits are counted once each time they are used."""

    fits: int = 0
    seconds: float = 0.0
    example_steps: int = 0
    usd: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.fits + other.fits,
            self.seconds + other.seconds,
            self.example_steps + other.example_steps,
            self.usd + other.usd,
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """One (grouping, runner, seed) of an experiment, for one draw where the grouping is random."""

    grouping: str | None
    """The strategy's spec; ``None`` for a runner that does not share."""
    runner: str
    """The runner's spec."""
    seed: int
    status: Status
    draw: int = 0
    reason: str | None = None
    fits: Mapping[str, str] = field(default_factory=dict)
    """The key of the fit that serves each task."""
    predictions: Mapping[str, Predictions] = field(default_factory=dict, repr=False)
    """On test, by task."""
    training: Spent = field(default_factory=Spent)
    """Of the fits that serve this cell."""
    predict_seconds: float = 0.0
    n_parameters: int = 0
    """Over all its models."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Train rows kept out of joint fits because they occur in another task's test, by task."""
    warnings: tuple[str, ...] = ()
    calls: Calls | None = None
    """What asking a model took, over the fits that serve this cell; ``None``: none was asked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a leaderboard: a (grouping, runner) over all its seeds and draws."""

    key: str
    """Content-addressed: the runner, the grouping's groups and its cells' fits."""
    grouping: str | None
    runner: str
    status: Status
    cells: tuple[Cell, ...]
    groupings: tuple[Grouping, ...] = ()
    """One for each draw; empty where ``grouping`` is ``None`` or was never decided."""
    reason: str | None = None
    oracle: bool = False
    """It knows the planted truth: a bound, not a competitor."""
    deciding: Spent = field(default_factory=Spent)
    """What the strategy asked for before it could decide."""
    warnings: tuple[str, ...] = ()
