"""An executor at work: fits waiting, fits running, and the server that starts them."""

from __future__ import annotations

import itertools
import math
import pickle
import shutil
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from groupbench.execute import Ending, JobEnd
from groupbench.failure import describe_failure
from groupbench_local.connection import Connection
from groupbench_local.endings import ending_of
from groupbench_local.machine import gpu_devices, usable_memory_bytes
from groupbench_local.wire import End, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from groupbench.execute import Job
    from groupbench_local.executor import LocalExecutor


@dataclass(eq=False)
class _Unit:
    """A job that was submitted."""

    job: Job
    folder: Path
    file: IO[bytes]
    """The pickled job; later, how it ended."""
    log: Path
    gpus: tuple[str, ...] = ()


class LocalSession:
    """Runs jobs in processes of their own. A context manager: leaving it kills what still runs.

    What a job needs (cores, GPUs, memory) is kept free for it; a job for which there is no room
    yet waits here.
    """

    def __init__(
        self,
        executor: LocalExecutor,
        preload: Sequence[str],
        find_gpus: Callable[[], Sequence[str]] = gpu_devices,
    ) -> None:
        self._preload = tuple(preload)
        self._threads = executor.threads
        self._n_cores = executor.n_workers() * executor.threads
        self._max_seconds = executor.max_minutes * 60 or None
        self._max_memory_bytes = int(executor.max_memory_gb * (1 << 30)) or None
        self._find_gpus = find_gpus
        self._gpus: tuple[str, ...] | None = None
        self._scratch = Path(tempfile.mkdtemp(prefix="groupbench-"))
        self._connection: Connection | None = None
        self._ids = itertools.count()
        self._running: dict[int, _Unit] = {}
        self._waiting: deque[_Unit] = deque()
        self._ended: deque[JobEnd] = deque()
        self._closed = False
        self._connect()  # it imports libraries while the first jobs are prepared

    def capacity(self) -> int:
        """Return how many more jobs of the usual size would start at once now."""
        units = (*self._running.values(), *self._waiting)
        taken = sum(self._cores(unit.job) for unit in units)
        return max(0, (self._n_cores - taken) // self._threads)

    def submit(self, job: Job, folder: Path) -> None:
        """Start a job; it waits if there is no room for it yet."""
        if self._closed:
            raise ValueError("the session is closed")
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the job has ended
        try:
            pickle.dump(job, file, protocol=pickle.HIGHEST_PROTOCOL)
            file.flush()
        except Exception as failure:  # noqa: BLE001 - a plugin's objects may raise anything
            file.close()
            line, details = describe_failure(failure)
            message = f"the fit cannot be sent to a process of its own: {line}"
            self._ended.append(JobEnd(job, Ending.RAISED, message, details))
            return
        log = self._scratch / f"{next(self._ids)}.log"
        self._waiting.append(_Unit(job, folder.absolute(), file, log))
        self._launch()

    def wait(self, timeout: float | None = None) -> JobEnd | None:
        """Return the next job that ended, or ``None`` after ``timeout`` seconds or if none runs."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._ended:
            if self._running:
                self._listen(None if deadline is None else max(0.0, deadline - time.monotonic()))
            elif not self._waiting:
                return None
            self._launch()
            if not self._ended and deadline is not None and time.monotonic() >= deadline:
                return None
        return self._ended.popleft()

    def close(self) -> None:
        """Kill what still runs and free what was held. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._connection is not None:
                self._connection.close()
        finally:
            self._connection = None
            for unit in (*self._running.values(), *self._waiting):
                unit.file.close()
            self._running.clear()
            self._waiting.clear()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = Connection.open(self._scratch, self._preload, self._threads)
        return self._connection

    def _listen(self, timeout: float | None) -> None:
        try:
            messages = self._connect().messages(timeout)
        except (EOFError, OSError):
            self._server_died()
            return
        for message in messages:
            self._hear(message)

    def _launch(self) -> None:
        """Start what waits and has room, first come first served."""
        while self._waiting:
            unit = self._waiting[0]
            gpus = self._room(unit.job)
            if gpus is None:
                return
            self._waiting.popleft()
            number = int(unit.log.stem)
            unit.gpus = gpus
            self._running[number] = unit
            start = Start(
                id=number,
                folder=str(unit.folder),
                log=str(unit.log),
                threads=self._cores(unit.job),
                sys_path=_search_path(),
                environment={"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {},
                max_seconds=_least(self._max_seconds, unit.job.max_seconds),
                max_memory_bytes=_least(self._max_memory_bytes, unit.job.max_memory_bytes),
            )
            try:
                self._connect().start(start, unit.file.fileno())
            except OSError:
                self._server_died()

    def _room(self, job: Job) -> tuple[str, ...] | None:
        """Return the GPUs a job gets if there is room for it now; ``None`` if there is not."""
        needs = job.resources
        if self._running:
            jobs = [unit.job for unit in self._running.values()]
            if sum(map(self._cores, jobs)) + self._cores(job) > self._n_cores:
                return None
            if needs is not None and needs.memory_bytes:
                promised = sum(j.resources.memory_bytes for j in jobs if j.resources is not None)
                if promised + needs.memory_bytes > usable_memory_bytes():
                    return None
        if needs is None or needs.gpus <= 0:
            return ()
        if self._gpus is None:
            self._gpus = tuple(self._find_gpus())
        # Where there are fewer than asked for, all must do: the runner said that it can run here.
        n_wanted = min(len(self._gpus), math.ceil(needs.gpus))
        taken = {name for unit in self._running.values() for name in unit.gpus}
        free = [name for name in self._gpus if name not in taken]
        return tuple(free[:n_wanted]) if len(free) >= n_wanted else None

    def _cores(self, job: Job) -> int:
        wanted = self._threads if job.resources is None else job.resources.cpus
        return min(max(self._threads, wanted), self._n_cores)

    def _hear(self, message: dict[str, Any]) -> None:
        if message.pop("kind") == "end":
            reason = message.pop("reason", None)
            self._finish(End(**message), reason)

    def _finish(self, end: End, reason: str | None) -> None:
        unit = self._running.pop(end.id)
        limits = (
            _least(self._max_seconds, unit.job.max_seconds),
            _least(self._max_memory_bytes, unit.job.max_memory_bytes),
        )
        with unit.file:
            self._ended.append(ending_of(unit.job, end, unit.file, unit.log, limits, reason))
        unit.log.unlink(missing_ok=True)

    def _server_died(self) -> None:
        """Report all that ran as dead, and be ready to start another server."""
        connection, self._connection = self._connection, None
        reason = "the process that starts fits died"
        if connection is not None:
            reason += connection.bury()
            if not connection.ready:
                self._preload = ()  # one of them may be what kills it
        units, self._running = self._running, {}
        for unit in units.values():
            unit.file.close()
            self._ended.append(JobEnd(unit.job, Ending.DIED, reason))


def _search_path() -> list[str]:
    return [str(path) for path in sys.path]


def _least(one: float | None, other: float | None) -> Any:  # noqa: ANN401 - int stays int
    given = [limit for limit in (one, other) if limit is not None]
    return min(given) if given else None
