"""What a failed request means: try it again, give this one up, or stop the run.

::

    GroupbenchError
    ├── StoppedError          2  the server refuses everything, or asks to be left alone for long
    └── PolicyError           6
        └── SpendingCapError  6  the next call might have passed max_usd

Both leave a run that goes on where it stopped: what was answered is stored.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from groupbench.errors import GroupbenchError, PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.llm.client import Reply

MAX_MESSAGE = 300
"""Characters of a server's message that are kept."""

CONTENT_FILTER = "content_filter"
PROMPT_TOO_LONG = "prompt_too_long"

_BAD_REQUEST, _TOO_MANY, _OVERLOADED = 400, 429, 503
_TRY_AGAIN = frozenset({408, 409, _TOO_MANY})
_SERVER_ERRORS = 500
_FILTERED = frozenset({CONTENT_FILTER, "content_policy_violation"})
# vLLM names the field that is too long; it names the same field when its value is senseless.
_OVERFLOW_FIELDS = frozenset({"input_tokens", "max_tokens"})
_OVERFLOW = re.compile(r"context length|maximum model length|too large|too long", re.IGNORECASE)
_OVERFLOW_ANYWHERE = re.compile(r"maximum (context|model) length", re.IGNORECASE)


class StoppedError(GroupbenchError):
    """A run that cannot go on now; run again, it goes on where it stopped."""


class SpendingCapError(PolicyError):
    """The next call might have passed ``max_usd``, so it was not made."""


class Action(StrEnum):
    """What a failed attempt leads to."""

    RETRY = "retry"
    SKIP = "skip"
    """This request will never be answered; others may."""
    STOP = "stop"
    """No request would be answered."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed attempt means."""

    action: Action
    reason: str
    """A few words that are counted: ``429``, ``time-out``, ``prompt_too_long``."""
    message: str = ""
    """What the server said, for people. It may hold anything: redact it."""
    wait_seconds: float | None = None
    """How long the server asks all to wait; ``None``: it does not say."""
    slow_down: bool = False
    """The server has too much to do."""
    trouble: bool = False
    """The server itself may be broken: look whether it still lives."""
    lost: bool = False
    """A reply may have been made and billed, and never arrived whole."""


def sort_error(failure: Reply | Exception, now: datetime | None = None) -> Verdict:
    """Return what a reply that is no 200, or an exception of a client, means.

    >>> from groupbench.llm.client import Reply
    >>> sort_error(Reply(429, {"retry-after": "2"}, "{}")).wait_seconds
    2.0
    >>> sort_error(ConnectionResetError()).action
    <Action.RETRY: 'retry'>
    """
    if isinstance(failure, TimeoutError):
        return Verdict(Action.RETRY, "time-out", "no reply in time", trouble=True, lost=True)
    if isinstance(failure, OSError):
        sent = not isinstance(failure, ConnectionRefusedError)
        return Verdict(Action.RETRY, "connection", str(failure), trouble=True, lost=sent)
    if isinstance(failure, Exception):
        return Verdict(Action.STOP, type(failure).__name__, str(failure), lost=True)
    return _sort_reply(failure, now)


def lost_reply(message: str) -> Verdict:
    """Return the verdict on a 200 that cannot be used: HTML, cut JSON, no choices."""
    return Verdict(Action.RETRY, "unreadable", message, lost=True)


def refused(provider: str, verdict: Verdict) -> StoppedError:
    """Return the error that ends a run whose requests would all be refused like this one."""
    mend = _MENDS.get(verdict.reason, "Other requests would be refused too.")
    return StoppedError(f"{provider} refused: {_said(verdict)}. {mend}")


def told_to_wait(provider: str, verdict: Verdict, most_seconds: float) -> StoppedError:
    """Return the error that ends a run which would have to wait for longer than it may."""
    return StoppedError(
        f"{provider} asks to wait {verdict.wait_seconds:.0f} s ({_said(verdict)}), more than "
        f"{most_seconds:.0f} s. Run again then: what was answered is stored."
    )


