"""Rules of the request layer that hold between its parts: pace and replies, store and results."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from asking import KEY, QUICK, SERVED, Recorder, ask, chat, mixed, replies, truth
from fault_server import FaultServer

from groupbench.llm.client import Reply
from groupbench.llm.errors import StoppedError
from groupbench.llm.pace import Patience
from groupbench.llm.requests import Requester
from groupbench.llm.responses import Answer, ResponseStore
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from groupbench.llm.replies import Result
    from groupbench.llm.requests import Request

pytest.importorskip("openai")

MOST = 16


def in_flight_at(calls: list[tuple[float, float, Reply | None]], at: float) -> int:
    """Return how many calls were on their way when one began at this time, that one included."""
    return sum(began <= at < ended for began, ended, _ in calls)


@pytest.mark.parametrize(("fault", "halves"), [("429", True), ("503", True), ("500", False)])
def test_fewer_requests_are_in_flight_after_a_server_is_overloaded(
    fault: str, *, halves: bool
) -> None:
    recorders: list[Recorder] = []
    with FaultServer(faults=[None] * 2 * MOST + [fault], seconds=0.05) as server:
        got, _ = ask(server.url, mixed(120), recorder=recorders, at_once=MOST)
    assert len(got) == 120
    calls = recorders[0].calls
    status = int(fault)
    (overloaded,) = [ended for _, ended, reply in calls if reply and reply.status == status]
    before = [in_flight_at(calls, began) for began, _, _ in calls if began < overloaded]
    assert max(before) == MOST
    # Half of 16, and one more for each round that goes well: two rounds at most until the 20th.
    after = sorted(began for began, _, _ in calls if began > overloaded)[:20]
    most = max(in_flight_at(calls, began) for began in after)
    assert (most <= MOST // 2 + 4) is halves


class Refusing:
    """A client whose server asks to wait for so long, whatever it is asked."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.n_asked = 0

    async def post(self, path: str, body: Mapping[str, Any], timeout: float) -> Reply:
        assert (path, body["model"]) == (chat(0).path, "tiny-1")
        assert timeout == 120, "seconds that an attempt may take, where nothing else is said"
        self.n_asked += 1
        return Reply(429, {"retry-after": str(self.seconds)}, "{}")


def test_five_minutes_are_waited_for_and_no_more() -> None:
    async def asked(client: Refusing) -> Result:
        return await asyncio.wait_for(Requester(client, SERVED).ask_one(chat(0)), 0.5)

    short, long = Refusing(300), Refusing(301)
    with pytest.raises(TimeoutError):  # it waits, and sends nothing meanwhile
        asyncio.run(asked(short))
    assert short.n_asked == 1
    with pytest.raises(StoppedError, match=r"asks to wait 301 s .*more than 300 s"):
        asyncio.run(asked(long))
    assert long.n_asked == 1


def test_twelve_attempts_are_made_where_nothing_else_is_said() -> None:
    patience = replace(Patience(), backoff_seconds=0.001, backoff_max_seconds=0.002)
    with FaultServer(faults=["500"] * 99) as server:
        got, _ = ask(server.url, [chat(0)], patience=patience)
    assert len(server.seen) == 12
    assert not isinstance(got[0], Answer)


def test_an_answer_is_stored_before_it_is_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    stored: list[int] = []

    def got(request: Request, result: Result) -> None:
        assert request.tag is not None
        assert isinstance(result, Answer)
        with ResponseStore(path) as another:  # as another process, or the next run, would see it
            stored.append(len(another))

    async def run(url: str, store: ResponseStore) -> None:
        async with OpenAIClient(url, KEY) as client:
            await Requester(client, SERVED, store=store, at_once=3, patience=QUICK).ask(
                mixed(12), got
            )

    with FaultServer(faults=["500", None, "reset"]) as server, ResponseStore(path) as store:
        asyncio.run(run(server.url, store))
    assert all(n >= i for i, n in enumerate(stored, 1))
    assert stored[-1] == 12


@pytest.mark.parametrize("reply", ["429", "no choices", "html", "filtered prompt", "cut json"])
def test_nothing_but_a_whole_answer_is_stored(reply: str, tmp_path: Path) -> None:
    patience = replace(QUICK, tries=2)
    with ResponseStore(tmp_path / "r.sqlite") as store:
        with FaultServer(faults=[reply] * 2) as server:
            got, _ = ask(server.url, [chat(0)], store=store, patience=patience)
        assert not isinstance(got[0], Answer)
        assert len(store) == 0
        with FaultServer() as server:
            again, _ = ask(server.url, [chat(0)], store=store)
        assert len(server.seen) == 1, "it is asked again"
    assert replies(again) == {0: truth(chat(0))}


def test_requests_leave_in_the_order_they_are_given() -> None:
    with FaultServer() as server:
        ask(server.url, mixed(40), at_once=1)
    sent = [json.dumps(seen.body, sort_keys=True) for seen in server.seen]
    assert sent == [json.dumps(request.body, sort_keys=True) for request in mixed(40)]
