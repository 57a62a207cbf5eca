"""What a chat request to a model looks like: which fields it takes, and what they are set to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.canonical import digest

if TYPE_CHECKING:
    from groupbench.canonical import Json

SEED = 0
"""Sent where a model takes one. Answers are only likely to repeat."""

_SAMPLING = ("temperature", "top_p", "seed")


@dataclass(frozen=True, slots=True)
class Dress:
    """Turns a chat request into what one model takes. The answers depend on it."""

    provider: bool
    """The model is OpenAI's: nothing is to be kept there, and prompts that begin alike are told."""
    sampling: bool
    """It takes a temperature and a seed; reasoning models do not."""
    effort: str = ""
    """How much it is to reason; empty: the field is not sent."""

    def __call__(self, body: dict[str, Json]) -> dict[str, Json]:
        """Return the body as it is sent."""
        worn = self.undressed(body)
        if self.sampling and self.provider:
            worn |= {"temperature": 0, "top_p": 1, "seed": SEED}
        if self.provider:
            worn |= {"store": False, "prompt_cache_key": _cache_key(body)}
        return worn

    def undressed(self, body: dict[str, Json]) -> dict[str, Json]:
        """Return a body with the fields that the model refuses left out, for probing it."""
        worn = dict(body)
        if not self.sampling:
            for name in _SAMPLING:
                worn.pop(name, None)
        if self.effort:
            worn["reasoning_effort"] = self.effort
        return worn


def _cache_key(body: dict[str, Json]) -> str:
    """Return what prompts that begin alike share: a hash of all but the last turn."""
    messages = body.get("messages")
    return digest(messages[:-1] if isinstance(messages, list) else [])