def silent(provider: str, verdict: Verdict, n: int) -> StoppedError:
    """Return the error that ends a run in which nothing is answered any more."""
    return StoppedError(
        f"{provider} answered none of {n} requests in a row ({_said(verdict)}). Run again when it "
        "does: what was answered is stored."
    )


_MENDS = {
    "401": "Check its API key.",
    "402": "Check the account's billing.",
    "403": "Check what its API key may do.",
    "404": "Check its URL and the model's name.",
    "insufficient_quota": "Check the account's billing.",
}


def _said(verdict: Verdict) -> str:
    message = verdict.message.strip().rstrip(".")
    return f"{verdict.reason}: {message}" if message else verdict.reason


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, in any of its forms; ``None`` without one.

    A date is read against the server's own ``Date``, since clocks differ.

    >>> retry_after({"retry-after-ms": "250"})
    0.25
    >>> retry_after({"retry-after": "soon"}) is None
    True
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        seconds = _number(headers.get(name))
        if seconds is not None:
            return max(0.0, seconds * unit)
    then = _date(headers.get("retry-after"))
    if then is None:
        return None
    here = _date(headers.get("date")) or now or datetime.now(UTC)
    return max(0.0, (then - here).total_seconds())


def _sort_reply(reply: Reply, now: datetime | None) -> Verdict:
    error = _error_of(reply.text)
    code, message = error.get("code"), str(error.get("message", ""))[:MAX_MESSAGE]
    status = reply.status
    if code == "insufficient_quota" or error.get("type") == "insufficient_quota":
        return Verdict(Action.STOP, "insufficient_quota", message)
    if status == _BAD_REQUEST and _too_long(error):
        return Verdict(Action.SKIP, PROMPT_TOO_LONG, message)
    if status == _BAD_REQUEST and code in _FILTERED:
        return Verdict(Action.SKIP, CONTENT_FILTER, message)
    if status in _TRY_AGAIN or status >= _SERVER_ERRORS:
        return Verdict(
            Action.RETRY,
            str(status),
            message,
            wait_seconds=retry_after(reply.headers, now),
            slow_down=status in {_TOO_MANY, _OVERLOADED},
            trouble=status >= _SERVER_ERRORS,
        )
    return Verdict(Action.STOP, str(status), message)


def _too_long(error: Mapping[str, Any]) -> bool:
    """Return whether a 400 says that the context overflows, as OpenAI or as vLLM say it."""
    code, message = error.get("code"), str(error.get("message", ""))
    if code == "context_length_exceeded" or _OVERFLOW_ANYWHERE.search(message):
        return True
    # OpenAI's own codes are words: its complaint about an unsupported max_tokens is no overflow.
    by_vllm = str(code) == str(_BAD_REQUEST) and error.get("param") in _OVERFLOW_FIELDS
    return by_vllm and _OVERFLOW.search(message) is not None


def _error_of(text: str) -> Mapping[str, Any]:
    """Return the error that a body describes; servers agree on little.

    OpenAI and vLLM: ``{"error": {...}}``; vLLM's 401: ``{"error": "..."}``; older ones the bare
    object; FastAPI ``{"detail": ...}``; proxies HTML.
    """
    try:
        body = json.loads(text)
    except ValueError:
        return {"message": " ".join(re.sub(r"<[^>]*>", " ", text).split())}
    if not isinstance(body, dict):
        return {"message": str(body)}
    error = body.get("error", body)
    if not isinstance(error, dict):
        return {"message": str(error)}
    if "message" not in error and "detail" in error:
        return {**error, "message": str(error["detail"])}
    return error


def _number(text: str | None) -> float | None:
    if text is None or re.fullmatch(r"\s*-?\d+(\.\d*)?\s*", text) is None:
        return None
    return float(text)


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
