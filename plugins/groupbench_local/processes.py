"""The processes of a fit: the one that was started, and all that share its session."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SESSION, _RSS = 3, 21
"""Positions in /proc/<pid>/stat after the command's name."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this machine."""

    pid: int
    session: int
    """The process that began its session; where that is not known, its group's leader."""
    rss_bytes: int


def processes() -> Iterator[Process]:
    """Yield every process of this machine that can be seen."""
    if sys.platform == "linux":
        yield from _from_proc()
    else:
        yield from _from_ps()


def kill(leader: int) -> None:
    """Kill a fit: its process group, and what left the group but not the session."""
    kill_group(leader)
    kill_rest(leader)


def kill_group(leader: int) -> None:
    """Kill a fit's first process and its group."""
    for killer in (os.killpg, os.kill):  # it may not have made its group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            killer(leader, signal.SIGKILL)


def kill_rest(leader: int) -> None:
    """Kill what a fit, ended or not, has in its session beside its first process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for process in processes():
        if process.session == leader and process.pid != leader:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)


def resident_bytes() -> dict[int, int]:
    """Return the resident memory of each session, shared pages counted in each process."""
    held: dict[int, int] = {}
    for process in processes():
        held[process.session] = held.get(process.session, 0) + process.rss_bytes
    return held


def _from_proc() -> Iterator[Process]:
    for name in os.listdir(_PROC):  # noqa: PTH208 - read several times a second
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - likewise
                stat = file.read()
        except OSError:
            continue
        fields = stat[stat.rindex(b")") + 2 :].split()
        yield Process(int(name), int(fields[_SESSION]), int(fields[_RSS]) * _PAGE_BYTES)


def _from_ps() -> Iterator[Process]:
    listed = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,pgid=,rss="], capture_output=True, text=True, check=False
    )
    for line in listed.stdout.splitlines():
        pid, group, kilobytes = line.split()
        yield Process(int(pid), int(group), int(kilobytes) * 1024)
