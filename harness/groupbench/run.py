"""The loop over every combination of grouping and runner, for every seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.bench import RunBench, spent_on
from groupbench.canonical import digest
from groupbench.cell import Cell, Entry, Spent, Status
from groupbench.errors import GroupbenchError
from groupbench.execute import describe_failure
from groupbench.grouping import Group, Grouping
from groupbench.jobs import Limits
from groupbench.policy import refusal
from groupbench.schedule import Scheduler
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from groupbench.fits import Fit
    from groupbench.keys import FitOrder, RunnerIdentity
    from groupbench.report.progress import Progress
    from groupbench.resolve import Resolved, StrategyChoice
    from groupbench.store import Store


@dataclass(frozen=True)
class RunStarted:
    """What observers hear when a run begins."""

    suite: str
    tasks: tuple[str, ...]
    groupings: tuple[str, ...]
    runners: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class RunFinished:
    """What came out of a run."""

    entries: tuple[Entry, ...]
    n_computed: int
    """Fits that this run computed; the others were in the store."""
    exit_code: int
    stopped: str | None = None
    """The limit that stopped it."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Tracebacks of failures, by cell."""


@dataclass(eq=False)
class Combination:
    """A strategy with a runner, on its way to an entry."""

    identity: RunnerIdentity
    strategy: StrategyChoice | None
    """``None`` for a runner that does not share."""
    groupings: tuple[Grouping, ...] = ()
    """One for each draw, once decided."""
    status: Status | None = None
    """Set where no cell will be computed."""
    reason: str | None = None

    @property
    def label(self) -> str | None:
        """The grouping's spec."""
        return self.strategy.label if self.strategy is not None else None


