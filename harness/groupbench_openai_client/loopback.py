"""A client of servers on this machine, made of aiohttp.

On one machine client and server share the processors, and for a short request the SDK, with httpx
below it, takes more of them than the reading of the answer: `benchmarks/llm_client.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from groupbench.llm.client import Reply
from groupbench.llm.server_api import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import aiohttp

    from groupbench.canonical import Json


def is_for(base_url: str) -> bool:
    """Return whether a `LoopbackClient` can reach ``base_url``."""
    return urlsplit(base_url).scheme == "http" and is_loopback(base_url)


class LoopbackClient:
    """A `groupbench.llm.client.Client` of a server at ``http://127.0.0.1`` or the like.

    An asynchronous context manager. It follows no redirect and heeds no proxy: what is said to a
    server of this machine goes to it, and nowhere else.
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
        self._base = base_url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # packing costs more than it saves here
            "Content-Type": "application/json",
        }
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: Mapping[str, Json], timeout: float) -> Reply:
        """Return the reply to ``body``; see `groupbench.llm.client.Client`."""
        import aiohttp

        content = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        session = self._session or self._open()
        try:
            async with session.post(
                f"{self._base}{path}",
                data=content.encode("utf-8", "replace"),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout),
            ) as reply:
                text = (await reply.read()).decode("utf-8", "replace")
                headers = {name.lower(): value for name, value in reply.headers.items()}
                return Reply(reply.status, headers, text)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            raise ConnectionRefusedError(str(problem) or "no connection in time") from None
        except aiohttp.ServerTimeoutError:
            raise TimeoutError from None
        except aiohttp.ClientError as problem:
            what = str(problem) or type(problem).__name__
            raise ConnectionError(f"no complete reply came: {what}") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """Open what keeps the connections; it belongs to the event loop that runs now."""
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # the request layer bounds them
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            trust_env=False,
        )
        return self._session
