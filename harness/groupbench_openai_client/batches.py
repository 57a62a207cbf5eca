"""The Batch API of OpenAI and of servers that speak like it: files of requests, answered later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench_openai_client.client import OpenAIClient, replied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.llm.client import Reply

WINDOW = "24h"
"""The only one that there is."""


class BatchClient(OpenAIClient):
    """Sends each request once, as `OpenAIClient` does; errors are replies, and others judge them.

    Every method raises ``OSError`` where no reply came, and ``ConnectionRefusedError`` where
    nothing was sent.
    """

    async def upload(self, name: str, lines: bytes, timeout: float) -> Reply:
        """Return the reply to a file of requests; its ``id`` is the file's."""
        options = _options(timeout)
        options["headers"]["Content-Type"] = "multipart/form-data"
        files: Any = [("file", (name, lines, "application/jsonl"))]
        body = {"purpose": "batch"}
        return await replied(
            self._sdk.post("/files", cast_to=object, body=body, files=files, options=options)
        )

    async def create(
        self, file_id: str, endpoint: str, about: Mapping[str, str], timeout: float
    ) -> Reply:
        """Return the reply to the wish to have a file answered; its ``id`` is the batch's.

        Args:
            file_id: of the requests.
            endpoint: that all of them are for, as ``/v1/chat/completions``.
            about: told again with the batch, so that it can be found.
            timeout: seconds that the connection may be silent.
        """
        body: dict[str, Any] = {
            "input_file_id": file_id,
            "endpoint": endpoint,
            "completion_window": WINDOW,
            "metadata": dict(about),
        }
        return await self.post("/batches", body, timeout)

    async def get(self, path: str, timeout: float) -> Reply:
        """Return what is at ``path``: ``/batches``, ``/batches/ID`` or ``/files/ID/content``."""
        return await replied(self._sdk.get(path, cast_to=object, options=_options(timeout)))


def _options(timeout: float) -> Any:  # noqa: ANN401 - the SDK's own type is private
    return {
        "headers": {"X-Stainless-Raw-Response": "true"},
        "timeout": timeout,
        "follow_redirects": False,  # text goes to the server that was named, and nowhere else
    }
