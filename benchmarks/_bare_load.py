"""The least that a client can do: bodies go out as they are, replies are read and not used."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """What it took."""

    seconds: float
    cpu_seconds: float
    """Of this process."""


def send(url: str, api_key: str, bodies: Sequence[bytes], at_once: int) -> Load:
    """Send every body to ``url``, over so many connections that are kept open.

    Raises:
        SystemExit: the server answers one with anything but a 200 of known length.
    """
    place = urlsplit(url)
    head = (
        f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: Bearer {api_key}\r\nContent-Type: application/json\r\n"
    )
    requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(_all(str(place.hostname), place.port or 80, iter(requests), at_once))
    return Load(time.perf_counter() - began, time.process_time() - cpu)


async def _all(host: str, port: int, requests: Iterator[bytes], at_once: int) -> None:
    async with asyncio.TaskGroup() as workers:
        for _ in range(at_once):
            workers.create_task(_work(host, port, requests))


async def _work(host: str, port: int, requests: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise SystemExit(f"the server answered with {head.decode(errors='replace')}")
        await reader.readexactly(int(length[1]))
    writer.close()
    await writer.wait_closed()
