"""How fast requests may be sent: as many at once as the server bears, and none while it says so."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is borne with."""

    tries: int = 12
    """Attempts at one request."""
    attempt_seconds: float = 120.0
    """Deadline of one attempt as a whole, however its reply trickles. Reasoning takes 600."""
    backoff_seconds: float = 0.5
    """Before the second attempt at most this, then twice as much each time, ..."""
    backoff_max_seconds: float = 30.0
    """... up to this."""
    max_wait_seconds: float = 300.0
    """The longest ``Retry-After`` that is waited for; a longer one ends the run."""
    give_up_after: int = 20
    """Requests in a row that used up their attempts, after which the run ends."""

    def backoff(self, attempt: int, rng: random.Random) -> float:
        """Return the seconds to wait after the ``attempt``-th failed: exponential, full jitter.

        Full jitter (Brooker 2015, "Exponential Backoff and Jitter"): uniform from 0, so that
        workers who failed together do not come back together.
        """
        doubled: float = self.backoff_seconds * 2 ** min(attempt - 1, 63)
        return rng.uniform(0.0, min(self.backoff_max_seconds, doubled))


@dataclass(eq=False, slots=True)
class Ticket:
    """Leave to have one request in flight."""

    started: float


class Pace:
    """The bound on requests in flight: one more for each round that goes well, half when too many.

    Additive increase and multiplicative decrease (Chiu and Jain 1989), as TCP does it.
    """

    def __init__(self, most: int) -> None:
        """Start with ``most`` requests at once, which is also the most there will ever be."""
        if most < 1:
            raise ValueError(f"{most} requests at once")
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self.stopped = asyncio.Event()
        """Set: nothing more is sent."""
        self._held_until = 0.0
        self._halved = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> Ticket | None:
        """Wait until one more request may be sent; ``None`` if none will be any more."""
        while not self.stopped.is_set():
            wait = self._held_until - time.monotonic()
            if wait > 0:
                await self.sleep(wait)
            elif self.in_flight < max(1, int(self.limit)):
                self.in_flight += 1
                return Ticket(time.monotonic())
            else:
                await self._turn()
        return None

    def leave(self) -> None:
        """Say that a request is no longer in flight."""
        self.in_flight -= 1
        self._wake()

    def went_well(self, headers: Mapping[str, str], tokens: int) -> None:
        """Note a success: the bound grows, unless ``x-ratelimit-remaining-*`` says how far it may.

        ``tokens``: of this request, to judge for how many like it the remaining tokens last.
        """
        self.limit = min(float(self.most), self.limit + 1.0 / self.limit)
        for name, each in (("requests", 1), ("tokens", max(1, tokens))):
            text = headers.get(f"x-ratelimit-remaining-{name}", "")
            if re.fullmatch(r"\d+", text):  # Azure sends -1 for unknown
                self.limit = min(self.limit, max(1.0, float(int(text) // each)))
        self._wake()

    def too_fast(self, ticket: Ticket) -> None:
        """Halve the bound, once for all requests that were in flight together."""
        if ticket.started >= self._halved:
            self._halved = time.monotonic()
            self.limit = max(1.0, self.limit / 2)

    def hold(self, seconds: float) -> None:
        """Send nothing for so long, whoever asks."""
        self._held_until = max(self._held_until, time.monotonic() + seconds)

    def stop(self) -> None:
        """Send nothing any more."""
        self.stopped.set()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Wait so long, or until nothing is sent any more."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopped.wait()
        except TimeoutError:
            pass

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake()  # the turn was given to one who no longer takes it
            raise

    def _wake(self) -> None:
        free = max(1, int(self.limit)) - self.in_flight
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