@dataclass(eq=False)
class Run:
    """One experiment being run against one store."""

    resolved: Resolved
    store: Store
    progress: Progress
    notify: Callable[[str, object], None]
    """Tells observers: hook name, and what to hand them."""
    details: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limits = self.resolved.experiment.limits
        self.scheduler = Scheduler(
            self.store,
            self.resolved.executor,
            Limits(limits.max_hours, limits.max_usd, limits.fit_minutes, limits.fit_memory_gb),
            self.progress,
        )
        self.benches = {
            use.identity.label: RunBench(
                self.resolved.suite,
                use.identity,
                self.resolved.experiment.seeds,
                self.scheduler,
                self.resolved.strategy_of,
            )
            for use in self.resolved.runners
        }

    def execute(self) -> RunFinished:
        """Run everything that the store lacks; return the entries, failed and skipped ones too.

        Raises:
            StoreError: a result could not be written.
        """
        resolved = self.resolved
        self.notify(
            "groupbench_run_started",
            RunStarted(
                resolved.suite.name,
                resolved.suite.names,
                tuple(s.label for s in resolved.strategies),
                tuple(use.identity.label for use in resolved.runners),
                resolved.experiment.seeds,
            ),
        )
        combinations = self.combinations()
        entries: dict[int, Entry] = {}
        with self.scheduler:
            evidence = self._decide_at_once(combinations)
            # Whatever can start does: fits that strategies wait for and fits already decided.
            ready = [c for c in combinations if c.groupings or c.strategy is None]
            self._compute(ready, evidence)
            for combination in combinations:
                if combination.status is None and not combination.groupings:
                    self._decide(combination)
            self._compute(combinations, [])
            for position, combination in enumerate(combinations):
                entries[position] = self._entry(combination)
                for cell in entries[position].cells:
                    self.notify("groupbench_cell_finished", cell)
        ordered = tuple(entries[position] for position in sorted(entries))
        return RunFinished(
            entries=ordered,
            n_computed=self.scheduler.n_computed,
            exit_code=exit_code(ordered, stopped=self.scheduler.stopped is not None),
            stopped=self.scheduler.stopped,
            details={**self.scheduler.details, **self.details},
        )

    def combinations(self) -> list[Combination]:
        """Return every combination, those that cannot run marked with the reason."""
        found = []
        for use in self.resolved.runners:
            runner = use.identity.runner
            shares = runner.shares and runner.trains
            strategies: Sequence[StrategyChoice | None] = use.strategies if shares else [None]
            status, reason = None, self._unavailable(use.identity)
            if reason is not None:
                status = Status.SKIPPED
            else:
                reason = refusal(self.resolved.suite, runner, self.resolved.experiment.allow)
                status = Status.REFUSED if reason is not None else None
            found += [
                Combination(use.identity, strategy, status=status, reason=reason)
                for strategy in strategies
            ]
        return found

    def _unavailable(self, identity: RunnerIdentity) -> str | None:
        """Return why a runner cannot run here; what its keys need may be missing too."""
        try:
            reason = identity.runner.availability()
            if reason is None:
                identity.ingredients  # noqa: B018 - weights may have to be found or fetched
        except GroupbenchError as problem:
            return str(problem)
        return reason

    def cells(self, combination: Combination) -> Iterator[tuple[int, int, Mapping[str, FitOrder]]]:
        """Yield seed, draw and the order that serves each task, for each cell of a combination."""
        bench = self.benches[combination.identity.label]
        seeds = bench.seeds if bench.runner.seeded else bench.seeds[:1]
        if combination.strategy is None:
            alone = [Group.of([name]) for name in self.resolved.suite.names]
            draws: Sequence[Sequence[Group]] = [alone]
        else:
            draws = [grouping.groups for grouping in combination.groupings]
        for draw, groups in enumerate(draws):
            for seed in seeds:
                orders = {group: bench.order(group, seed) for group in groups}
                yield seed, draw, {t: orders[g] for g in groups for t in g.serves}

    def _decide_at_once(self, combinations: Sequence[Combination]) -> list[FitOrder]:
        """Decide what needs no evidence; return the fits that the others need."""
        evidence: list[FitOrder] = []
        for combination in combinations:
            if combination.strategy is None or combination.status is not None:
                continue
            bench = self.benches[combination.identity.label]
            try:
                plans = [bench.plan(draw) for draw in combination.strategy.draws]
            except Exception as failure:  # noqa: BLE001 - a plugin may raise anything
                self._fail(combination, failure)
                continue
            needed = [order for plan in plans for order in bench.orders(plan.fits)]
            if needed:
                evidence += needed
            else:
                self._decide(combination)
        return evidence

    def _decide(self, combination: Combination) -> None:
        if combination.strategy is None:
            return
        bench = self.benches[combination.identity.label]
        try:
            combination.groupings = tuple(
                bench.propose(strategy) for strategy in combination.strategy.draws
            )
        except Exception as failure:  # noqa: BLE001 - a plugin may raise anything
            self._fail(combination, failure)

    def _fail(self, combination: Combination, failure: Exception) -> None:
        line, trace = describe_failure(failure)
        combination.status = Status.FAILED
        combination.reason = str(failure) if isinstance(failure, GroupbenchError) else line
        self.details[f"{combination.label}/{combination.identity.label}"] = trace

    def _compute(
        self, combinations: Sequence[Combination], evidence: Sequence[FitOrder]
    ) -> Mapping[str, Fit]:
        wanted = [
            order
            for combination in combinations
            if combination.status is None
            for _, _, serving in self.cells(combination)
            for order in serving.values()
        ]
        return self.scheduler.complete([*evidence, *wanted])

    def _entry(self, combination: Combination) -> Entry:
        """Return the entry of a combination whose fits have been computed, as far as they could."""
        identity, bench = combination.identity, self.benches[combination.identity.label]
        cells: list[Cell] = []
        if combination.status is None:
            cells = [
                self._cell(combination, seed, draw, serving)
                for seed, draw, serving in self.cells(combination)
            ]
            status, reason = _status_of(cells)
            if self.scheduler.stopped is not None and status is Status.FAILED:
                status = Status.REFUSED
        else:
            status, reason = combination.status, combination.reason
        strategy = combination.strategy
        deciding = Spent()
        warnings: dict[str, None] = {}
        if strategy is not None and combination.groupings:
            for draw in strategy.draws:
                deciding += bench.deciding(draw)
            for grouping in combination.groupings:
                warnings.update(dict.fromkeys(grouping.warnings))
        for cell in cells:
            warnings.update(dict.fromkeys(cell.warnings))
        content = {
            "grouping": combination.label,
            "runner": identity.label,
            "tasks": {task.name: task.fingerprint for task in self.resolved.suite},
            "cells": [[c.seed, c.draw, str(c.status), dict(c.fits)] for c in cells],
            "reason": reason,
        }
        return Entry(
            key=digest(content),
            grouping=combination.label,
            runner=identity.label,
            status=status,
            cells=tuple(cells),
            groupings=combination.groupings,
            reason=reason,
            oracle=strategy.oracle if strategy is not None else False,
            deciding=deciding,
            warnings=tuple(warnings),
        )

    def _cell(
        self, combination: Combination, seed: int, draw: int, serving: Mapping[str, FitOrder]
    ) -> Cell:
        orders = {order.key: order for order in serving.values()}
        fits = {key: self.scheduler.stored(order) for key, order in orders.items()}
        missing = {
            orders[key].label: self.scheduler.failures.get(key, "it was not computed")
            for key, fit in fits.items()
            if fit is None
        }
        common = {
            "grouping": combination.label,
            "runner": combination.identity.label,
            "seed": seed,
            "draw": draw,
            "fits": {task: order.key for task, order in serving.items()},
        }
        if missing:
            reason = "; ".join(f"{name}: {why}" for name, why in missing.items())
            return Cell(status=Status.FAILED, reason=reason, **common)  # type: ignore[arg-type] # typed above
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
    return status, bad[0].reason


def exit_code(entries: Sequence[Entry], *, stopped: bool) -> int:
    """Return the exit code of a finished run (architecture.md, Command line)."""
    statuses = {entry.status for entry in entries}
    done = statuses & {Status.OK, Status.PARTIAL}
    if stopped or (Status.REFUSED in statuses and not done and Status.FAILED not in statuses):
        return 6
    if statuses & {Status.FAILED, Status.PARTIAL}:
        return 3
    return 0 if done else 5
