"""A client of servers on this machine: HTTP/1.1 over plain sockets, and nothing more.

On one machine client and server share the processors, and for a short request a client library
takes more of them than the reading of the answer. Loopback needs no TLS, no proxy, no HTTP/2.
"""

from __future__ import annotations

import asyncio
import json
import re
import select
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

from groupbench.llm.client import Reply
from groupbench.llm.server_api import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from groupbench.canonical import Json

_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?")
_MAX_HEAD = 1 << 18
_FINAL = 200
_NO_CONTENT = 204
_PORT = 80


def is_for(base_url: str) -> bool:
    """Return whether a `LoopbackClient` can reach ``base_url``."""
    return urlsplit(base_url).scheme == "http" and is_loopback(base_url)


class LoopbackClient:
    """A `groupbench.llm.client.Client` of a server at ``http://127.0.0.1`` or the like.

    An asynchronous context manager. It follows no redirect and heeds no proxy.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        """Make the client; nothing is sent.

        Args:
            base_url: as ``http://127.0.0.1:8000/v1``.
            api_key: that the server demands.

        Raises:
            ValueError: `is_for` says no.
        """
        if not is_for(base_url):
            raise ValueError(f"{base_url} is not plain HTTP on this machine")
        place = urlsplit(base_url)
        self._host, self._port = str(place.hostname), place.port or _PORT
        self._path = place.path.rstrip("/")
        self._head = (
            f"Host: {place.netloc}\r\nAuthorization: Bearer {api_key}\r\n"
            "Accept: application/json\r\nContent-Type: application/json\r\n"
        )
        self._idle: list[_Line] = []

    async def post(self, path: str, body: Mapping[str, Json], timeout: float) -> Reply:
        """Return the reply to ``body``; see `groupbench.llm.client.Client`."""
        content = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        sent = content.encode("utf-8", "replace")
        start = f"POST {self._path}{path} HTTP/1.1\r\n{self._head}Content-Length: {len(sent)}\r\n"
        line = await self._line(timeout)
        try:
            async with asyncio.timeout(timeout):
                line.writer.write(f"{start}\r\n".encode() + sent)
                await line.writer.drain()
                reply, stays = await _reply(line.reader)
        except BaseException as failure:
            line.writer.transport.abort()  # who knows what still comes
            if isinstance(failure, (asyncio.IncompleteReadError, asyncio.LimitOverrunError)):
                raise ConnectionError("the reply was cut short") from None
            if isinstance(failure, ValueError):
                raise ConnectionError(f"the reply is no HTTP: {failure}") from None
            raise
        if stays:
            self._idle.append(line)
        else:
            line.writer.close()
        return reply

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        idle, self._idle = self._idle, []
        for line in idle:
            line.writer.close()
        for line in idle:
            try:
                await line.writer.wait_closed()
            except OSError:
                continue  # the server was faster

    async def _line(self, seconds: float) -> _Line:
        """Return a connection: one that is open, or a new one."""
        while self._idle:
            line = self._idle.pop()
            if line.usable():
                return line
            line.writer.transport.abort()
        try:
            async with asyncio.timeout(seconds):
                return _Line(
                    *await asyncio.open_connection(self._host, self._port, limit=_MAX_HEAD)
                )
        except TimeoutError:
            raise ConnectionRefusedError("no connection in time") from None
        except OSError as problem:
            raise ConnectionRefusedError(str(problem)) from None


class _Line(NamedTuple):
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def usable(self) -> bool:
        """Return whether it is open and silent: a server closes what is idle for long.

        The event loop may not have run since, so the socket itself is asked.
        """
        if self.writer.is_closing() or self.reader.at_eof():
            return False
        poll = select.poll()
        poll.register(self.writer.get_extra_info("socket"), select.POLLIN)
        return not poll.poll(0)


async def _reply(reader: asyncio.StreamReader) -> tuple[Reply, bool]:
    """Return the next reply, and whether the connection stays open.

    Raises:
        asyncio.IncompleteReadError: it ends before it is complete.
        ValueError: it is no HTTP.
    """
    status = 0
    while status < _FINAL:  # what comes before is interim
        status, minor, headers = _head(await reader.readuntil(b"\r\n\r\n"))
    stays = minor == b"1" and headers.get("connection", "").lower() != "close"
    if status == _NO_CONTENT:
        body = b""
    elif "transfer-encoding" in headers:
        body = await _chunks(reader, headers["transfer-encoding"])
    elif (length := headers.get("content-length")) is not None:
        if not (length.isascii() and length.isdigit()):
            raise ValueError(f"content-length {length!r}")
        body = await reader.readexactly(int(length))
    else:
        body, stays = await reader.read(), False
    return Reply(status, headers, body.decode("utf-8", "replace")), stays


def _head(text: bytes) -> tuple[int, bytes, dict[str, str]]:
    """Return status, minor version and headers."""
    first, *lines = text[: -len(b"\r\n\r\n")].split(b"\r\n")
    found = _STATUS.fullmatch(first)
    if found is None:
        raise ValueError(f"{first[:40]!r}")
    headers = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError(f"header {line[:40]!r}")
        headers[name.lower()] = value.strip()
    return int(found[2]), found[1], headers


async def _chunks(reader: asyncio.StreamReader, how: str) -> bytes:
    """Return a body that comes in chunks; trailers are dropped."""
    if how.lower() != "chunked":
        raise ValueError(f"transfer-encoding {how!r}")
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk has no end")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        continue
    return b"".join(parts)
