"""Calls that a probe makes of a server, and what their replies hold or lack."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from groupbench.llm.errors import Action, SpendingCapError, StoppedError, refused, sort_error
from groupbench.llm.replies import check_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.canonical import Json
    from groupbench.llm.client import Client, Reply
    from groupbench.llm.pace import Patience
    from groupbench.llm.secrets import Redactor

OK = 200
SHOWN = 120
"""Characters of what a server said, in messages."""
_STOPPING = frozenset({"401", "402", "403", "insufficient_quota"})


class Lacks(Exception):  # noqa: N818 - a finding
    """A capability is not there, and this is why."""


class Calls:
    """Calls of one model behind one server."""

    def __init__(self, client: Client, model: str, patience: Patience, redact: Redactor) -> None:
        """Take note of whom to ask, with what patience, and what to strike out of messages."""
        self.n_requests = 0
        self._client, self._model = client, model
        self._patience, self._redact = patience, redact

    async def chat(self, text: str, cap: int, **fields: Json) -> Mapping[str, Any]:
        body = chat_body(self._model, text, cap, fields)
        return self._read(await self.post("/chat/completions", body))

    async def complete(
        self, prompts: Sequence[Json], cap: int, **fields: Json
    ) -> Mapping[str, Any]:
        body = completion_body(self._model, cap, {"prompt": list(prompts), **fields})
        return self._read(await self.post("/completions", body))

    async def post(self, path: str, body: dict[str, Json]) -> Reply:
        """Return a reply that will not change by asking again.

        An overloaded server must not pass for one that lacks something.
        """
        wait, seconds = self._patience.backoff_seconds, self._patience.attempt_seconds
        for attempt in range(1, self._patience.tries + 1):
            self.n_requests += 1
            reply: Reply | None = None
            try:
                async with asyncio.timeout(seconds):
                    reply = await self._client.post(path, body, seconds)
            except SpendingCapError:
                raise
            except Exception as failure:  # noqa: BLE001 - a client may raise anything
                verdict = sort_error(failure)
            else:
                if reply.status == OK:
                    return reply
                verdict = sort_error(reply)
            if verdict.reason in _STOPPING:
                raise refused(f"{self._model}'s server", verdict)
            if reply is not None and verdict.action is not Action.RETRY:
                return reply
            if attempt == self._patience.tries:
                break
            await asyncio.sleep(min(verdict.wait_seconds or wait, seconds))
            wait *= 2
        # A 500 that stays is how some servers say that they cannot.
        if reply is not None and not verdict.slow_down:
            return reply
        raise StoppedError(
            f"The server of {self._model!r} could not be probed:"
            f" {verdict.reason}{f' ({self._redact(verdict.message)})' if verdict.message else ''}."
            " Run again when it answers."
        )

    def _read(self, reply: Reply) -> Mapping[str, Any]:
        if reply.status != OK:
            message = self._redact(sort_error(reply).message)[:SHOWN]
            raise Lacks(f"{reply.status}: {message}" if message else str(reply.status))
        try:
            found = json.loads(reply.text)
        except ValueError:
            raise Lacks("a 200 that is no JSON") from None
        if not isinstance(found, dict) or not isinstance(found.get("choices"), list):
            raise Lacks("a 200 without choices")
        check_model(found, {"model": self._model}, "The server")
        return found


def completion_body(model: str, cap: int, fields: Mapping[str, Json]) -> dict[str, Json]:
    return {"model": model, "max_tokens": cap, "temperature": 0, **fields}


def chat_body(model: str, text: str, cap: int, fields: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_completion_tokens": cap,
        "temperature": 0,
        **fields,
    }


def choices_of(reply: Mapping[str, Any], n: int) -> list[Any]:
    choices = reply["choices"]
    if len(choices) != n or not all(isinstance(choice, dict) for choice in choices):
        raise Lacks(f"{n} prompts were sent and {len(choices)} answered")
    return list(choices)


def first_of(reply: Mapping[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = choices_of(reply, 1)[0]
    return first


def text_of(reply: Mapping[str, Any]) -> str:
    choice = first_of(reply)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if not isinstance(text, str):
        raise Lacks("a 200 without text")
    return text


def n_tokens(usage: object, name: str) -> int:
    n = usage.get(name) if isinstance(usage, dict) else None
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise Lacks(f"usage holds no {name}")
    return n
