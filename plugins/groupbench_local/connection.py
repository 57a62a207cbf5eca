"""The session's side of its server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from groupbench_local.child import THREADS
from groupbench_local.machine import oom_counters
from groupbench_local.processes import kill
from groupbench_local.wire import Config, Start, as_message, send

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLOSE_SECONDS = 10.0
"""After this, a server that was asked to end is killed."""
_SERVE = (
    "import json, sys; options = json.loads(sys.argv[1]); sys.path[:] = options['sys_path']; "
    "from groupbench_local.server import serve; serve(options)"
)


class Connection:
    """A running server and the ways to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, lifeline: int, log: Path
    ) -> None:
        self.ready = False
        """It has imported what it was to import."""
        self._process, self._control, self._lifeline, self._log = process, control, lifeline, log
        self._heard = b""
        self._pids: set[int] = set()
        """Of the fits that run."""

    @classmethod
    def open(cls, scratch: Path, preload: Sequence[str], threads: int) -> Connection:
        """Start a server."""
        mine, theirs = socket.socketpair()
        their_end, my_end = os.pipe()
        config = Config(
            control=theirs.fileno(),
            lifeline=their_end,
            scratch=str(scratch),
            sys_path=[str(path) for path in sys.path],
            preload=list(preload),
            oom_counters=[str(path) for path in oom_counters()],
        )
        environment = os.environ | dict.fromkeys(THREADS, str(threads))
        environment["TOKENIZERS_PARALLELISM"] = "false"
        # Equal requests give equal results: not even the order of a set may differ.
        environment.setdefault("PYTHONHASHSEED", "0")
        path = scratch / "server.log"
        try:
            with path.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - this Python, our own code
                    [sys.executable, "-c", _SERVE, json.dumps(asdict(config))],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    pass_fds=(theirs.fileno(), their_end),
                    start_new_session=True,  # a signal to the run's group must not end the cleaner
                )
        except BaseException:
            mine.close()
            os.close(my_end)
            raise
        finally:
            theirs.close()
            os.close(their_end)
        return cls(process, mine, my_end, path)

    def start(self, start: Start, file: int) -> None:
        """Ask for a fit.

        Raises:
            OSError: the server is gone.
        """
        self._control.settimeout(None)
        send(self._control, as_message("start", start), file)

    def messages(self, timeout: float | None) -> list[dict[str, Any]]:
        """Return what the server says next; nothing after ``timeout`` seconds.

        Raises:
            EOFError: the server is gone.
        """
        self._control.settimeout(timeout)
        try:
            chunk = self._control.recv(1 << 16)
        except (TimeoutError, BlockingIOError):
            return []
        if not chunk:
            raise EOFError("the server is gone")
        self._heard += chunk
        heard = []
        while len(self._heard) >= 4:  # noqa: PLR2004 - the length
            end = 4 + int.from_bytes(self._heard[:4], "big")
            if len(self._heard) < end:
                break
            message: dict[str, Any] = json.loads(self._heard[4:end])
            self._heard = self._heard[end:]
            match message["kind"]:
                case "ready":
                    self.ready = True
                case "started":
                    self._pids.add(message["pid"])
                case "end":
                    self._pids.discard(message["pid"])
            heard.append(message)
        return heard

    def close(self) -> None:
        """Have the server kill its fits and end; kill it, and them, if it does not."""
        if self._is_importing():
            self._process.kill()  # that may take seconds, and it has started nothing yet
        self._free()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill_all()

    def bury(self) -> str:
        """Free what a dead server held; return what is known of its death."""
        with contextlib.suppress(OSError, EOFError):
            self.messages(0.0)
        self._free()
        status = self._kill_all()
        try:
            words = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            words = []
        last = next((line for line in reversed(words) if line.strip()), "")
        return f" (status {status})" + (f": {last.strip()}" if last else "")

    def _is_importing(self) -> bool:
        """Whether the server still imports; if so it is stopped, and so stays at that."""
        with contextlib.suppress(OSError, EOFError):
            self.messages(0.0)
            if not self.ready:
                self._process.send_signal(signal.SIGSTOP)
                os.waitpid(self._process.pid, os.WUNTRACED)
                self.messages(0.0)  # what it said before it stopped
                if self.ready:
                    self._process.send_signal(signal.SIGCONT)
        return not self.ready

    def _kill_all(self) -> int:
        self._process.kill()
        status = self._process.wait()
        for pid in self._pids:
            kill(pid)
        return status

    def _free(self) -> None:
        self._control.close()
        os.close(self._lifeline)
