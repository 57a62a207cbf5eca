"""A guard that ends a server when we are gone: killed, we could not, and it would keep its GPUs."""

from __future__ import annotations

import subprocess
import sys

_GUARD = """
import os, signal, sys, time
session = int(sys.argv[1])
sys.stdin.buffer.read()
for number, seconds in ((signal.SIGTERM, float(sys.argv[2])), (signal.SIGKILL, 0)):
    try:
        os.killpg(session, number)
    except OSError:
        break
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.getsid(session)
        except OSError:
            break
        time.sleep(0.1)
"""


class Guard:
    """Ends a process group once this process, and all that it forked, are gone.

    It waits for the end of a pipe that nobody writes to, so it needs no polling and no thread.
    """

    def __init__(self, group: int, grace_seconds: float) -> None:
        """Start it.

        Args:
            group: of the processes to end; their session has the same number.
            grace_seconds: between SIGTERM and SIGKILL.
        """
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-I", "-S", "-c", _GUARD, str(group), str(grace_seconds)],
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
        )

    def dismiss(self) -> None:
        """End the guard, and leave what it guards alone. Safe to call twice."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
