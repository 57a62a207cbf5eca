"""Services: what several fits of a run talk to, such as an inference server.

A runner that needs one has the method ``service()`` (`groupbench.service.Served`). The scheduler
starts it when the first fit that the store lacks needs it, so that a cached run starts none, tells
each fit its address, starts it again if it dies, and stops it when the run ends.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.errors import GroupbenchError, PolicyError, UnavailableError
from groupbench.failure import describe_failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from groupbench.allowance import Allowance
    from groupbench.report.progress import Progress
    from groupbench.runner import Runner
    from groupbench.service import Service

RESTARTS = 2
"""A service that died is started so many times more; then its fits fail."""


class ServiceError(GroupbenchError):
    """A service did not start, or died too often."""


@dataclass(eq=False)
class _Kept:
    """A service and how far it is."""

    service: Service
    starting: Future[Mapping[str, str]]
    n_starts: int = 1
    told: bool = False
    """Its notes were shown."""


def service_key(runner: Runner) -> str | None:
    """Return the key of the service that fits of ``runner`` talk to, if they do."""
    wanted = _service_of(runner)
    return wanted.key if wanted is not None else None


def _service_of(runner: Runner) -> Service | None:
    make = getattr(runner, "service", None)
    return make() if make is not None else None


class Services:
    """The services of a run. A context manager: leaving it stops them.

    A service that holds GPUs is alone: it starts when no other does and no fit uses a GPU.
    """

    def __init__(self, progress: Progress, allowance: Allowance) -> None:
        self._progress, self._allowance = progress, allowance
        self._kept: dict[str, _Kept] = {}
        self._pool = ThreadPoolExecutor(thread_name_prefix="service")
        self._folder: Path | None = None

    def address(
        self, runner: Runner, *, fit_gpus: float, gpus_busy: bool, in_use: AbstractSet[str]
    ) -> Mapping[str, str] | None:
        """Return what a fit of ``runner`` is told; ``None`` while it must wait.

        Never waits itself: a service starts in a thread.

        Args:
            runner: any; one that needs no service gets an empty address.
            fit_gpus: GPUs that the fit itself uses.
            gpus_busy: a fit that uses a GPU is running.
            in_use: keys of the services that fits which run or wait need.

        Raises:
            UnavailableError: what it needs is not here.
            PolicyError: to start it might cost more than the run may spend.
            ServiceError: it did not start, or died too often.
        """
        wanted = _service_of(runner)
        kept = self._kept.get(wanted.key) if wanted is not None else None
        if kept is None and (fit_gpus or (wanted is not None and wanted.gpus)):
            self._free_gpus(in_use)
            if self._hold_gpus() or (wanted is not None and gpus_busy):
                return None
        if wanted is None:
            return {}
        if kept is None:
            self._progress.note(f"starting {wanted.key}")
            kept = self._kept[wanted.key] = _Kept(wanted, self._start(wanted))
        if not kept.starting.done():
            return None
        failure = kept.starting.exception()
        if isinstance(failure, UnavailableError | PolicyError):
            raise failure
        if failure is not None:
            line, _ = describe_failure(failure)
            reason = str(failure) if isinstance(failure, GroupbenchError) else line
            raise ServiceError(f"{wanted.key} did not start: {reason}")
        if not kept.service.alive():
            self._restart(kept)
            return None
        if not kept.told:
            kept.told = True
            for note in getattr(kept.service, "notes", ()):
                self._progress.note(note)
        return kept.starting.result()

    def died(self, runner: Runner) -> bool:
        """Return whether the service of ``runner`` is gone; its fits may be tried again."""
        wanted = _service_of(runner)
        kept = self._kept.get(wanted.key) if wanted is not None else None
        return (
            kept is not None
            and kept.n_starts <= RESTARTS
            and kept.starting.done()
            and kept.starting.exception() is None
            and not kept.service.alive()
        )

    def close(self) -> None:
        """Stop them all. Safe to call twice."""
        for kept in self._kept.values():
            kept.starting.cancel()
            kept.service.stop()
        self._kept.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _hold_gpus(self) -> bool:
        return any(kept.service.gpus for kept in self._kept.values())

    def _free_gpus(self, in_use: AbstractSet[str]) -> None:
        """Stop services that hold GPUs and that no fit needs any more."""
        for key in [k for k, kept in self._kept.items() if kept.service.gpus and k not in in_use]:
            if self._kept[key].starting.done():
                self._kept.pop(key).service.stop()

    def _start(self, service: Service) -> Future[Mapping[str, str]]:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="groupbench-services-"))
        if hasattr(service, "max_usd"):
            service.max_usd = self._allowance.usd_left
            if hasattr(service, "claimed_usd"):
                service.claimed_usd = self._allowance.claimed_usd
        return self._pool.submit(service.start, self._folder)

    def _restart(self, kept: _Kept) -> None:
        if kept.n_starts > RESTARTS:
            raise ServiceError(f"{kept.service.key} died {kept.n_starts} times.")
        self._progress.note(f"{kept.service.key} died; started again")
        kept.service.stop()
        kept.n_starts += 1
        kept.starting = self._start(kept.service)
