"""The workbench of a run: evidence for strategies, from the scheduler and the store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from groupbench.canonical import digest
from groupbench.cell import Spent
from groupbench.code import deciding_code
from groupbench.decisions import read_grouping, write_grouping
from groupbench.errors import UnavailableError
from groupbench.fits import BlindFit, failed
from groupbench.keys import FitOrder, RunnerIdentity
from groupbench.settings import label, settings_of
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from groupbench.fits import Fit
    from groupbench.grouping import Group, Grouping, GroupingStrategy, Plan, PlannedFits
    from groupbench.runner import Probe, Runner
    from groupbench.schedule import Scheduler
    from groupbench.suite import Suite
    from groupbench.task import Task
    from groupbench.variants import Variant

EVIDENCE = (Split.DEV_A, Split.DEV_B)
"""What a runner that does not train predicts where a strategy, or PVI, asks for evidence."""


@dataclass(eq=False)
class RunBench:
    """Evidence about one suite with one runner. Implements `groupbench.workbench.Workbench`."""

    full_suite: Suite
    """With test split and planted truth; never handed to a strategy that is no oracle."""
    identity: RunnerIdentity
    seeds: tuple[int, ...]
    scheduler: Scheduler
    strategy_of: Callable[[str], GroupingStrategy]
    """Makes a strategy from a spec."""
    _variants: dict[tuple[str, Variant], Task] = field(default_factory=dict)
    _orders: dict[object, FitOrder] = field(default_factory=dict)
    _consulted: bool = False

    def __post_init__(self) -> None:
        self.suite = self.full_suite.blinded()

    @property
    def runner(self) -> Runner:
        """The configured runner."""
        return self.identity.runner

    @property
    def runner_name(self) -> str:
        """The runner's spec, for evidence and messages."""
        return self.identity.label

    def order(  # noqa: PLR0913 - what makes a fit
        self,
        group: Group,
        seed: int,
        *,
        variant: Variant | None = None,
        probes: Sequence[Probe] = (),
        keep_weights: bool = False,
        splits: tuple[Split, ...] = (Split.TEST,),
    ) -> FitOrder:
        """Return the order of one fit of ``group``.

        ``splits`` is what a runner that does not train predicts; one that does predicts them all.
        """
        which = (group, seed, variant, tuple(probes), keep_weights, splits)
        if which not in self._orders:
            tasks = tuple(self._task(name, variant) for name in group.trains)
            self._orders[which] = FitOrder(
                self.identity, tasks, seed, tuple(probes), keep_weights, splits
            )
        return self._orders[which]

    def orders(self, planned: Sequence[PlannedFits]) -> list[FitOrder]:
        """Return the orders of planned fits, for every seed."""
        return [
            self.order(group, seed, variant=part.variant, probes=part.probes, splits=EVIDENCE)
            for part in planned
            for group in part.groups
            for seed in self.seeds
        ]

    def fits(
        self,
        groups: Sequence[Group],
        *,
        variant: Variant | None = None,
        probes: Sequence[Probe] = (),
        keep_weights: bool = False,
    ) -> Mapping[tuple[Group, int], BlindFit]:
        """Return a fit of each group for each seed, training what is not stored.

        Raises:
            FitsFailedError: some could not be had; it names them and why.
        """
        orders = {
            (group, seed): self.order(
                group,
                seed,
                variant=variant,
                probes=probes,
                keep_weights=keep_weights,
                splits=EVIDENCE,
            )
            for group in groups
            for seed in self.seeds
        }
        found = self.complete(list(orders.values()))
        return {which: BlindFit(found[order.key]) for which, order in orders.items()}

    def complete(self, orders: Sequence[FitOrder]) -> Mapping[str, Fit]:
        """Return all fits by key.

        Raises:
            FitsFailedError: some could not be had; it names them and why.
            UnavailableError: what they need is not here.
        """
        found = self.scheduler.complete(orders)
        missing = [
            (order, self.scheduler.failures.get(order.key, "it was not computed"))
            for order in orders
            if order.key not in found
        ]
        if missing and {order.key for order, _ in missing} <= self.scheduler.unavailable:
            raise UnavailableError(missing[0][1])  # one for all: it is of the runner
        if missing:
            raise failed(missing)
        return found

    def seen_by(self, strategy: GroupingStrategy) -> Suite:
        """Return the suite as ``strategy`` may see it: oracles get the planted truth."""
        if not getattr(strategy, "oracle", False):
            return self.suite
        told = [
            replace(blind, planted=task.planted)
            for blind, task in zip(self.suite, self.full_suite, strict=True)
        ]
        return replace(self.suite, tasks=tuple(told))

    def plan(self, spec: str | GroupingStrategy) -> Plan:
        """Return what a strategy will ask for."""
        strategy = self.strategy_of(spec) if isinstance(spec, str) else spec
        return strategy.plan(self.seen_by(strategy), self)

    def propose(self, spec: str | GroupingStrategy) -> Grouping:
        """Return a strategy's grouping: decided once, then read from the store.

        Raises:
            GroupbenchError: the strategy refused, or its evidence could not be had.
        """
        strategy = self.strategy_of(spec) if isinstance(spec, str) else spec
        if isinstance(spec, str):
            self._consulted = True
        suite = self.seen_by(strategy)
        planned = strategy.plan(suite, self)
        orders = self.orders(planned.fits)
        key = self._decision_key(strategy, orders)
        stored = self.scheduler.store.get("groupings", key) if orders else None
        if stored is not None:
            return read_grouping(stored)
        if orders:
            self.complete(orders)
        self._consulted = False
        grouping = strategy.propose(suite, self)
        grouping.check(suite)
        if orders and not self._consulted and self.scheduler.store.writable:
            # A decision that rests on another strategy's is cheap, and its code is not in the key.
            write_grouping(self.scheduler.store, key, grouping, label(strategy))
        return grouping

    def deciding(self, strategy: GroupingStrategy) -> Spent:
        """Return what the fits cost that a strategy asks for before it can decide."""
        orders = {order.key: order for order in self.orders(self.plan(strategy).fits)}
        spent = Spent()
        for order in orders.values():
            fit = self.scheduler.stored(order)
            if fit is not None:
                spent += spent_on(fit)
        return spent

    def _decision_key(self, strategy: GroupingStrategy, orders: Sequence[FitOrder]) -> str:
        modules = getattr(type(strategy), "deciding_modules", ())
        return digest(
            {
                "strategy": strategy.name,
                "settings": settings_of(strategy),
                "code": deciding_code(type(strategy), modules),
                "tasks": {
                    task.name: [str(task.kind), task.domain, list(task.labels)]
                    for task in self.full_suite
                },
                "seeds": list(self.seeds),
                "evidence": sorted(order.key for order in orders),
            }
        )

    def _task(self, name: str, variant: Variant | None) -> Task:
        task = self.full_suite[name]
        if variant is None:
            return task
        if (name, variant) not in self._variants:
            self._variants[name, variant] = variant(task)
        return self._variants[name, variant]


def spent_on(fit: Fit) -> Spent:
    """Return what one fit took."""
    costs = fit.costs
    return Spent(
        fits=1,
        seconds=costs.train_seconds + costs.predict_seconds,
        example_steps=costs.example_steps,
        usd=costs.usd,
    )
