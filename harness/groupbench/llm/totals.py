"""What a run of requests took, for a fit's record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.calls import Calls
from groupbench.llm.latency import Latencies
from groupbench.llm.usage import Usage

if TYPE_CHECKING:
    from groupbench.canonical import Json
    from groupbench.llm.spending import Spending

_MOST_FINGERPRINTS = 20
"""A provider may change its configuration any minute; a record needs no list of hundreds."""


@dataclass
class Totals:
    """Counts over all requests so far. Memory does not grow with them."""

    requests: int = 0
    """Finished, however."""
    answered: int = 0
    """By a server, now."""
    replayed: int = 0
    """From the store."""
    shared: int = 0
    """By the answer to an equal request that was in flight."""
    skipped: int = 0
    """Refused for what they hold: too long, filtered."""
    lost: int = 0
    """Given up after all attempts."""
    attempts: int = 0
    """Calls made."""
    retries: Counter[str] = field(default_factory=Counter)
    """Attempts that failed and were followed by another, by reason."""
    usage: Usage = field(default_factory=Usage)
    """Of answers that were paid for now."""
    usage_replayed: Usage = field(default_factory=Usage)
    """Of answers from the store."""
    usd_replayed: float = 0.0
    """What those cost when they were paid for, at today's price; 0 where that is not known."""
    without_usage: int = 0
    """Answers, replayed ones too, whose server did not count tokens."""
    latency: Latencies = field(default_factory=Latencies)
    """Of attempts that succeeded now."""
    answered_by: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    """Answers, replayed ones too, by the model that gave them and its fingerprint."""

    def replay(self, usage: Usage | None, spending: Spending) -> None:
        """Count an answer from the store."""
        self.without_usage += usage is None
        self.usage_replayed += usage or Usage()
        if spending.price is not None and usage is not None:
            self.usd_replayed += spending.price.usd(usage)

    def calls(self, spending: Spending | None = None) -> Calls:
        """Return the counts as every runner reports them.

        Tokens are of all answers, replayed ones too, and not known where a server did not count.
        """
        used = self.usage + self.usage_replayed
        counted = not self.without_usage
        priced = spending is not None and spending.price is not None
        return Calls(
            requests=self.requests,
            replayed=self.replayed + self.shared,
            retries=sum(self.retries.values()),
            tokens_in=used.tokens_in if counted else None,
            tokens_cached=used.cached if counted else None,
            tokens_out=used.tokens_out if counted else None,
            tokens_reasoning=used.reasoning if counted else None,
            usd=spending.usd if priced and spending is not None else None,
            usd_unknown=spending.unknown_usd if priced and spending is not None else None,
            usd_replayed=self.usd_replayed if priced else None,
            waits=self.latency.bins(),
        )

    def to_json(self, spending: Spending | None = None) -> dict[str, Json]:
        """Return the facts as JSON. ``usd`` is null where the price is not known."""
        p50, p95 = self.latency.percentile(50), self.latency.percentile(95)
        priced = spending is not None and spending.price is not None
        return {
            "requests": self.requests,
            "answered": self.answered,
            "replayed": self.replayed,
            "shared": self.shared,
            "skipped": self.skipped,
            "lost": self.lost,
            "attempts": self.attempts,
            "retries": dict(sorted(self.retries.items())),
            "tokens_in": self.usage.tokens_in,
            "tokens_cached": self.usage.cached,
            "tokens_out": self.usage.tokens_out,
            "tokens_reasoning": self.usage.reasoning,
            "tokens_replayed": self.usage_replayed.tokens_in + self.usage_replayed.tokens_out,
            "without_usage": self.without_usage,
            "usd": spending.usd if priced and spending is not None else None,
            "usd_unknown": spending.unknown_usd if priced and spending is not None else None,
            "answered_by": [
                {"model": model, "fingerprint": fingerprint, "answers": n}
                for (model, fingerprint), n in self.answered_by.most_common(_MOST_FINGERPRINTS)
            ],
            "latency_ms": {
                "p50": None if p50 is None else 1000 * p50,
                "p95": None if p95 is None else 1000 * p95,
            },
        }
