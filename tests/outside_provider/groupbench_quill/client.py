"""Quill's API: how it is asked, and its replies in the shape of an OpenAI completion."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from groupbench.llm import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDS = {"done": "stop", "room": "length", "barred": "content_filter"}


class QuillClient:
    """A `groupbench.llm.Client`. An asynchronous context manager."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = urlsplit(url), key

    async def post(self, path: str, body: Mapping[str, Any], timeout: float) -> Reply:
        """Return the reply to ``body``; ``path`` is always that of chats."""
        del path
        asked = {
            "engine": body["model"],
            "talk": [[turn["role"], turn["content"]] for turn in body["messages"]],
            "room": body["max_completion_tokens"],
        }
        return await asyncio.to_thread(self._send, asked, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close nothing: each request has a connection of its own."""

    def _send(self, asked: dict[str, Any], timeout: float) -> Reply:
        host, port = self._url.hostname or "", self._url.port
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            headers = {"quill-key": self._key}
            connection.request("POST", f"{self._url.path}/talk", json.dumps(asked), headers)
            reply = connection.getresponse()
            text = reply.read().decode("utf-8", "replace")
        except http.client.HTTPException as problem:
            raise ConnectionError(repr(problem)) from None
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, headers, _translated(text))


def _translated(text: str) -> str:
    try:
        said = json.loads(text)
    except ValueError:
        return text  # what is broken is judged by the request layer
    if "trouble" in said:
        return json.dumps({"error": {"message": said["words"], "code": said["trouble"]}})
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": one["words"]},
            "finish_reason": _ENDS[one["end"]],
        }
        for i, one in enumerate(said["told"])
    ]
    usage = {"prompt_tokens": said["read"], "completion_tokens": said["wrote"]}
    return json.dumps({"model": said["engine"], "choices": choices, "usage": usage})
