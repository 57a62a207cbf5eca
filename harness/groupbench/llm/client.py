"""The client: how one request reaches a server and its reply comes back. Plugins make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.canonical import Json


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said to one request, an error as much as an answer."""

    status: int
    """Of HTTP."""
    headers: Mapping[str, str]
    """Names in lower case."""
    text: str
    """The body as it arrived: JSON is read, and its faults are found, in one place."""


class Client(Protocol):
    """Sends one request, once. Implemented by plugins, one for each kind of server.

    It repeats nothing, waits for nothing and judges nothing: the request layer does. A 200 holds an
    object in the shape of an OpenAI completion: ``model``, ``choices`` and, where the server
    counts, ``usage``; the client of another provider writes its replies in that shape.
    """

    async def post(
        self,
        path: str,
        body: Mapping[str, Json],
        timeout: float,
    ) -> Reply:
        """Return the reply to ``body``, of whatever status, complete.

        Args:
            path: below the server's base URL, as ``/chat/completions``.
            body: the request.
            timeout: seconds that a connection may be silent. The whole attempt has a deadline
                too, at which this call is cancelled.

        Raises:
            ConnectionRefusedError: the request was never sent, so it cannot be billed.
            OSError: no complete reply came: ``ConnectionError``, ``TimeoutError``.
        """
        ...
