"""Tokens that a server counted for a reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply, or of many.

    >>> Usage(10, cached=4) + Usage(5, tokens_out=2)
    Usage(tokens_in=15, cached=4, cache_write=0, tokens_out=2, reasoning=0)
    """

    tokens_in: int = 0
    """All tokens of the prompt, those from a cache included."""
    cached: int = 0
    """Of ``tokens_in``: read from a prompt cache."""
    cache_write: int = 0
    """Of ``tokens_in``: written to a prompt cache."""
    tokens_out: int = 0
    """All tokens of the answer, reasoning included."""
    reasoning: int = 0
    """Of ``tokens_out``: thought, and not shown."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.tokens_in + other.tokens_in,
            self.cached + other.cached,
            self.cache_write + other.cache_write,
            self.tokens_out + other.tokens_out,
            self.reasoning + other.reasoning,
        )

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> Usage | None:
        """Return the usage of a completion; ``None`` if it does not say.

        >>> Usage.of({"usage": {"prompt_tokens": 7, "completion_tokens": 1}}).tokens_in
        7
        """
        usage = reply.get("usage")
        if not isinstance(usage, dict):
            return None
        # A server that generated nothing may leave the completion out.
        tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens") or 0
        if not _count(tokens_in) or not _count(tokens_out):
            return None
        read = _part(usage, "prompt_tokens_details", "cached_tokens", tokens_in)
        return cls(
            tokens_in,
            read,
            _part(usage, "prompt_tokens_details", "cache_write_tokens", tokens_in - read),
            tokens_out,
            _part(usage, "completion_tokens_details", "reasoning_tokens", tokens_out),
        )


def _part(usage: Mapping[str, Any], details: str, name: str, whole: int) -> int:
    """Return a count that is a part of another; 0 where it is not given."""
    table = usage.get(details)
    count = table.get(name) if isinstance(table, dict) else None
    return min(count, whole) if _count(count) else 0


def _count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
