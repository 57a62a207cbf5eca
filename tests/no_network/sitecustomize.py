"""Blocks every connection that is not to this machine, in the tests' own processes and children."""

import socket

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _allowed(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a UNIX socket
    host = str(address[0])
    return host.startswith("127.") or host in {"::1", "localhost"}


def _refuse(address: object) -> None:
    raise PermissionError(f"tests may not connect to {address!r}: only to loopback")


def _guarded_connect(self: socket.socket, address: object) -> None:
    if not _allowed(address):
        _refuse(address)
    _connect(self, address)  # type: ignore[arg-type] # whatever the caller gave


def _guarded_connect_ex(self: socket.socket, address: object) -> int:
    if not _allowed(address):
        _refuse(address)
    return _connect_ex(self, address)  # type: ignore[arg-type] # whatever the caller gave


socket.socket.connect = _guarded_connect  # type: ignore[assignment, method-assign] # the point
socket.socket.connect_ex = _guarded_connect_ex  # type: ignore[assignment, method-assign] # the point
