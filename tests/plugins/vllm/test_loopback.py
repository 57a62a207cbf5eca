"""The client of servers on this machine, against the fault server and against raw sockets."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from asking import KEY, QUICK, ask, mixed, replies, truth
from fault_server import TRANSIENT, FaultServer

from groupbench.llm.pace import Patience
from groupbench_openai_client.loopback import LoopbackClient, is_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from groupbench.llm import Reply

HASTY = Patience(attempt_seconds=0.5, backoff_seconds=0.01, backoff_max_seconds=0.05)


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_fault_that_passes_changes_no_answer(fault: str) -> None:
    hasty = fault in {"hang", "drip"}
    with FaultServer(faults=[None, fault, None, fault], wait=0.05) as server:
        got, requester = ask(
            server.url, mixed(8), patience=HASTY if hasty else QUICK, make=LoopbackClient
        )
    assert replies(got) == {request.tag: truth(request) for request in mixed(8)}
    assert requester.totals.retries.total() >= 2


def test_many_faults_change_no_answer_and_every_request_is_asked_as_often_as_the_sdk_would() -> (
    None
):
    n = 500
    rng = random.Random(0)  # noqa: S311 - seeded faults
    faults = tuple(f for f in TRANSIENT if f not in {"429 date", "hang", "drip"})
    told = [rng.choice(faults) if rng.random() < 0.3 else None for _ in range(2 * n)]
    with FaultServer(faults=told, wait=0.005) as server:
        got, requester = ask(server.url, mixed(n), make=LoopbackClient)
    assert replies(got) == {request.tag: truth(request) for request in mixed(n)}
    retried = Counter(seen.fault for seen in server.seen)
    del retried[None]
    assert requester.totals.retries.total() == retried.total() > n / 5
    assert server.connections < n, "connections are kept"
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in server.seen)


@asynccontextmanager
async def saying(pieces: Sequence[bytes], *, closes: bool = False) -> AsyncIterator[str]:
    """Serve the same bytes to every request; where it ``closes``, right after the reply."""
    serving = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.001)
                if closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        await asyncio.gather(*filter(None, serving))


def said(pieces: Sequence[bytes], n: int = 2, *, closes: bool = False) -> list[Reply]:
    """Return the replies to some requests, one after the other, of a server that says this."""

    async def run() -> list[Reply]:
        async with saying(pieces, closes=closes) as url, LoopbackClient(url, KEY) as client:
            found = []
            for _ in range(n):
                found.append(await client.post("/completions", {"prompt": "é"}, 5))
                await asyncio.sleep(0.01)
            return found

    return asyncio.run(run())


JSON = json.dumps({"text": "é"}, ensure_ascii=False).encode()
OK = b"HTTP/1.1 200 OK\r\nX-Request-Id: 7\r\n"


@pytest.mark.parametrize(
    ("pieces", "closes"),
    [
        ([OK + b"content-length: %d\r\n\r\n" % len(JSON) + JSON], False),
        ([OK + b"content-length: %d\r\n\r\n" % len(JSON) + JSON], True),
        ([OK + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(JSON) + JSON], True),
        ([OK, b"content-length: %d\r\n" % len(JSON), b"\r\n", JSON[:5], JSON[5:]], False),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"\r\n" + JSON], True),
        (
            [
                OK + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n" + JSON[:5],
                b"\r\n%x\r\n" % (len(JSON) - 5) + JSON[5:] + b"\r\n0\r\nTrailer: 1\r\n\r\n",
            ],
            False,
        ),
    ],
    ids=["length", "closed unannounced", "closed", "pieces", "interim, to the end", "chunks"],
)
def test_a_reply_is_read_however_it_is_framed(pieces: Sequence[bytes], closes: bool) -> None:
    for reply in said(pieces, closes=closes):
        assert (reply.status, reply.text) == (200, JSON.decode())
        assert reply.headers["x-request-id"] == "7"


def test_an_error_is_a_reply_and_a_redirect_is_not_followed() -> None:
    for status in (302, 401, 503):
        told = b"HTTP/1.1 %d No\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nno"
        (reply,) = said([told % status], 1)
        assert (reply.status, reply.text) == (status, "no")


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        OK + b"content-length: 9\r\n\r\n{}",
        OK + b"content-length: -1\r\n\r\n{}",
        OK + b"transfer-encoding: chunked\r\n\r\n9\r\n{}",
        OK + b"transfer-encoding: chunked\r\n\r\nz\r\n{}",
        b"SMTP 200 hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
    ],
)
def test_a_reply_that_is_not_whole_is_lost(told: bytes) -> None:
    with pytest.raises(ConnectionError) as lost:
        said([told], closes=True)
    assert not isinstance(lost.value, ConnectionRefusedError), "it may have been billed"


def test_what_was_never_sent_is_told_apart() -> None:
    async def run() -> None:
        async with saying([]) as url:
            pass
        async with LoopbackClient(url, KEY) as client:
            await client.post("/completions", {}, 5)

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(run())


def test_silence_ends_in_a_time_out() -> None:
    async def run() -> None:
        async with saying([]) as url, LoopbackClient(url, KEY) as client:
            await client.post("/completions", {}, 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(run())


def test_it_is_for_plain_http_on_this_machine() -> None:
    assert is_for("http://127.0.0.1:8000/v1")
    assert is_for("http://localhost/v1")
    for elsewhere in ("https://127.0.0.1/v1", "http://example.org/v1", "http://10.0.0.1/v1"):
        assert not is_for(elsewhere)
        with pytest.raises(ValueError, match="this machine"):
            LoopbackClient(elsewhere, KEY)
