"""Files of a batch: requests out, one a line, and replies back, in whatever order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from groupbench.llm.client import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from groupbench.llm.requests import Request

MOST_LINES = 50_000
MOST_BYTES = 200_000_000

_OK = 200


def line_of(key: str, request: Request) -> bytes:
    """Return the line of one request; ``key`` comes back with its reply."""
    line = {"custom_id": key, "method": "POST", "url": endpoint_of(request), "body": request.body}
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def endpoint_of(request: Request) -> str:
    """Return what a batch calls the path of a request."""
    return f"/v1{request.path}"


def files_of(
    lines: Iterable[tuple[str, bytes]],
    *,
    most_lines: int = MOST_LINES,
    most_bytes: int = MOST_BYTES,
) -> Iterator[dict[str, bytes]]:
    """Yield the lines of each file, by key, as many as one may hold."""
    held: dict[str, bytes] = {}
    n_bytes = 0
    for key, line in lines:
        if held and (len(held) == most_lines or n_bytes + len(line) > most_bytes):
            yield held
            held, n_bytes = {}, 0
        held[key] = line
        n_bytes += len(line)
    if held:
        yield held


def replies_of(text: str) -> Iterator[tuple[str, Reply]]:
    """Yield key and reply of each line of an output or error file; broken lines are passed over.

    A line without a reply has the status of a fault that passes: it was never answered.
    """
    for line in text.splitlines():
        try:
            said = json.loads(line)
            key = str(said["custom_id"])
        except (ValueError, KeyError, TypeError):
            continue
        yield key, _reply(said)


def _reply(said: Mapping[str, Any]) -> Reply:
    response = said.get("response")
    error = said.get("error")
    body = response.get("body") if isinstance(response, dict) else None
    status = response.get("status_code") if isinstance(response, dict) else None
    if isinstance(body, dict) and isinstance(status, int):
        return Reply(status, {}, json.dumps(body))
    message = error.get("message", "") if isinstance(error, dict) else ""
    if isinstance(status, int) and status != _OK:
        return Reply(status, {}, json.dumps({"error": error or {}}))
    return Reply(_NEVER, {}, json.dumps({"error": {"message": str(message)}}))


_NEVER = 503
"""Expired, or cancelled: nothing was answered and nothing is billed."""
