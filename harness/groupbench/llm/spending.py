"""Dollars: the worst case is reserved before a call and settled with what it really cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError
from groupbench.llm.errors import SpendingCapError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.llm.prices import Price
    from groupbench.llm.usage import Usage


@dataclass(eq=False, slots=True)
class Reservation:
    """Money set aside for one call that is in flight."""

    usd: float
    open: bool = True


class Spending:
    """What calls have cost and may still cost, held below a cap.

    ``usd + unknown_usd`` bounds what the provider bills, and never passes ``max_usd``.
    """

    def __init__(self, price: Price | None, max_usd: float | None = None, model: str = "") -> None:
        """Start at zero.

        Args:
            price: what the model costs; ``None``: it is not known, and dollars are not counted.
            max_usd: the cap.
            model: for messages, where the price is not known.

        Raises:
            SettingError: there is a cap and no price, so that nothing could hold it.
        """
        if max_usd is not None and price is None:
            raise SettingError(
                f"max_usd = {max_usd}: the price of {model or 'this model'} is not known, so the "
                "cap could not be held. Give its price in a file of --prices, or leave max_usd out."
            )
        self.price, self.max_usd = price, max_usd
        self.usd = 0.0
        """Of calls whose usage is known."""
        self.unknown_usd = 0.0
        """At most this was billed for calls whose usage will never be known."""
        self.reserved_usd = 0.0
        """At most this will be billed for calls in flight."""
        self.in_flight = 0

    def reserve(self, tokens_in: int, tokens_out: int | None) -> Reservation | None:
        """Set aside the worst case of a call; ``None`` if it might pass the cap.

        Args:
            tokens_in: at least the tokens of the prompt.
            tokens_out: the most that may be answered; ``None``: unbounded.

        Raises:
            SettingError: there is a cap, and the answer has no bound.
        """
        usd = 0.0
        if self.price is not None:
            usd = self.price.worst_usd(tokens_in, tokens_out or 0)
        if self.max_usd is not None:
            if tokens_out is None:
                raise SettingError(
                    f"max_usd = {self.max_usd}: a request has no bound on its output, so its cost "
                    "has none. Give it max_completion_tokens (or max_tokens)."
                )
            if self.usd + self.unknown_usd + self.reserved_usd + usd > self.max_usd:
                return None
        self.reserved_usd += usd
        self.in_flight += 1
        return Reservation(usd)

    def owed(self) -> Reservation:
        """Return the reservation of a call that an earlier run made: what it costs was let then."""
        self.in_flight += 1
        return Reservation(0.0)

    def settle(self, reservation: Reservation, usage: Usage | None) -> None:
        """Replace a reservation by what the call cost; by 0 for an empty usage (an error).

        ``None``: nobody knows, so all of it counts as unknown spend. The second time does nothing.
        """
        if not reservation.open:
            return
        reservation.open = False
        self.in_flight -= 1
        # The last one out leaves no rounding behind.
        self.reserved_usd = self.reserved_usd - reservation.usd if self.in_flight else 0.0
        if usage is None:
            self.unknown_usd += reservation.usd
        elif self.price is not None:
            self.usd += self.price.usd(usage)

    def cap_error(self) -> SpendingCapError:
        """Return the error that ends a run whose next call might pass the cap."""
        unknown = f" and at most {self.unknown_usd:.4f} unknown" if self.unknown_usd else ""
        return SpendingCapError(
            f"max_usd = {self.max_usd}: {self.usd:.4f} spent{unknown}, and the next call might "
            "pass it. Raise max_usd and run again: what was answered is stored."
        )


def output_bound(body: Mapping[str, Any]) -> int | None:
    """Return the most tokens that a request may be answered with; ``None`` if unbounded.

    >>> output_bound({"max_tokens": 4, "n": 2, "prompt": [[1, 2], [3]]})
    16
    """
    caps = [body.get("max_completion_tokens"), body.get("max_tokens")]
    bounds = [cap for cap in caps if isinstance(cap, int)]
    return min(bounds) * n_choices(body) if bounds else None


def n_choices(body: Mapping[str, Any]) -> int:
    """Return how many choices a whole reply to a request has.

    >>> n_choices({"prompt": [[1, 2], [3]]}), n_choices({"prompt": [1, 2]}), n_choices({"n": 3})
    (2, 1, 3)
    """
    prompt, n = body.get("prompt"), body.get("n")
    several = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
    return (len(prompt) if several and prompt else 1) * (n if isinstance(n, int) else 1)
