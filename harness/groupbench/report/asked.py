"""Small tables beside a leaderboard, about models that were asked: what it took, what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.report.lines import NOTHING, fraction, names_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from groupbench.leaderboard import Leaderboard
    from groupbench.leaderboard.row import Row

_MILLION, _THOUSAND = 1_000_000, 1_000
_EXACT = 10_000
"""Counts below this are shown to the last digit."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column."""

    text: str
    goes: int = 0
    """The higher, the earlier it goes where there is no room; 0: never."""


CALLS = (
    *(Head("entry"), Head("tokens in"), Head("cached", 5), Head("out"), Head("thought", 7)),
    *(Head("USD"), Head("lost", 8), Head("/1,000", 1), Head("p50", 3), Head("p95", 2)),
    *(Head("ex/s", 4), Head("retries", 6)),
)
ANSWERS = (
    *(Head("entry"), Head("average"), Head("answered"), Head("invalid"), Head("refused")),
    *(Head("truncated"), Head("input cut", 1)),
)


def extra_tables(
    board: Leaderboard,
) -> Iterator[tuple[tuple[Head, ...], list[Sequence[str]]]]:
    """Yield heads and rows of the tables there are: costs of models, then outcomes.

    The names of entries are as they came: escape them where they are shown.
    """
    names = names_of(board)
    scored = [row for row in board.rows if row.scores]
    costs = [_calls(row, names[row.entry.key]) for row in scored if row.calls is not None]
    if costs:
        told = [i for i in range(len(CALLS)) if any(row[i] != NOTHING for row in costs)]
        yield tuple(CALLS[i] for i in told), [[row[i] for i in told] for row in costs]
    answers = [_answers(row, names[row.entry.key]) for row in scored if is_partial(row)]
    if answers:
        yield ANSWERS, answers


def is_partial(row: Row) -> bool:
    """Return whether some of an entry's examples got no valid answer."""
    return any(rate > 0 for name, rate in row.outcome_rates.items() if name != "ok")


def _calls(row: Row, name: str) -> Sequence[str]:
    calls = row.calls
    assert calls is not None  # noqa: S101 - for the type checker
    return (
        name,
        *(_count(calls.tokens_in), _count(calls.tokens_cached)),
        *(_count(calls.tokens_out), _count(calls.tokens_reasoning)),
        *(_usd(calls.usd), _usd(calls.usd_unknown), _usd(calls.usd_per_1000_examples)),
        *(_wait(calls.latency_ms(50)), _wait(calls.latency_ms(95))),
        _rate(calls.examples_per_second),
        _count(calls.retries),
    )


def _answers(row: Row, name: str) -> Sequence[str]:
    rates = row.outcome_rates
    return (
        name,
        NOTHING if row.average is None else fraction(row.average),
        NOTHING if row.average_answered is None else fraction(row.average_answered),
        *(_percent(rates[outcome]) for outcome in ("invalid", "refused", "truncated")),
        _percent(row.input_cut or 0.0),
    )


def _count(n: int | None) -> str:
    if n is None:
        return NOTHING
    if n < _EXACT:
        return str(n)
    return f"{n / _THOUSAND:.0f}k" if n < _MILLION else f"{n / _MILLION:.3g}M"


def _usd(usd: float | None) -> str:
    if usd is None:
        return NOTHING
    return "0" if usd == 0 else f"{usd:.2f}" if usd >= 1 else f"{usd:.2g}"


def _wait(ms: float | None) -> str:
    if ms is None:
        return NOTHING
    return f"{ms:.0f} ms" if ms < _THOUSAND else f"{ms / _THOUSAND:.1f} s"


def _rate(per_second: float | None) -> str:
    if per_second is None:
        return NOTHING
    return f"{per_second:.0f}" if per_second >= 10 else f"{per_second:.2g}"  # noqa: PLR2004 - digits


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share else NOTHING
