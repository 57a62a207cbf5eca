"""Getting fits: from the store where they are, else from the executor, each computed once.

One scheduler serves a whole run. It keeps the executor full, never computes what another process
on this machine is computing, tries again what died, and commits every fit the moment it ends.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from groupbench.errors import GroupbenchError, PolicyError, StoreError, UnavailableError
from groupbench.execute import Ending
from groupbench.fits import Fit
from groupbench.jobs import commit, job_of, missing_probes, needs_of
from groupbench.services import Services, service_key
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from groupbench.allowance import Allowance
    from groupbench.execute import Executor, Job, JobEnd, Session
    from groupbench.keys import FitOrder
    from groupbench.report.progress import Progress
    from groupbench.store import Draft, Store

POLL_SECONDS = 0.2
"""How often a fit that another process computes is looked for."""


@dataclass(eq=False)
class _Running:
    """A job in flight, with what must be given back when it ends."""

    order: FitOrder
    draft: Draft
    held: ExitStack
    job: Job


@dataclass(eq=False)
class Scheduler:
    """Completes fit orders. A context manager: leaving it kills what still runs."""

    store: Store
    executor: Executor
    allowance: Allowance
    progress: Progress
    failures: dict[str, str] = field(default_factory=dict)
    """Why a fit failed, by key; it is not tried again in this run."""
    unavailable: set[str] = field(default_factory=set)
    """Keys of ``failures`` that are none: what the fit needs is not here."""
    details: dict[str, str] = field(default_factory=dict)
    """Tracebacks of failures, by key, for ``--debug``."""
    stopped: str | None = None
    """Why nothing more is started: a limit was reached."""
    n_computed: int = 0
    _session: Session | None = None
    _services: Services | None = None
    _seconds_per_row: dict[str, float] = field(default_factory=dict)
    """Of the last fit of each runner."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._services is not None:
            self._services.close()
            self._services = None

    def stored(self, order: FitOrder) -> Fit | None:
        """Return a fit with all its measurements if the store has them."""
        record = self.store.get("fits", order.key)
        if record is None or missing_probes(self.store, order):
            return None
        if order.keep_weights and self.store.get("weights", order.key) is None:
            return None
        return Fit(order, record, self.store)

    def complete(self, orders: Sequence[FitOrder]) -> dict[str, Fit]:
        """Return fits by key, computing what the store lacks; failures are in ``failures``.

        Raises:
            StoreError: a result could not be written, or what a runner writes besides.
        """
        fits: dict[str, Fit] = {}
        pending: dict[str, FitOrder] = {}
        for order in orders:
            known = fits.get(order.key) or self.stored(order)
            if known is not None:
                fits[order.key] = known
            elif order.key not in self.failures:
                other = pending.get(order.key)
                pending[order.key] = order if other is None else _merged(other, order)
        self.progress.planned(len(pending), len(fits))
        if not pending:
            return fits
        for runner in {id(order.runner): order.runner for order in pending.values()}.values():
            if (demand := getattr(runner, "demand_writable", None)) is not None:
                demand()
        # Long fits first: what is left for the end should be short. Ties keep the asked order.
        queue = sorted(pending.values(), key=lambda o: -self._expected(o))
        running: dict[str, _Running] = {}
        self._open(sorted({name for order in queue for name in order.runner.preload}))
        while queue or running:
            queue = self._start(queue, running, fits)
            if not running and not queue:
                break
            end = self._open(()).wait(POLL_SECONDS if queue else None)
            if end is not None:
                self._finish(end, running, fits, queue)
            elif not running:
                time.sleep(POLL_SECONDS)
        return fits

    def _start(
        self, queue: list[FitOrder], running: dict[str, _Running], fits: dict[str, Fit]
    ) -> list[FitOrder]:
        """Start as many fits as there is room for; return what waits."""
        self._check_limits()
        if self.stopped is not None:
            for order in queue:
                self.failures[order.key] = self.stopped
            return []
        waiting: list[FitOrder] = []
        for position, order in enumerate(queue):
            session = self._open(())
            if session.capacity() < 1:
                return [*waiting, *queue[position:]]
            try:
                address = self._address(order, queue, running)
            except GroupbenchError as problem:
                self.failures[order.key] = str(problem)
                missing = isinstance(problem, UnavailableError)
                if missing:
                    self.unavailable.add(order.key)
                status = "skipped" if missing else "failed"
                self.progress.finished(order.label, 0.0, status, str(problem))
                if isinstance(problem, PolicyError):
                    self._stop(str(problem))
                    return self._start([*waiting, *queue[position + 1 :]], running, fits)
                continue
            if address is None:
                waiting.append(order)
                continue
            held = ExitStack()
            lock = self.store.lock("fits", order.key)
            if not lock.acquire(blocking=False):
                waiting.append(order)  # another process on this machine computes it
                continue
            held.callback(lock.release)
            known = self.stored(order)
            if known is not None:
                held.close()
                fits[order.key] = known
                self.progress.cached(order.label)
                continue
            draft = held.enter_context(self.store.draft("fits", order.key))
            job = job_of(self.store, order, address, self.allowance)
            self.progress.started(order.label)
            running[order.key] = _Running(order, draft, held, job)
            session.submit(job, draft.folder)
        return waiting

    def _finish(
        self,
        end: JobEnd,
        running: dict[str, _Running],
        fits: dict[str, Fit],
        queue: list[FitOrder],
    ) -> None:
        unit = running.pop(end.job.key)
        order = unit.order
        if end.ending is not Ending.DONE:
            from groupbench.llm.secrets import struck

            end = replace(end, message=struck(end.message), details=struck(end.details))
        if end.ending is Ending.RAISED and self._service_died(order):
            unit.held.close()
            queue.append(order)
            return
        if end.ending is Ending.REFUSED:
            self._stop(end.message)
        again = self._retry(end, unit.job) if end.ending is not Ending.DONE else None
        if again is not None:
            self.progress.note(f"{order.label}: {end.message}; tried again")
            unit.held.close()
            retry = self._reopen(order, again)
            if retry is not None:
                running[order.key] = retry
            else:
                queue.append(order)
            return
        with unit.held:
            if end.ending is not Ending.DONE:
                self.failures[order.key] = end.message
                self.details[order.key] = end.details
                self.progress.finished(order.label, end.seconds, "failed", end.message)
                return
            try:
                commit(self.store, order, unit.draft, end)
            except (StoreError, OSError) as problem:
                # The others may still fit on the disk; this one is lost and said to be.
                self.failures[order.key] = str(problem)
                self.progress.finished(order.label, end.seconds, "failed", str(problem))
                return
        self.n_computed += 1
        record = self.store.get("fits", order.key)
        if record is None:
            raise StoreError(f"{self.store.root}: fit {order.key} vanished after it was written.")
        fits[order.key] = fit = Fit(order, record, self.store)
        self.allowance.spend(order, fit.costs.billed_usd)
        self._seconds_per_row[order.identity.label] = end.seconds / max(_n_rows(order), 1)
        self.progress.finished(order.label, end.seconds, "ok")

    def _reopen(self, order: FitOrder, job: Job) -> _Running | None:
        held = ExitStack()
        lock = self.store.lock("fits", order.key)
        if not lock.acquire(blocking=False):
            return None
        held.callback(lock.release)
        draft = held.enter_context(self.store.draft("fits", order.key))
        self._open(()).submit(job, draft.folder)
        return _Running(order, draft, held, job)

    def _retry(self, end: JobEnd, job: Job) -> Job | None:
        """Return the job to try once more: half the batch if memory ran out, else as it was."""
        if job.attempt > 1 or end.ending in {Ending.RAISED, Ending.TIMED_OUT, Ending.REFUSED}:
            return None
        divisor = job.batch_divisor * (2 if end.ending is Ending.OUT_OF_MEMORY else 1)
        return replace(job, attempt=job.attempt + 1, batch_divisor=divisor)

    def _expected(self, order: FitOrder) -> float:
        """Return how long a fit may take, in no unit: rows, times what the runner took for one.

        Before a runner's first fit the memory that it asks for stands in for its size.
        """
        rate = self._seconds_per_row.get(order.identity.label)
        if rate is None:
            rate = 1e-11 * (1 + needs_of(order).memory_bytes)
        return _n_rows(order) * rate

    def _address(
        self, order: FitOrder, queue: Sequence[FitOrder], running: Mapping[str, _Running]
    ) -> Mapping[str, str] | None:
        """Return the address of the service that a fit needs; ``None`` while it cannot start."""
        needs = needs_of(order)
        others = [needs_of(unit.order) for unit in running.values()]
        if needs.lane and any(other.lane == needs.lane for other in others):
            return None
        if any(self.allowance.contend(order, unit.order) for unit in running.values()):
            return None
        if self._services is None:
            self._services = Services(self.progress, self.allowance)
        used = [*queue, *(unit.order for unit in running.values())]
        return self._services.address(
            order.runner,
            fit_gpus=needs.gpus,
            gpus_busy=any(other.gpus for other in others),
            in_use={key for each in used if (key := service_key(each.runner)) is not None},
        )

    def _service_died(self, order: FitOrder) -> bool:
        return self._services is not None and self._services.died(order.runner)

    def _open(self, preload: Sequence[str]) -> Session:
        if self._session is None:
            self._session = self.executor.open(tuple(preload))
        return self._session

    def _stop(self, reason: str) -> None:
        if self.stopped is None:
            self.stopped = reason
            self.progress.note(f"{reason} Nothing more is started.")

    def _check_limits(self) -> None:
        if self.stopped is None and (reached := self.allowance.exhausted()) is not None:
            self.stopped = reached
            self.progress.note(f"{reached}: nothing more is started")


def _merged(one: FitOrder, other: FitOrder) -> FitOrder:
    """Return one order that asks for what both ask for; their keys are equal."""
    probes = {probe.name: probe for probe in (*one.probes, *other.probes)}
    return replace(
        one,
        probes=tuple(probes.values()),
        keep_weights=one.keep_weights or other.keep_weights,
    )


def _n_rows(order: FitOrder) -> int:
    return sum(len(task.examples(Split.TRAIN)) for task in order.tasks)
