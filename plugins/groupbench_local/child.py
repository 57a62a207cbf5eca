"""A fit's own process: what is set up, what is done, and what is said at its end."""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import select
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groupbench.execute import Job
    from groupbench_local.wire import Start

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What numerical libraries read their thread count from."""

MEMORY_TYPES = {"MemoryError", "OutOfMemoryError", "_ArrayMemoryError"}
MEMORY_WORDS = ("DefaultCPUAllocator", "CUDA out of memory", "Cannot allocate memory")
"""What torch and the system say when memory runs out."""


def work(start: Start, file: int, lifelines: tuple[int, ...]) -> int:
    """Do the job in ``file`` and write into it how that ended; return an exit status."""
    log = os.open(start.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(line_buffering=True)  # type: ignore[union-attr] # text streams both
    faulthandler.enable()
    threading.Thread(target=_end_with, args=(lifelines,), daemon=True).start()
    os.environ.update(start.environment)
    sys.path[:] = start.sys_path
    _set_threads(start.threads)
    try:
        _job(start, file)
        outcome = {"ending": "done", "message": "", "details": ""}
    except BaseException as failure:  # noqa: BLE001 - a plugin may raise anything
        outcome = _outcome(failure)
    for output in (sys.stdout, sys.stderr):
        output.flush()
    os.lseek(file, 0, os.SEEK_SET)
    os.ftruncate(file, 0)
    with open(file, "wb", closefd=False) as answer:
        answer.write(json.dumps(outcome).encode("ascii"))
    return 0


def _job(start: Start, file: int) -> None:
    from groupbench.execute import perform

    os.lseek(file, 0, os.SEEK_SET)
    with open(file, "rb", closefd=False) as pickled:
        # The session wrote it a moment ago, into a file without a name that nobody else can open.
        job: Job = pickle.load(pickled)  # noqa: S301 - see above
    os.ftruncate(file, 0)
    perform(job, Path(start.folder))


def _outcome(failure: BaseException) -> dict[str, Any]:
    from groupbench.errors import PolicyError
    from groupbench.failure import describe_failure

    message, details = describe_failure(failure)
    if isinstance(failure, PolicyError):
        return {"ending": "refused", "message": str(failure), "details": details}
    if isinstance(failure, AttributeError) and "<module '__main__'" in message:
        message += " (what a fit needs must be defined in a module, not in the script itself)"
    out_of_memory = type(failure).__name__ in MEMORY_TYPES or any(
        word in str(failure) for word in MEMORY_WORDS
    )
    ending = "out-of-memory" if out_of_memory else "raised"
    return {"ending": ending, "message": message, "details": details}


def _set_threads(n_threads: int) -> None:
    os.environ.update(dict.fromkeys(THREADS, str(n_threads)))
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != n_threads:
        torch.set_num_threads(n_threads)


def _end_with(lifelines: tuple[int, ...]) -> None:
    """Kill this fit and what it started when the session's process, or the server, is gone.

    The server does so too; this is for the case that the server was killed.
    """
    poll = select.poll()
    for end in lifelines:
        poll.register(end, select.POLLIN)
    poll.poll()
    os.killpg(0, signal.SIGKILL)
