"""How a fit ended, from what its process left behind."""

from __future__ import annotations

import json
import signal
from typing import IO, TYPE_CHECKING, Any

from groupbench.execute import Ending, JobEnd

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.execute import Job
    from groupbench_local.wire import End

TAIL_BYTES = 8192
"""How much of a failed fit's output is kept."""
_GIB = 1 << 30


def ending_of(  # noqa: PLR0913, PLR0917 - all that is known of an end
    job: Job,
    end: End,
    answer: IO[bytes],
    log: Path,
    limits: tuple[float | None, int | None],
    reason: str | None,
) -> JobEnd:
    """Return how a job ended.

    Args:
        job: which job.
        end: what the server saw of its process.
        answer: what the process said itself, if it came to that.
        log: its output.
        limits: of its time in seconds and its memory in bytes.
        reason: why it could not even be started.
    """
    said = _said(answer)
    if said is not None:
        ending, message, details = Ending(said["ending"]), said["message"], said["details"]
    else:
        ending, message = _seen(end, limits) if reason is None else (Ending.DIED, reason)
        details = ""
    if ending is not Ending.DONE:
        output = _tail(log)
        details = "\n".join(part for part in (details, output and f"Output:\n{output}") if part)
    return JobEnd(job, ending, message, details, end.seconds, end.peak_memory_bytes)


def signal_name(number: int) -> str:
    """Return how a signal is called.

    >>> signal_name(11)
    '11 (SIGSEGV)'
    """
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _said(answer: IO[bytes]) -> dict[str, Any] | None:
    answer.seek(0)
    try:
        said = json.loads(answer.read())
    except ValueError:
        return None  # the job is still in it, or it was killed as it wrote
    return said if isinstance(said, dict) else None


def _seen(end: End, limits: tuple[float | None, int | None]) -> tuple[Ending, str]:
    max_seconds, max_bytes = limits
    if end.timed_out:
        return Ending.TIMED_OUT, f"killed after {max_seconds:g} s, its time limit"
    if end.over_memory and max_bytes is not None:
        held, limit = end.peak_memory_bytes / _GIB, max_bytes / _GIB
        return (
            Ending.OUT_OF_MEMORY,
            f"killed at {held:.3g} GiB: its memory limit is {limit:.3g} GiB",
        )
    if end.status == -signal.SIGKILL and end.oom_killed:
        return Ending.OUT_OF_MEMORY, "killed by the system: the machine's memory ran out"
    if end.status < 0:
        return Ending.DIED, f"killed by signal {signal_name(-end.status)}"
    return Ending.DIED, f"its process exited with status {end.status} before it was done"


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""
