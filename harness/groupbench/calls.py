"""What asking a model took: tokens, dollars and waiting, of a fit and summed over fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groupbench.canonical import Json


@dataclass(frozen=True, slots=True)
class Calls:
    """What asking a model about some examples took, filled by runners that ask one.

    ``None`` is not known, which is not 0; a sum with it is not known either.

    >>> both = Calls(2, 1.0, tokens_in=30) + Calls(1, 0.5, tokens_in=10, retries=1)
    >>> both.tokens_in, both.retries, both.examples_per_second
    (40, None, 2.0)
    """

    n_examples: int = 0
    seconds: float = 0.0
    """Of asking; loading the model or starting its server is not in it."""
    requests: int | None = None
    replayed: int | None = None
    """Of ``requests``: answered by a store of responses, and free."""
    retries: int | None = None
    """Attempts that failed and were followed by another."""
    tokens_in: int | None = None
    """Of prompts. Tokens are those of all answers that were used, replayed ones too."""
    tokens_cached: int | None = None
    """Of ``tokens_in``: read from a prompt cache."""
    tokens_out: int | None = None
    """Of answers, reasoning included."""
    tokens_reasoning: int | None = None
    """Of ``tokens_out``: thought, and not shown."""
    usd: float | None = None
    """Paid, as far as what was billed is known."""
    usd_unknown: float | None = None
    """At most this was billed besides, for calls whose reply was lost."""
    usd_replayed: float | None = None
    """What replayed answers would have cost, had they been asked for again."""
    waits: Mapping[str, int] = field(default_factory=dict)
    """How long answers took, as `groupbench.llm.latency.Latencies` counts them; replays not."""

    def __add__(self, other: Calls) -> Calls:
        sums = {f.name: _sum(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return Calls(**sums)

    @property
    def usd_per_1000_examples(self) -> float | None:
        """Dollars for a thousand examples, had nothing been stored; lost replies not counted."""
        if self.usd is None or not self.n_examples:
            return None
        return 1000 * (self.usd + (self.usd_replayed or 0.0)) / self.n_examples

    @property
    def examples_per_second(self) -> float | None:
        """How fast examples were answered; not known where some answers were replayed."""
        if not self.seconds or not self.n_examples or self.replayed:
            return None
        return self.n_examples / self.seconds

    def latency_ms(self, q: float) -> float | None:
        """Return the time below which ``q`` percent of the answers took, in milliseconds."""
        from groupbench.llm.latency import Latencies

        seconds = Latencies.of(self.waits).percentile(q)
        return None if seconds is None else 1000 * seconds

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Calls | None:
        """Return what `groupbench.canonical.to_json` made of calls, by whichever version.

        Fields that this version does not know are left out.
        """
        if document is None:
            return None
        names = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in names})

    def summary(self) -> dict[str, Json]:
        """Return what people want to know, as JSON; ``null`` where it is not known."""
        return {
            "examples": self.n_examples,
            "requests": self.requests,
            "replayed": self.replayed,
            "retries": self.retries,
            "tokens_in": self.tokens_in,
            "tokens_cached": self.tokens_cached,
            "tokens_out": self.tokens_out,
            "tokens_reasoning": self.tokens_reasoning,
            "usd": _rounded(self.usd, 8),
            "usd_unknown": _rounded(self.usd_unknown, 8),
            "usd_replayed": _rounded(self.usd_replayed, 8),
            "usd_per_1000_examples": _rounded(self.usd_per_1000_examples, 8),
            "latency_ms": {f"p{q}": _rounded(self.latency_ms(q), 3) for q in (50, 95)},
            "examples_per_second": _rounded(self.examples_per_second, 3),
        }


def total(parts: list[Calls | None]) -> Calls | None:
    """Return the sum of those that are there; ``None`` if none is."""
    there = [part for part in parts if part is not None]
    found = there[0] if there else None
    for part in there[1:]:
        found = part if found is None else found + part
    return found


def _sum(one: Any, other: Any) -> Any:  # noqa: ANN401 - numbers, what is not known, or counts
    if isinstance(one, Mapping):
        return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
    return None if one is None or other is None else one + other


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
