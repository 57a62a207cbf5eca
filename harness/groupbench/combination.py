"""A combination of grouping and runner: its cells, and the entry that they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.bench import spent_on
from groupbench.calls import total
from groupbench.canonical import digest
from groupbench.cell import Cell, Entry, Spent, Status
from groupbench.fits import why_failed
from groupbench.grouping import Group, Grouping
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from groupbench.bench import RunBench
    from groupbench.keys import FitOrder, RunnerIdentity
    from groupbench.resolve import StrategyChoice


@dataclass(eq=False)
class Combination:
    """A strategy with a runner, on its way to an entry."""

    bench: RunBench
    """Of its runner."""
    strategy: StrategyChoice | None
    """``None`` for a runner that does not share."""
    groupings: tuple[Grouping, ...] = ()
    """One for each draw, once decided."""
    status: Status | None = None
    """Set where no cell will be computed."""
    reason: str | None = None

    @property
    def identity(self) -> RunnerIdentity:
        """The runner."""
        return self.bench.identity

    @property
    def label(self) -> str | None:
        """The grouping's spec."""
        return self.strategy.label if self.strategy is not None else None

    def cells(self) -> Iterator[tuple[int, int, Mapping[str, FitOrder]]]:
        """Yield seed, draw and the order that serves each task, for each of its cells."""
        bench = self.bench
        seeds = bench.seeds if bench.runner.seeded else bench.seeds[:1]
        if self.strategy is None:
            alone = [Group.of([name]) for name in bench.full_suite.names]
            draws: Sequence[Sequence[Group]] = [alone]
        else:
            draws = [grouping.groups for grouping in self.groupings]
        for draw, groups in enumerate(draws):
            for seed in seeds:
                orders = {group: bench.order(group, seed) for group in groups}
                yield seed, draw, {t: orders[g] for g in groups for t in g.serves}

    def entry(self) -> Entry:
        """Return its entry, once its fits have been computed as far as they could."""
        bench = self.bench
        cells: list[Cell] = []
        if self.status is None:
            cells = [self._cell(seed, draw, serving) for seed, draw, serving in self.cells()]
            status, reason = _status_of(cells)
            if self.bench.scheduler.stopped is not None and status is Status.FAILED:
                status = Status.REFUSED
        else:
            status, reason = self.status, self.reason
        strategy = self.strategy
        deciding = Spent()
        warnings: dict[str, None] = {}
        if strategy is not None and self.groupings:
            for draw in strategy.draws:
                deciding += bench.deciding(draw)
            for grouping in self.groupings:
                warnings.update(dict.fromkeys(grouping.warnings))
        for cell in cells:
            warnings.update(dict.fromkeys(cell.warnings))
        content = {
            "grouping": self.label,
            "runner": self.identity.label,
            "tasks": {task.name: task.fingerprint for task in bench.full_suite},
            "cells": [[c.seed, c.draw, str(c.status), dict(c.fits)] for c in cells],
            "reason": reason,
        }
        return Entry(
            key=digest(content),
            grouping=self.label,
            runner=self.identity.label,
            status=status,
            cells=tuple(cells),
            groupings=self.groupings,
            reason=reason,
            oracle=strategy.oracle if strategy is not None else False,
            deciding=deciding,
            warnings=tuple(warnings),
        )

    def _cell(self, seed: int, draw: int, serving: Mapping[str, FitOrder]) -> Cell:
        orders = {order.key: order for order in serving.values()}
        fits = {key: self.bench.scheduler.stored(order) for key, order in orders.items()}
        missing = [
            (orders[key], self.bench.scheduler.failures.get(key, "it was not computed"))
            for key, fit in fits.items()
            if fit is None
        ]
        common = {
            "grouping": self.label,
            "runner": self.identity.label,
            "seed": seed,
            "draw": draw,
            "fits": {task: order.key for task, order in serving.items()},
        }
        if missing:
            reason = why_failed(missing)
            skipped = {order.key for order, _ in missing} <= self.bench.scheduler.unavailable
            if skipped:
                reason = missing[0][1]  # one for all: it is of the runner
            status = Status.SKIPPED if skipped else Status.FAILED
            return Cell(status=status, reason=reason, **common)  # type: ignore[arg-type] # typed above
        there = {key: fit for key, fit in fits.items() if fit is not None}
        training = Spent()
        left_out: dict[str, int] = {}
        for fit in there.values():
            training += spent_on(fit)
            left_out.update(fit.result["left_out"])
        return Cell(
            status=Status.OK,
            predictions={
                task: there[order.key].predictions(task, Split.TEST)
                for task, order in serving.items()
            },
            training=training,
            predict_seconds=sum(fit.costs.predict_seconds for fit in there.values()),
            n_parameters=sum(fit.costs.n_parameters for fit in there.values()),
            calls=total([fit.costs.calls for fit in there.values()]),
            left_out=left_out,
            warnings=tuple(
                f"{fit.order.label}: {warning}"
                for fit in there.values()
                for warning in fit.warnings
            ),
            **common,  # type: ignore[arg-type] # typed above
        )


def _status_of(cells: Sequence[Cell]) -> tuple[Status, str | None]:
    """Return an entry's status and reason from its cells."""
    bad = [cell for cell in cells if cell.status is not Status.OK]
    if not bad:
        return Status.OK, None
    status = Status.FAILED if len(bad) == len(cells) else Status.PARTIAL
    if all(cell.status is Status.SKIPPED for cell in cells):
        status = Status.SKIPPED
    return status, bad[0].reason
