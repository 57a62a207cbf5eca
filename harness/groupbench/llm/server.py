"""A server in a process of its own: started, waited for, watched and stopped.

It knows no engine: a `Launch` says what to run and how to tell that it is ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    BaseHandler,
    HTTPRedirectHandler,
    ProxyHandler,
    Request,
    build_opener,
)

from groupbench.errors import GroupbenchError
from groupbench.llm.guard import Guard
from groupbench.llm.secrets import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOG_LINES = 40
"""Of the end of the log, in messages."""

LOOPBACK = "127.0.0.1"

_NOT_FOR_CHILDREN = ("OPENAI_", "AZURE_", "AWS_")
_POLL_SECONDS = 0.2
_KILL_SECONDS = 10.0
_OK = 200
_REFUSED = frozenset({401, 403})


class ServerError(GroupbenchError):
    """A server that did not start, or does not answer as it should."""


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
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_SECONDS)
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


class _StayHere(HTTPRedirectHandler):
    """Follows no redirect: keys and text go to the server that was named, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        """Return no request, so that the redirect is the reply."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a server said to a question about itself."""

    status: int
    text: str

    def json(self) -> Any:  # noqa: ANN401 - whatever it said
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.text)


def get(
    url: str, *, api_key: str = "", body: Mapping[str, Any] | None = None, seconds: float = 10.0
) -> Said:
    """Return what a server says at ``url``, of whatever status; with ``body``, it is posted.

    For questions about the server itself. What is asked of its model goes through a `Client`.

    Raises:
        OSError: no reply came.
    """
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    data = None
    if body is not None:
        data, headers["content-type"] = json.dumps(body).encode(), "application/json"
    request = Request(url, data=data, headers=headers)  # noqa: S310 - the user's, or our own server
    handlers: list[BaseHandler] = [_StayHere()]
    if is_loopback(url):
        handlers.append(ProxyHandler({}))  # it has no part in what this machine says to itself
    try:
        with build_opener(*handlers).open(request, timeout=seconds) as reply:
            return Said(reply.status, reply.read().decode("utf-8", "replace"))
    except HTTPError as refusal:
        with refusal:
            return Said(refusal.code, refusal.read().decode("utf-8", "replace"))
    except URLError as problem:
        raise ConnectionError(str(problem.reason)) from None


def served_models(url: str, api_key: str = "") -> dict[str, dict[str, Any]]:
    """Return what ``/models`` lists, by name.

    Raises:
        OSError: no reply came.
        ServerError: it is no list of models.
    """
    said = get(f"{url.rstrip('/')}/models", api_key=api_key)
    if said.status in _REFUSED:
        raise ServerError(f"url = '{url}': the server refuses the API key ({said.status}).")
    try:
        listed = said.json()["data"]
        return {str(model["id"]): dict(model) for model in listed}
    except (ValueError, KeyError, TypeError):
        raise ServerError(
            f"url = '{url}': /models answers {said.status} and no list of models; give the URL of"
            " an OpenAI-compatible API, as http://host:8000/v1."
        ) from None


def server_root(url: str) -> str:
    """Return the URL of the server whose API is at ``url``.

    >>> server_root("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000'
    """
    return url.rstrip("/").removesuffix("/v1")


def is_loopback(url: str) -> bool:
    """Return whether ``url`` is of this machine.

    >>> is_loopback("http://127.0.0.1:8000/v1"), is_loopback("http://gpu:8000/v1")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


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


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
