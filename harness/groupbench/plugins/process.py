"""Probing plugins in a process of their own, which may hang or die without harm."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from groupbench.plugins.index import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.plugins.sources import Source

DEFAULT_TIMEOUT_SECONDS = 120.0
"""For one plugin. A cold ``import torch`` on a busy machine takes most of a minute."""

GRACE_SECONDS = 5.0
"""For the process to end after its last answer."""

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from groupbench.plugins.probe import main; main()"
)


def probe_apart(sources: Sequence[Source]) -> dict[Source, Record]:
    """Return what each plugin offers, found out in one process for all of them.

    When that hangs or dies, the plugin it was busy with is tried in a process of its own, so that
    the verdict is about that plugin alone; the others go on together.
    """
    waiting = deque(sources)
    found: dict[Source, Record] = {}
    while waiting:
        batch = list(waiting)
        records, culprit, why = _probe_batch(batch)
        found.update(records)
        waiting = deque(source for source in batch if source not in records)
        if culprit is None and not records:  # the process does not even start
            found.update({s: Record.broken(s, why) for s in waiting})
            break
        if culprit is not None:
            waiting.remove(culprit)
            if len(batch) > 1:
                alone, _, why = _probe_batch([culprit])
                found.update(alone)
            if culprit not in found:
                found[culprit] = Record.broken(culprit, why)
    return found


def _probe_batch(sources: Sequence[Source]) -> tuple[dict[Source, Record], Source | None, str]:
    """Return records of what was done, the plugin at which the process hung or died, and why."""
    timeout = _timeout()
    path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - a string is wanted
    order = {"sources": [asdict(source) for source in sources]}
    records: dict[Source, Record] = {}
    busy: Source | None = None
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-c", _START, json.dumps(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # whatever a plugin starts is ended with it
                text=True,
                encoding="utf-8",
            )
        except OSError as failure:
            return {}, None, f"the process that indexes plugins could not be started: {failure}"
        try:
            lines = _lines_of(process, json.dumps(order))
            deadline = time.monotonic() + timeout
            while len(records) < len(sources):
                line = _next_line(lines, process, deadline)
                if line is None:
                    break
                answer = json.loads(line)
                if "begun" in answer:
                    busy = sources[answer["begun"]]
                    deadline = time.monotonic() + timeout
                else:
                    source = sources[answer["done"]]
                    records[source] = Record.from_json(source, answer["record"])
                    busy = None
            else:
                return records, None, ""
            process.wait(timeout=GRACE_SECONDS)
        except (TimeoutError, subprocess.TimeoutExpired):
            return records, busy, f"importing it took longer than {timeout:g} s"
        finally:
            _end(process)
        errors.seek(0)
        return records, busy, _epitaph(process.returncode, errors)


def _lines_of(process: subprocess.Popen[str], order: str) -> queue.Queue[str | None]:
    """Hand the process its order; return the lines it answers as they come, ``None`` at the end."""
    lines: queue.Queue[str | None] = queue.Queue()

    def talk() -> None:
        with suppress(OSError, ValueError):  # it died, or was ended
            if process.stdin is not None:
                process.stdin.write(order)
                process.stdin.close()
            for line in process.stdout or ():
                lines.put(line)
        lines.put(None)

    threading.Thread(target=talk, daemon=True).start()
    return lines


def _next_line(
    lines: queue.Queue[str | None], process: subprocess.Popen[str], deadline: float
) -> str | None:
    """Return the next answer, or ``None`` when the process ended.

    Raises:
        TimeoutError: its time is up.
    """
    died = False
    while not died:
        died = process.poll() is not None  # a child of the plugin may hold the pipe open after that
        with suppress(queue.Empty):
            return lines.get(timeout=0.2)
        if time.monotonic() > deadline:
            raise TimeoutError
    return None


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.close()


def _epitaph(returncode: int, errors: IO[Any]) -> str:
    said = errors.read().decode("utf-8", "replace").strip().splitlines()
    last = f": {said[-1].strip()}" if said else ""
    if returncode < 0:
        try:
            how = f"was killed by {signal.Signals(-returncode).name}"
        except ValueError:
            how = f"was killed by signal {-returncode}"
    else:
        how = f"exited with status {returncode}"
    return f"the process that imported it {how}{last}"


def _timeout() -> float:
    text = os.environ.get("GROUPBENCH_PLUGIN_TIMEOUT", "")
    try:
        return float(text) if float(text) > 0 else DEFAULT_TIMEOUT_SECONDS
    except ValueError:
        return DEFAULT_TIMEOUT_SECONDS
