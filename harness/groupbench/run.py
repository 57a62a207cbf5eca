"""The loop over every combination of grouping and runner, for every seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.allowance import Allowance
from groupbench.bench import RunBench
from groupbench.cell import Entry, Status
from groupbench.combination import Combination
from groupbench.errors import GroupbenchError, IncompatibleError, UnavailableError
from groupbench.failure import describe_failure
from groupbench.policy import refusal, unpriced
from groupbench.schedule import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
class Run:
    """One experiment being run against one store."""

    resolved: Resolved
    store: Store
    progress: Progress
    notify: Callable[[str, object], None]
    """Tells observers: hook name, and what to hand them."""
    details: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(
            self.store,
            self.resolved.executor,
            Allowance(self.resolved.experiment.limits),
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
                    self.decide(combination)
            self._compute(combinations, [])
            for position, combination in enumerate(combinations):
                entries[position] = combination.entry()
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
            bench = self.benches[use.identity.label]
            shares = runner.shares and runner.trains
            strategies: Sequence[StrategyChoice | None] = use.strategies if shares else [None]
            status, reason = None, self._unavailable(use.identity)
            if reason is not None and not (strategies == [None] and self._is_stored(bench)):
                status = Status.SKIPPED
            else:
                experiment = self.resolved.experiment
                reason = refusal(self.resolved.suite, runner, experiment.allow)
                reason = reason or unpriced(runner, experiment.limits.max_usd)
                status = Status.REFUSED if reason is not None else None
            found += [
                Combination(bench, strategy, status=status, reason=reason)
                for strategy in strategies
            ]
        return found

    def _is_stored(self, bench: RunBench) -> bool:
        """Return whether the store has all that a runner without a strategy is asked for.

        Then it needs no key, no package and no model that is still served.
        """
        try:
            orders = [
                o for *_, serving in Combination(bench, None).cells() for o in serving.values()
            ]
            return all(self.scheduler.stored(order) is not None for order in orders)
        except GroupbenchError:
            return False

    def _unavailable(self, identity: RunnerIdentity) -> str | None:
        """Return why a runner cannot run here; what its keys need may be missing too."""
        try:
            reason = identity.runner.availability()
            if reason is None:
                identity.ingredients  # noqa: B018 - weights may have to be found or fetched
        except GroupbenchError as problem:
            return str(problem)
        return reason

    def _decide_at_once(self, combinations: Sequence[Combination]) -> list[FitOrder]:
        """Decide what needs no evidence; return the fits that the others need."""
        evidence: list[FitOrder] = []
        for combination in combinations:
            if combination.strategy is None or combination.status is not None:
                continue
            needed = self.evidence(combination)
            evidence += needed
            if combination.status is None and not needed:
                self.decide(combination)
        return evidence

    def evidence(self, combination: Combination) -> list[FitOrder]:
        """Return the fits that a combination's strategy needs in order to decide.

        A strategy that cannot plan marks the combination, with the reason.
        """
        if combination.strategy is None:
            return []
        bench = combination.bench
        try:
            plans = [bench.plan(draw) for draw in combination.strategy.draws]
            return [order for plan in plans for order in bench.orders(plan.fits)]
        except Exception as failure:  # noqa: BLE001 - a plugin may raise anything
            self._fail(combination, failure)
            return []

    def decide(self, combination: Combination) -> None:
        """Have a combination's strategy propose; one that cannot marks it, with the reason."""
        if combination.strategy is None:
            return
        bench = combination.bench
        try:
            combination.groupings = tuple(
                bench.propose(strategy) for strategy in combination.strategy.draws
            )
        except Exception as failure:  # noqa: BLE001 - a plugin may raise anything
            self._fail(combination, failure)

    def _fail(self, combination: Combination, failure: Exception) -> None:
        line, trace = describe_failure(failure)
        nobodys = isinstance(failure, UnavailableError | IncompatibleError)
        combination.status = Status.SKIPPED if nobodys else Status.FAILED
        combination.reason = str(failure) if isinstance(failure, GroupbenchError) else line
        self.details[f"{combination.label}/{combination.identity.label}"] = trace

    def _compute(
        self, combinations: Sequence[Combination], evidence: Sequence[FitOrder]
    ) -> Mapping[str, Fit]:
        wanted = [
            order
            for combination in combinations
            if combination.status is None
            for _, _, serving in combination.cells()
            for order in serving.values()
        ]
        return self.scheduler.complete([*evidence, *wanted])


def exit_code(entries: Sequence[Entry], *, stopped: bool) -> int:
    """Return the exit code of a finished run (architecture.md, Command line)."""
    statuses = {entry.status for entry in entries}
    done = statuses & {Status.OK, Status.PARTIAL}
    if stopped or (Status.REFUSED in statuses and not done and Status.FAILED not in statuses):
        return 6
    if statuses & {Status.FAILED, Status.PARTIAL}:
        return 3
    return 0 if done else 5
