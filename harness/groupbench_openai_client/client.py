"""A client of OpenAI's API and of servers that speak like it, made of the official SDK."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Self

from groupbench.llm.client import Reply
from groupbench.llm.server_api import is_loopback
from groupbench_openai_client.loopback import LoopbackClient, is_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping
    from types import TracebackType

    from groupbench.canonical import Json

_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"})


def client_of(base_url: str, api_key: str) -> LoopbackClient | OpenAIClient:
    """Return the client for a server that speaks as OpenAI's does: the leanest that reaches it."""
    if is_for(base_url):
        return LoopbackClient(base_url, api_key)
    return OpenAIClient(base_url, api_key)


class OpenAIClient:
    """Sends one request, once, through ``AsyncOpenAI``. An asynchronous context manager."""

    def __init__(self, base_url: str, api_key: str) -> None:
        """Make the client; nothing is sent.

        Args:
            base_url: where all requests go, whatever ``OPENAI_BASE_URL`` says.
            api_key: the only secret that is sent; ``"none"`` for a server that asks for none.
        """
        import openai

        more: dict[str, Any] = {}
        if is_loopback(base_url):
            # HTTP_PROXY would hand what is said to our own server to another machine.
            make = getattr(openai, "DefaultAsyncHttpx2Client", openai.DefaultAsyncHttpxClient)
            more["http_client"] = make(trust_env=False)
        with _without_openai_variables():
            self._sdk = openai.AsyncOpenAI(
                base_url=base_url, api_key=api_key, max_retries=0, **more
            )

    async def post(self, path: str, body: Mapping[str, Json], timeout: float) -> Reply:
        """Return the reply to ``body``; see `groupbench.llm.client.Client`."""
        options: Any = {
            # The SDK would read some bodies and not others; the request layer reads them all.
            "headers": {"X-Stainless-Raw-Response": "true"},
            "timeout": timeout,
            "follow_redirects": False,  # text goes to the server that was named, and nowhere else
        }
        return await replied(self._sdk.post(path, cast_to=object, body=body, options=options))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._sdk.close()


async def replied(call: Awaitable[Any]) -> Reply:
    """Return the reply that a call of the SDK gets, of whatever status.

    Raises:
        ConnectionRefusedError: nothing was sent.
        OSError: no complete reply came.
    """
    import openai

    try:
        response = await call
    except openai.APIStatusError as error:
        failed = error.response
        return _reply(failed.status_code, failed.headers, failed.text)
    except openai.APITimeoutError as error:
        if type(error.__cause__).__name__ in _NEVER_SENT:
            raise ConnectionRefusedError("no connection in time") from None
        raise TimeoutError from None
    except openai.APIConnectionError as error:
        cause = error.__cause__
        what = ConnectionRefusedError if type(cause).__name__ in _NEVER_SENT else ConnectionError
        raise what(str(cause or error)) from None
    return _reply(response.status_code, response.headers, response.text)


def _reply(status: int, headers: Mapping[str, str], text: str) -> Reply:
    return Reply(status, {name.lower(): value for name, value in headers.items()}, text)


@contextlib.contextmanager
def _without_openai_variables() -> Iterator[None]:
    """Hide ``OPENAI_*``: the SDK sends organisation and custom headers to any URL it is given."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("OPENAI_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
