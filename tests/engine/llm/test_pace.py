"""How many requests may be in flight."""

from __future__ import annotations

import asyncio
import time

import pytest

from groupbench.llm.pace import Pace, Ticket


async def fill(pace: Pace, n: int) -> list[Ticket]:
    tickets = [await asyncio.wait_for(pace.enter(), 1) for _ in range(n)]
    return [ticket for ticket in tickets if ticket is not None]


def test_requests_that_failed_together_halve_the_bound_once() -> None:
    async def run() -> None:
        pace = Pace(16)
        for ticket in await fill(pace, 16):
            pace.too_fast(ticket)
            pace.leave()
        assert pace.limit == 8
        (ticket,) = await fill(pace, 1)
        pace.too_fast(ticket)
        assert pace.limit == 4, "one that was sent later halves it again"

    asyncio.run(run())


def test_the_bound_never_falls_below_one_and_grows_by_one_a_round() -> None:
    async def run() -> None:
        pace = Pace(8)
        for _ in range(20):
            (ticket,) = await fill(pace, 1)
            pace.too_fast(ticket)
            pace.leave()
        assert pace.limit == 1
        limits = []
        for _ in range(7):
            for _ in range(int(pace.limit)):
                pace.went_well({}, 0)
            limits.append(pace.limit)
        assert limits == sorted(limits)
        assert 6 <= limits[-1] <= 8
        for _ in range(99):
            pace.went_well({}, 0)
        assert pace.limit == 8, "and never above where it began"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "tokens", "limit"),
    [
        ({"x-ratelimit-remaining-requests": "3"}, 10, 3.0),
        ({"x-ratelimit-remaining-requests": "0"}, 10, 1.0),
        ({"x-ratelimit-remaining-requests": "5000"}, 10, 8.0),
        ({"x-ratelimit-remaining-requests": "-1"}, 10, 8.0),  # Azure: unknown
        ({"x-ratelimit-remaining-requests": "many"}, 10, 8.0),
        ({"x-ratelimit-remaining-tokens": "45"}, 10, 4.0),
        ({"x-ratelimit-remaining-tokens": "45"}, 0, 8.0),
        ({}, 10, 8.0),
    ],
)
def test_remaining_limits_only_lower_the_bound(
    headers: dict[str, str], tokens: int, limit: float
) -> None:
    pace = Pace(8)
    pace.went_well(headers, tokens)
    assert pace.limit == limit


def test_nobody_enters_beyond_the_bound_nor_while_all_are_held() -> None:
    async def run() -> None:
        pace = Pace(2)
        await fill(pace, 2)
        third = asyncio.create_task(pace.enter())
        await asyncio.sleep(0.02)
        assert not third.done()
        pace.hold(0.15)
        held = time.monotonic()
        pace.leave()
        await asyncio.wait_for(third, 2)
        assert time.monotonic() - held >= 0.149

    asyncio.run(run())


def test_a_longer_wait_is_not_cut_short_by_a_shorter_one() -> None:
    async def run() -> None:
        pace = Pace(1)
        began = time.monotonic()
        pace.hold(0.15)
        pace.hold(0.01)
        await fill(pace, 1)
        assert time.monotonic() - began >= 0.149

    asyncio.run(run())


def test_a_turn_given_to_one_who_has_left_goes_to_the_next() -> None:
    async def run() -> None:
        pace = Pace(1)
        await fill(pace, 1)
        first, second = (asyncio.create_task(pace.enter()) for _ in range(2))
        await asyncio.sleep(0)
        pace.leave()
        first.cancel()
        assert await asyncio.wait_for(second, 1) is not None

    asyncio.run(run())


def test_when_all_is_stopped_who_waits_is_sent_away() -> None:
    async def run() -> None:
        pace = Pace(1)
        await fill(pace, 1)
        waiting = [asyncio.create_task(pace.enter()) for _ in range(3)]
        sleeping = asyncio.create_task(pace.sleep(60))
        await asyncio.sleep(0)
        pace.stop()
        assert await asyncio.wait_for(asyncio.gather(*waiting), 1) == [None] * 3
        await asyncio.wait_for(sleeping, 1)
        assert await pace.enter() is None

    asyncio.run(run())
