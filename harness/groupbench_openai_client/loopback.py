"""The way to a server on this machine: HTTP/1.1 over plain sockets, beneath the SDK's client.

The SDK's own transport takes more of a processor for a short request than a small model takes to
answer it, and on one machine client and server share the processors. This one has no TLS, no proxy
and no HTTP/2, which nobody needs on loopback.
"""

from __future__ import annotations

import asyncio
import re
import select
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?")
_MAX_HEAD = 1 << 18
_FINAL = 200
_BODILESS = frozenset({204, 304})

Headers = list[tuple[bytes, bytes]]


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


class LoopbackTransport:
    """An asynchronous transport of httpx, for ``http://`` on this machine."""

    def __init__(self, http: ModuleType) -> None:
        """Take note; nothing is opened. ``http``: ``httpx`` or ``httpx2``, as the client is of."""
        self._http = http
        self._idle: dict[tuple[str, int], list[_Line]] = {}

    async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401 - of either module
        """Return the reply to a request, complete.

        Raises:
            httpx.TransportError: there is none; `ConnectError` or `ConnectTimeout` if nothing was
                sent.
        """
        body = await request.aread()
        head = b"".join(b"%b: %b\r\n" % each for each in request.headers.raw)
        start = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
        place = (request.url.host, request.url.port or 80)
        seconds = request.extensions.get("timeout", {})
        line = await self._line(place, seconds.get("connect"))
        try:
            async with asyncio.timeout(seconds.get("read")):
                line.writer.write(b"%b%b\r\n%b" % (start, head, body))
                await line.writer.drain()
                status, headers, content, keep = await _reply(line.reader)
        except BaseException as failure:
            line.writer.transport.abort()  # who knows what still comes
            self._raise(failure)
            raise
        if keep:
            self._idle.setdefault(place, []).append(line)
        else:
            line.writer.close()
        return self._http.Response(status, headers=headers, content=content, request=request)

    async def aclose(self) -> None:
        """Close all connections."""
        lines = [line for each in self._idle.values() for line in each]
        self._idle.clear()
        for line in lines:
            line.writer.close()
        for line in lines:
            try:
                await line.writer.wait_closed()
            except OSError:
                continue  # the server was faster

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def _line(self, place: tuple[str, int], seconds: float | None) -> _Line:
        """Return a connection: one that is open, or a new one."""
        idle = self._idle.get(place, [])
        while idle:
            line = idle.pop()
            if line.usable():
                return line
            line.writer.transport.abort()
        try:
            async with asyncio.timeout(seconds):
                return _Line(*await asyncio.open_connection(*place, limit=_MAX_HEAD))
        except TimeoutError:
            raise self._http.ConnectTimeout("no connection in time") from None
        except OSError as problem:
            raise self._http.ConnectError(str(problem)) from None

    def _raise(self, failure: BaseException) -> None:
        """Raise what httpx raises of a failure that is one of the connection."""
        if isinstance(failure, TimeoutError):
            raise self._http.ReadTimeout("no reply in time") from None
        if isinstance(failure, OSError):
            raise self._http.ReadError(str(failure)) from None
        if isinstance(failure, asyncio.IncompleteReadError):
            raise self._http.RemoteProtocolError("the reply was cut short") from None
        if isinstance(failure, (asyncio.LimitOverrunError, ValueError)):
            raise self._http.RemoteProtocolError(f"no HTTP: {failure}") from None


async def _reply(reader: asyncio.StreamReader) -> tuple[int, Headers, bytes, bool]:
    """Return status, headers and body of the next reply, and whether the connection stays open.

    Raises:
        asyncio.IncompleteReadError: it ends before it is complete.
        ValueError: it is no HTTP.
    """
    status = 0
    while status < _FINAL:  # what comes before is interim
        status, minor, headers = _head(await reader.readuntil(b"\r\n\r\n"))
    known = {name.lower(): value for name, value in headers}
    keep = minor == b"1" and known.get(b"connection", b"").lower() != b"close"
    if status in _BODILESS:
        return status, headers, b"", keep
    if b"transfer-encoding" in known:
        if known[b"transfer-encoding"].lower() != b"chunked":
            raise ValueError(f"transfer-encoding {known[b'transfer-encoding']!r}")
        body = await _chunks(reader)
        headers = [each for each in headers if each[0].lower() != b"transfer-encoding"]
        return status, headers, body, keep
    if (length := known.get(b"content-length")) is not None:
        if not length.isdigit():
            raise ValueError(f"content-length {length!r}")
        return status, headers, await reader.readexactly(int(length)), keep
    return status, headers, await reader.read(), False


def _head(text: bytes) -> tuple[int, bytes, Headers]:
    """Return status, minor version and headers."""
    first, *lines = text[: -len(b"\r\n\r\n")].split(b"\r\n")
    found = _STATUS.fullmatch(first)
    if found is None:
        raise ValueError(f"{first[:40]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise ValueError(f"header {line[:40]!r}")
        headers.append((name, value.strip()))
    return int(found[2]), found[1], headers


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Return a body that comes in chunks; trailers are dropped."""
    parts = []
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if not size:
            break
        parts.append(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk has no end")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        continue
    return b"".join(parts)
