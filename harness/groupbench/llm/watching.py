"""Whether a server that the run started still lives: asked after a failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from groupbench.llm.errors import StoppedError
from groupbench.llm.server_api import get, server_root

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_OK = 200
_LOOKS = 8
_LOOK_SECONDS = 0.5


def watch(url: str) -> Callable[[], Awaitable[None]]:
    """Return what a `Requester` does between a failure and the next attempt.

    It raises `StoppedError` if our vLLM server at ``url`` died: its engine takes it along.
    """

    async def look() -> None:
        for _ in range(_LOOKS):
            try:
                said = await asyncio.to_thread(get, f"{server_root(url)}/health")
                if said.status == _OK:
                    return
            except ConnectionRefusedError:
                break  # nothing listens any more
            except OSError:
                pass  # it is ending, or busy
            await asyncio.sleep(_LOOK_SECONDS)
        raise StoppedError("The vLLM server died. What was answered is stored.")

    return look
