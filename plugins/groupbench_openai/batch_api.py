"""Talking to the Batch API patiently: what passes is tried again, what does not ends the run."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from groupbench.llm.errors import Action, StoppedError, refused, sort_error
from groupbench.llm.pace import Patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from groupbench.llm.client import Reply
    from groupbench.llm.secrets import Redactor
    from groupbench_openai_client.batches import BatchClient

NAMED = "groupbench"
"""The field of a batch's metadata that holds its name."""

_OK, _NOT_FOUND = 200, 404
_SECONDS = 600.0
_SHOWN = 100
"""Of a page."""
_CLOCKS = 3600.0
"""Seconds that an endpoint's clock may be behind ours."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the endpoint tells of it."""

    id: str
    status: str
    output: str = ""
    """File of the replies; empty: none yet."""
    errors: str = ""
    """File of the failures."""
    problem: str = ""
    """Why the endpoint did not take it."""

    @classmethod
    def of(cls, said: dict[str, Any]) -> Batch:
        """Return the batch of a reply."""
        told = (said.get("errors") or {}).get("data") or [{}]
        return cls(
            str(said["id"]),
            str(said["status"]),
            said.get("output_file_id") or "",
            said.get("error_file_id") or "",
            str(told[0].get("message") or ""),
        )


class BatchApi:
    """Uploads, creates, looks at and fetches batches."""

    def __init__(
        self, client: BatchClient, provider: str, redact: Redactor, patience: Patience | None = None
    ) -> None:
        """Take note of whom to ask.

        Args:
            client: reaches the endpoint.
            provider: for messages.
            redact: strikes keys out of all that is said.
            patience: attempts and waits.
        """
        self._client, self._provider, self._redact = client, provider, redact
        self._patience = patience or Patience(attempt_seconds=_SECONDS)
        self._rng = random.Random()  # noqa: S311 - jitter

    async def upload(self, name: str, lines: bytes) -> str:
        """Return the id of a file. Sent twice it costs nothing: only a batch is billed.

        Raises:
            StoppedError: the endpoint does not take it.
        """
        said = await self._json(lambda: self._client.upload(f"{name}.jsonl", lines, _SECONDS))
        return str(said["id"])

    async def create(self, file_id: str, endpoint: str, name: str, since: float) -> Batch:
        """Return a new batch. After a lost reply it is looked for before it is made again.

        Args:
            file_id: of the requests.
            endpoint: that all of them are for.
            name: by which it is found again.
            since: when it was begun to be made, in seconds since 1970.

        Raises:
            StoppedError: the endpoint does not take it.
        """
        for attempt in range(1, self._patience.tries + 1):
            try:
                reply = await self._client.create(file_id, endpoint, {NAMED: name}, _SECONDS)
            except OSError as failure:
                verdict = sort_error(failure)
            else:
                if reply.status == _OK:
                    return Batch.of(self._read(reply))
                verdict = sort_error(self._struck(reply))
                if verdict.action is not Action.RETRY:
                    raise refused(self._provider, verdict)
            await asyncio.sleep(verdict.wait_seconds or self._patience.backoff(attempt, self._rng))
            if (made := await self.find(name, file_id, since)) is not None:
                return made
        raise StoppedError(f"{self._provider} takes no batch ({verdict.reason}). Run again later.")

    async def find(self, name: str, file_id: str, since: float) -> Batch | None:
        """Return the batch of that name and file; ``None`` if the endpoint knows none.

        The endpoint lists the newest first, page by page, and is asked for no more of them once
        all of a page are older than what is looked for.

        Raises:
            StoppedError: the endpoint does not say.
        """
        path, seen = f"/batches?limit={_SHOWN}", {""}
        after = ""
        while True:
            more = f"&after={quote(after, safe='')}" if after else ""
            said = await self._json(partial(self._client.get, path + more, _SECONDS))
            page = [one for one in said.get("data") or () if isinstance(one, dict)]
            for one in page:
                # What is sent again, in another file, has the same name.
                named = (one.get("metadata") or {}).get(NAMED) == name
                if named and one.get("input_file_id", file_id) == file_id:
                    return Batch.of(one)
            after = str(page[-1].get("id") or "") if page else ""
            if not said.get("has_more") or after in seen or _older(page, since):
                return None
            seen.add(after)

    async def look(self, batch_id: str) -> Batch | None:
        """Return a batch as it is now; ``None`` if it is gone.

        Raises:
            StoppedError: the endpoint does not say.
        """
        path = f"/batches/{quote(batch_id, safe='')}"
        said = await self._json(lambda: self._client.get(path, _SECONDS), gone=True)
        return Batch.of(said) if said else None

    async def fetch(self, file_id: str) -> str:
        """Return the text of a file.

        Raises:
            StoppedError: it cannot be had.
        """
        path = f"/files/{quote(file_id, safe='')}/content"
        return (await self._patiently(lambda: self._client.get(path, _SECONDS))).text

    async def _json(
        self, call: Callable[[], Awaitable[Reply]], *, gone: bool = False
    ) -> dict[str, Any]:
        reply = await self._patiently(call, gone=gone)
        return {} if reply.status == _NOT_FOUND else self._read(reply)

    async def _patiently(
        self, call: Callable[[], Awaitable[Reply]], *, gone: bool = False
    ) -> Reply:
        for attempt in range(1, self._patience.tries + 1):
            try:
                reply = await call()
            except OSError as failure:
                verdict = sort_error(failure)
            else:
                if reply.status == _OK or (gone and reply.status == _NOT_FOUND):
                    return self._struck(reply)
                verdict = sort_error(self._struck(reply))
                if reply.status == _NOT_FOUND:
                    raise StoppedError(
                        f"{self._provider} has no Batch API, or lost a file of it (404). Use"
                        " delivery=live."
                    )
                if verdict.action is not Action.RETRY:
                    raise refused(self._provider, verdict)
            await asyncio.sleep(verdict.wait_seconds or self._patience.backoff(attempt, self._rng))
        raise StoppedError(
            f"{self._provider} does not answer ({verdict.reason}). Run again: its batches go on."
        )

    def _struck(self, reply: Reply) -> Reply:
        return type(reply)(reply.status, reply.headers, self._redact(reply.text))

    def _read(self, reply: Reply) -> dict[str, Any]:
        try:
            said = json.loads(reply.text)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise StoppedError(f"{self._provider}: a 200 of its Batch API is no JSON object.")
        return said


def _older(page: list[dict[str, Any]], since: float) -> bool:
    """Return whether all batches of a page were made before; where that is not told, not."""
    made = [one.get("created_at") for one in page]
    return all(isinstance(at, int | float) and at < since - _CLOCKS for at in made)
