"""A server in a process of its own: started, waited for, watched and stopped.

It knows no engine: a `Launch` says what to run and how to tell that it is ready.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from groupbench.llm.guard import Guard
from groupbench.llm.secrets import Redactor
from groupbench.llm.server_api import ServerError, get, served_models, server_root

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOG_LINES = 40
"""Of the end of the log, in messages."""

LOOPBACK = "127.0.0.1"

_NOT_FOR_CHILDREN = ("OPENAI_", "AZURE_", "AWS_")
_POLL_SECONDS = 0.2
_KILL_SECONDS = 10.0
_GONE_SECONDS = 3.0
_OK = 200


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run, and how to tell that it is ready."""

    name: str
    """For messages: ``vLLM``."""
    command: tuple[str, ...]
    """Holds no secret: every user of the machine can read it."""
    url: str
    """Of the API, as ``http://127.0.0.1:8000/v1``; ``/health`` is beside it."""
    model: str
    """The name that ``/models`` must list."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Laid over what of ours a child may see (`child_environment`)."""
    api_key: str = field(default="none", repr=False)
    ready_seconds: float = 1800.0
    """How long loading may take: half an hour for 70 billion parameters."""
    stop_seconds: float = 30.0
    """How long it may finish what it has in flight when it is told to stop."""


class ServerProcess:
    """One start of a server. What ends it, ends all that it started.

    ``stop`` may be called from any thread at any time; a process that has not started by then
    never does.
    """

    def __init__(self, launch: Launch, log: Path) -> None:
        """Take note; nothing runs yet.

        Args:
            launch: what to run.
            log: the file that takes all it prints.
        """
        self.launch, self.log = launch, log
        self._redact = Redactor([launch.api_key])
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._starting = threading.Lock()
        self._stopping = threading.Lock()
        self._ended = False
        self._guard: Guard | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; also of its session and group."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it and wait until it is ready: healthy, and listing the model.

        Raises:
            ServerError: it cannot be run, ended, was stopped, or took too long; the message holds
                the end of its log.
        """
        try:
            with self._starting:
                self._demand_wanted("before it started")
                self._process = self._run()
                self._guard = Guard(self._process.pid, self.launch.stop_seconds)
            self._wait_until_ready()
        except BaseException:
            self.stop(grace=0)
            raise

    def alive(self) -> bool:
        """Return whether it runs."""
        return self._process is not None and self._process.poll() is None

    def listens(self) -> bool:
        """Return whether it takes connections: one that is ending stops before its process does."""
        place = urlsplit(self.launch.url)
        try:
            socket.create_connection((str(place.hostname), place.port or 80), timeout=1).close()
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # too busy to say
        return True

    def log_tail(self, n: int = LOG_LINES) -> str:
        """Return the last lines of its log, without the key."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return self._redact("\n".join(text.splitlines()[-n:]))

    def stop(self, grace: float | None = None) -> None:
        """End it: SIGTERM to it, SIGKILL to the group after ``grace`` seconds.

        Workers outlive a parent that crashed, so the group is killed in any case. Safe to call
        twice, and while it starts.
        """
        self._stopped.set()
        with self._starting:
            process = self._process
        if process is None:
            return
        with self._stopping:
            if self._ended:
                return  # its number may be another's by now
            patience = self.launch.stop_seconds if grace is None else grace
            if process.poll() is None and patience > 0:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
            _kill_group(process.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_SECONDS)
            _await_group(process.pid)
            self._ended = True
            if self._guard is not None:
                self._guard.dismiss()

    def _run(self) -> subprocess.Popen[bytes]:
        try:
            with self.log.open("ab") as log:
                return subprocess.Popen(  # noqa: S603 - the command is the plugin's
                    self.launch.command,
                    env=child_environment() | dict(self.launch.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # pid, session and group are one number
                )
        except OSError as problem:
            raise ServerError(
                f"{self.launch.name} cannot be run: {problem.strerror or problem}"
                f" ({self.launch.command[0]})."
            ) from None

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + self.launch.ready_seconds
        while True:
            self._demand_wanted("while it started")
            if self._process is not None and (code := self._process.poll()) is not None:
                raise ServerError(
                    f"{self.launch.name} ended while it started ({_how(code)}); {self._end()}"
                )
            if self._ready():
                return
            if time.monotonic() > give_up:
                seconds = self.launch.ready_seconds
                raise ServerError(
                    f"{self.launch.name} was not ready after {seconds:g} s; {self._end()}"
                )
            self._stopped.wait(_POLL_SECONDS)

    def _demand_wanted(self, when: str) -> None:
        if self._stopped.is_set():
            raise ServerError(f"{self.launch.name} was stopped {when}.")

    def _ready(self) -> bool:
        try:
            if get(f"{server_root(self.launch.url)}/health").status != _OK:
                return False
            return self.launch.model in served_models(self.launch.url, self.launch.api_key)
        except (OSError, ServerError):
            return False

    def _end(self) -> str:
        tail = self.log_tail()
        return f"the end of its log:\n{tail}" if tail else "it logged nothing."


def free_port() -> int:
    """Return a port on loopback that nothing listens on just now."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        return int(taken.getsockname()[1])


def child_environment() -> dict[str, str]:
    """Return our environment without what providers' libraries read: keys, hosts, headers."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_CHILDREN)
    }


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _await_group(group: int) -> None:
    """Wait a little for killed workers to be gone; they hold memory until then."""
    give_up = time.monotonic() + _GONE_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < give_up:
            os.killpg(group, 0)
            time.sleep(0.02)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
