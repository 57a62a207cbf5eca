"""What became of a request: its answer, if the reply holds one. A 200 proves nothing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from groupbench.llm.errors import CONTENT_FILTER, StoppedError, Verdict, lost_reply, sort_error
from groupbench.llm.responses import Answer
from groupbench.llm.spending import n_choices
from groupbench.predictions import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.canonical import Json
    from groupbench.llm.client import Reply

_OK = 200
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})")
# vLLM aborts what it has when it is told to leave; gateways say "error".
_CUT_SHORT = frozenset({"abort", "error"})
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request that got no answer."""

    outcome: Outcome
    """``truncated``, ``refused`` or ``infra``."""
    reason: str
    """``prompt_too_long``, ``content_filter``, or the last failure: ``429``, ``time-out``, ..."""
    message: str = ""
    """What the server said."""

    @classmethod
    def skipped(cls, verdict: Verdict) -> Unanswered:
        """Return what a request is that its server refused for what it holds."""
        filtered = verdict.reason == CONTENT_FILTER
        outcome = Outcome.REFUSED if filtered else Outcome.TRUNCATED
        return cls(outcome, verdict.reason, verdict.message)


Result: TypeAlias = Answer | Unanswered


def read_reply(reply: Reply, body: Mapping[str, Json]) -> dict[str, Any] | Verdict:
    """Return the completion that a reply to ``body`` holds, or what is wrong with it.

    A 200 with HTML, with JSON that was cut, or without all its choices is a lost reply.
    """
    if reply.status != _OK:
        return sort_error(reply)
    try:
        found = json.loads(reply.text)
    except (ValueError, RecursionError):
        return lost_reply("a 200 that is no JSON")
    if not isinstance(found, dict):
        return lost_reply("a 200 that is no JSON object")
    choices, n = found.get("choices"), n_choices(body)
    if not isinstance(choices, list) or len(choices) != n:
        return lost_reply(f"a 200 without its {n} choices")
    for choice in choices:
        if not isinstance(choice, dict) or choice.get("finish_reason") in _CUT_SHORT:
            return lost_reply("a 200 whose answer the server cut short")
    return found


def check_model(reply: Mapping[str, Any], body: Mapping[str, Json], provider: str) -> None:
    """Refuse the answer of another model: all others would be another's too.

    A dated snapshot may answer for its alias.

    Raises:
        StoppedError: it is another's.
    """
    asked, answered = str(body.get("model", "")), str(reply.get("model"))
    if answered == asked:
        return
    if not (answered.startswith(asked) and _SNAPSHOT.fullmatch(answered[len(asked) :])):
        raise StoppedError(
            f"{provider}: {asked!r} was asked and {answered[:_SHOWN]!r} answered. Name the model "
            "as the server does, and check that its URL is the right one."
        )
