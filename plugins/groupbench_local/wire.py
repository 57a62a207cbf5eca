"""What the session and its server say to each other."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Config:
    """What a server is started with."""

    control: int
    """Its end of the socket to the session, as a file descriptor."""
    lifeline: int
    """A pipe that ends when the session's process does."""
    scratch: str
    """A folder for logs. The server removes it if the session cannot."""
    sys_path: list[str]
    preload: list[str]
    oom_counters: list[str]


@dataclass(frozen=True, slots=True)
class Start:
    """Start a fit. The pickled job travels beside it, as an open file."""

    id: int
    folder: str
    log: str
    """Where its output goes."""
    threads: int
    sys_path: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    max_seconds: float | None = None
    max_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """A fit's process is gone, and whatever it had started."""

    id: int
    pid: int
    status: int
    """As ``os.waitstatus_to_exitcode`` gives it: negative for a signal."""
    seconds: float
    peak_memory_bytes: int
    timed_out: bool = False
    over_memory: bool = False
    oom_killed: bool = False
    """The system killed something for want of memory while it ran."""


def send(control: socket.socket, message: Mapping[str, Any], file: int | None = None) -> None:
    """Send one message, and an open file beside it if one is given."""
    body = json.dumps(message).encode("ascii")
    head = len(body).to_bytes(_LENGTH_BYTES, "big")
    if file is not None:
        # The file is bound to the first byte; the rest may be cut anywhere.
        socket.send_fds(control, [head[:1]], [file])
        head = head[1:]
    control.sendall(head + body)


def receive(control: socket.socket) -> tuple[dict[str, Any], int] | None:
    """Return one message and the file beside it; ``None`` at the end."""
    first, files, _, _ = socket.recv_fds(control, 1, 1)
    if not first:
        return None
    head = first + _exactly(control, _LENGTH_BYTES - 1)
    message: dict[str, Any] = json.loads(_exactly(control, int.from_bytes(head, "big")))
    return message, files[0]


def as_message(kind: str, value: Start | End) -> dict[str, Any]:
    """Return a message that says what kind it is."""
    return {"kind": kind, **asdict(value)}


def _exactly(control: socket.socket, n_bytes: int) -> bytes:
    parts = []
    while n_bytes:
        part = control.recv(n_bytes)
        if not part:
            raise EOFError("the session ended in the middle of a message")
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)
