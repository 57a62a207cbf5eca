"""The request layer against a server that fails in every way, through the official SDK."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random
import re
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from asking import KEY, QUICK, SERVED, Recorder, ask, chat, mixed, reads, replies, truth
from fault_server import MODEL, ODD, RATE_LIMITS, SKIPPING, TRANSIENT, FaultServer

from groupbench.errors import SettingError
from groupbench.llm.client import Reply
from groupbench.llm.errors import SpendingCapError, StoppedError
from groupbench.llm.prices import Price
from groupbench.llm.replies import Unanswered
from groupbench.llm.requests import Request, Requester
from groupbench.llm.responses import Answer, ResponseStore
from groupbench.llm.spending import Spending
from groupbench.llm.usage import Usage
from groupbench.predictions import Outcome
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from groupbench.llm.replies import Result

pytest.importorskip("openai")

PRICE = Price(MODEL, input=1000.0, output=4000.0, cached_input=100.0)
"""Dear, so that sums of a test are dollars and not their millionths."""
HASTY = replace(QUICK, attempt_seconds=0.5)


def cost(sums: Mapping[str, int]) -> float:
    """Return what the server's own counts cost."""
    usage = Usage(
        sums["prompt_tokens"], sums["cached_tokens"], tokens_out=sums["completion_tokens"]
    )
    return PRICE.usd(usage)


def scattered(n: int, share: float, faults: tuple[str, ...]) -> Iterator[str | None]:
    """Yield one of ``faults`` for a share of ``n`` requests, seeded."""
    rng = random.Random(7)  # noqa: S311 - seeded faults
    for _ in range(n):
        yield rng.choice(faults) if rng.random() < share else None


def asked_again(server: FaultServer) -> list[str]:
    """Return the requests that came once more though they had been answered."""
    answered: set[str] = set()
    again = []
    for seen in sorted(server.seen, key=lambda seen: seen.done):
        if seen.key in answered:
            again.append(seen.key)
        if seen.said:
            answered.add(seen.key)
    return again


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_fault_that_passes_changes_no_answer(fault: str) -> None:
    n, hasty = 8, fault in {"hang", "drip"}
    with FaultServer(faults=[None, fault, None, fault], wait=0.05) as server:
        got, requester = ask(server.url, mixed(n), patience=HASTY if hasty else QUICK)
    assert replies(got) == {request.tag: truth(request) for request in mixed(n)}
    # More than these only where a busy machine made the hasty time out.
    assert requester.totals.retries.total() >= 2
    assert hasty or requester.totals.retries.total() == 2
    assert len(server.seen) == requester.totals.attempts == n + requester.totals.retries.total()


def test_thousands_of_requests_with_nearly_a_third_failing_all_get_their_answer() -> None:
    n = 2000
    faults = tuple(f for f in TRANSIENT if f not in {"429 date", "hang", "drip"})
    recorders: list[Recorder] = []
    spending = Spending(PRICE)
    with FaultServer(faults=scattered(2 * n, 0.3, faults), wait=0.005) as server:
        got, requester = ask(
            server.url, mixed(n), recorder=recorders, at_once=16, spending=spending
        )
    assert replies(got) == {request.tag: truth(request) for request in mixed(n)}
    assert requester.totals.retries.total() > 0.25 * n
    assert set(requester.totals.retries) == {
        "429", "408", "500", "503", "connection", "unreadable"
    }  # fmt: skip
    assert recorders[0].most_in_flight <= 16
    assert asked_again(server) == []
    assert len(server.seen) == n + requester.totals.retries.total()
    billed, said = server.billed(said=False), server.billed(said=True)
    assert spending.usd == pytest.approx(cost(said), rel=1e-9)
    assert cost(billed) <= spending.usd + spending.unknown_usd


@pytest.mark.slow
def test_ten_thousand_requests_with_five_percent_mixed_faults_end_like_a_run_without() -> None:
    n = 10_000
    faults = tuple(f for f in TRANSIENT if f not in {"429 date", "hang", "drip"})
    with FaultServer(faults=scattered(2 * n, 0.05, faults), wait=0.005) as server:
        right = pulled = furthest = 0
        results: Counter[int] = Counter()

        def requests() -> Iterator[Request]:
            nonlocal pulled, furthest
            for request in mixed(n):
                pulled += 1
                furthest = max(furthest, pulled - right)
                yield request

        def got(request: Request, result: Result) -> None:
            nonlocal right
            results[request.tag] += 1
            right += isinstance(result, Answer) and result.reply == truth(request)

        async def run() -> None:
            async with OpenAIClient(server.url, KEY) as client:
                await Requester(client, SERVED, patience=QUICK, at_once=16).ask(requests(), got)

        asyncio.run(run())
    assert results == Counter(range(n)), "each is answered exactly once"
    assert right == n
    assert furthest <= 16, "no more are held than workers"
    assert asked_again(server) == []
    assert len({seen.key for seen in server.seen}) == n


@pytest.mark.parametrize("fault", [*RATE_LIMITS[1:]])
def test_nothing_is_sent_while_the_server_asks_to_wait(fault: str) -> None:
    recorders: list[Recorder] = []
    with FaultServer(faults=[None] * 10 + [fault], seconds=0.005, wait=0.4) as server:
        got, _ = ask(server.url, mixed(30), recorder=recorders, at_once=4)
    assert len(got) == 30
    calls = recorders[0].calls
    (came,) = [ended for _, ended, reply in calls if reply is not None and reply.status == 429]
    wait = 0.4 if fault != "429 date" else 0.9  # a date has whole seconds
    window = [began for began, _, _ in calls if came <= began < came + wait]
    assert window == []
    # The server saw the same, but for what was on its way when it said so.
    (limited,) = [seen for seen in server.seen if seen.fault == fault]
    after = [s for s in server.seen if limited.done + 0.2 < s.at < limited.done + wait]
    assert after == []
    assert sum(began >= came + wait for began, _, _ in calls) >= 10, "and then all workers go on"


def test_a_server_that_asks_for_hours_ends_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    with ResponseStore(tmp_path / "r.sqlite") as store:
        with (
            FaultServer(faults=[None] * 5 + ["429 long"]) as server,
            pytest.raises(StoppedError, match=r"asks to wait 9999 s .*Run again"),
        ):
            ask(server.url, mixed(20), store=store, at_once=1)
        assert len(store) == 5
        with FaultServer() as server:
            got, _ = ask(server.url, mixed(20), store=store)
        assert len(server.seen) == 15
    assert replies(got) == {request.tag: truth(request) for request in mixed(20)}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("insufficient_quota", "insufficient_quota: You exceeded your quota. Check the account's"),
        ("401", "401: Incorrect API key provided: Bearer [key]. Check its API key"),
        ("404", "404: The model `tiny-1` does not exist. Check its URL and the model's name"),
        ("other model", "'tiny-1' was asked and 'another' answered"),
    ],
)
def test_what_would_refuse_every_request_stops_the_run_at_once(fault: str, words: str) -> None:
    spending = Spending(PRICE)
    with (
        FaultServer(faults=[None] * 3 + [fault]) as server,
        pytest.raises(StoppedError, match=re.escape(words)) as stopped,
    ):
        ask(server.url, mixed(50), at_once=1, spending=spending)
    assert len(server.seen) == 4
    assert KEY not in str(stopped.value)
    assert stopped.value.exit_code == 2
    assert spending.unknown_usd == 0
    assert spending.usd == pytest.approx(cost(server.billed(said=True)))


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ("context openai", Outcome.TRUNCATED, "prompt_too_long"),
        ("context vllm", Outcome.TRUNCATED, "prompt_too_long"),
        ("filtered prompt", Outcome.REFUSED, "content_filter"),
    ],
)
def test_a_request_refused_for_what_it_holds_ends_in_its_outcome(
    fault: str, outcome: Outcome, reason: str
) -> None:
    assert fault in SKIPPING
    with FaultServer(faults=[None, fault]) as server:
        got, requester = ask(server.url, mixed(5), at_once=1)
    assert len(server.seen) == 5, "it is not tried again, and the others are asked"
    skipped = got.pop(1)
    assert isinstance(skipped, Unanswered)
    assert (skipped.outcome, skipped.reason) == (outcome, reason)
    assert all(isinstance(result, Answer) for result in got.values())
    assert requester.totals.skipped == 1


@pytest.mark.parametrize(
    ("fault", "field", "value"),
    [
        ("null content", "content", None),
        ("refusal", "refusal", "I cannot help with that."),
        ("content_filter", "finish_reason", "content_filter"),
        ("length", "finish_reason", "length"),
    ],
)
def test_an_odd_but_whole_reply_reaches_the_reader_as_it_came(
    fault: str, field: str, value: str | None
) -> None:
    assert fault in ODD
    with FaultServer(faults=[fault]) as server:
        got, requester = ask(server.url, [chat(0)])
    result = got[0]
    assert isinstance(result, Answer)
    choice = result.reply["choices"][0]
    assert (choice | choice["message"])[field] == value
    assert requester.totals.attempts == 1


def test_a_reply_without_usage_is_used_and_its_cost_stays_unknown() -> None:
    spending = Spending(PRICE)
    with FaultServer(faults=["no usage"]) as server:
        got, requester = ask(server.url, [chat(0)], spending=spending)
    assert isinstance(got[0], Answer)
    assert got[0].usage is None
    assert requester.totals.without_usage == 1
    assert spending.usd == 0 < spending.unknown_usd


def test_a_request_that_always_fails_is_given_up_and_the_others_are_not() -> None:
    patience = replace(QUICK, tries=3)
    with FaultServer(faults=["500", "500", "500"]) as server:
        got, requester = ask(server.url, mixed(4), at_once=1, patience=patience)
    assert got[0] == Unanswered(Outcome.INFRA, "500", "EngineCore encountered an issue.")
    assert all(isinstance(got[tag], Answer) for tag in (1, 2, 3))
    assert requester.totals.lost == 1
    assert requester.totals.retries == {"500": 2}
    assert len(server.seen) == 3 + 3


def test_a_server_that_answers_nothing_any_more_ends_the_run() -> None:
    patience = replace(QUICK, tries=2, give_up_after=5)
    with (
        FaultServer(faults=itertools.repeat("500")) as server,
        pytest.raises(StoppedError, match="none of 5 requests in a row"),
    ):
        ask(server.url, mixed(1000), at_once=1, patience=patience)
    assert len(server.seen) == 10


def test_a_server_that_is_not_there_costs_nothing() -> None:
    with FaultServer() as server:
        url = server.url
    spending = Spending(PRICE)
    patience = replace(QUICK, tries=2, give_up_after=3)
    with pytest.raises(StoppedError, match="connection"):
        ask(url, mixed(9), patience=patience, at_once=1, spending=spending)
    assert spending.usd == spending.unknown_usd == 0


def test_a_reply_that_drips_is_cut_off_at_the_deadline() -> None:
    began = time.monotonic()
    with FaultServer(faults=["drip"], drip_seconds=0.2) as server:
        got, _ = ask(server.url, [chat(0)], patience=HASTY)
    assert isinstance(got[0], Answer)
    assert time.monotonic() - began < 10, "the whole reply would have taken over a minute"


def test_what_is_spent_is_what_the_server_counted_and_what_was_lost_is_bounded() -> None:
    spending = Spending(PRICE)
    faults = ["reset", None, "html", "500", "cut json", None, "short body", "429", "no choices"]
    with FaultServer(faults=faults, wait=0.01) as server:
        _, requester = ask(server.url, mixed(20), spending=spending)
    assert spending.usd == pytest.approx(cost(server.billed(said=True)), rel=1e-12)
    unsaid = cost(server.billed(said=False)) - spending.usd
    assert 0 < unsaid <= spending.unknown_usd
    assert spending.reserved_usd == 0
    facts = requester.totals.to_json(spending)
    assert facts["tokens_in"] == sum(truth(r)["usage"]["prompt_tokens"] for r in mixed(20))
    assert facts["tokens_reasoning"] == 20
    assert facts["usd"] == spending.usd


@pytest.mark.parametrize("at_once", [1, 8])
def test_the_cap_is_never_passed_and_the_run_resumes_under_a_higher_one(
    at_once: int, tmp_path: Path
) -> None:
    requests = [replace(chat(i), prompt_tokens=40) for i in range(40)]
    cap = 20.5 * PRICE.usd(Usage(11, 5, tokens_out=2))
    with ResponseStore(tmp_path / "r.sqlite") as store:
        spending = Spending(PRICE, cap)
        with (
            FaultServer(faults=[None] * 4 + ["reset"], seconds=0.005) as server,
            pytest.raises(SpendingCapError, match="Raise max_usd and run again") as stopped,
        ):
            ask(server.url, requests, store=store, spending=spending, at_once=at_once)
        assert stopped.value.exit_code == 6
        assert cost(server.billed(said=False)) <= spending.usd + spending.unknown_usd <= cap
        assert spending.usd > cap / 2, "it is used up, though worst cases are reserved"
        n = len(store)
        assert n == sum(seen.said for seen in server.seen), "what was in flight is stored"
        with FaultServer() as server:
            got, _ = ask(server.url, requests, store=store, spending=Spending(PRICE, 9))
        assert len(server.seen) == 40 - n
    assert replies(got) == {i: truth(chat(i)) for i in range(40)}


def test_a_cap_needs_a_bound_on_the_output() -> None:
    request = chat(0)
    del request.body["max_completion_tokens"]
    with FaultServer() as server, pytest.raises(SettingError, match="max_completion_tokens"):
        ask(server.url, [request], spending=Spending(PRICE, 1.0))
    assert server.seen == []


def test_a_second_run_sends_nothing_and_costs_nothing(tmp_path: Path) -> None:
    with ResponseStore(tmp_path / "r.sqlite") as store, FaultServer() as server:
        first, before = ask(server.url, mixed(30), store=store)
        n, spending = len(server.seen), Spending(PRICE, 0.0)
        second, after = ask(server.url, mixed(30), store=store, spending=spending)
        assert len(server.seen) == n == 30
    assert replies(first) == replies(second)
    assert all(isinstance(r, Answer) and r.replayed for r in second.values())
    assert not any(isinstance(r, Answer) and r.replayed for r in first.values())
    assert spending.usd == spending.unknown_usd == 0
    assert (after.totals.replayed, after.totals.attempts, after.totals.latency.n) == (30, 0, 0)
    assert after.totals.usage_replayed == before.totals.usage
    assert after.totals.usage == Usage()


def test_equal_requests_in_flight_are_asked_once_and_samples_each() -> None:
    with FaultServer(seconds=0.1) as server:
        same = [replace(chat(0), tag=i) for i in range(6)]
        samples = [replace(chat(0), tag=10 + i, sample=1 + i) for i in range(2)]
        got, requester = ask(server.url, [*same, *samples], at_once=8)
    assert len(got) == 8
    assert len({json.dumps(reply) for reply in replies(got).values()}) == 1
    assert len(server.seen) == 3
    assert requester.totals.shared == 5


def test_no_more_requests_are_in_flight_than_may_be_and_fewer_when_the_server_says_so() -> None:
    with FaultServer(seconds=0.02) as server:
        ask(server.url, mixed(40), at_once=5)
    assert server.most_in_flight == 5
    with FaultServer(seconds=0.02, remaining=2) as server:
        _, requester = ask(server.url, mixed(40), at_once=8)
    late = sorted((s.at, s.done) for s in server.seen)[12:]
    most = max(sum(a <= at < done for a, done in late) for at, _ in late)
    assert most <= 2
    assert requester.totals.answered == 40


class Instant:
    """A client that answers everything at once and alike."""

    text = json.dumps(truth(reads(0)))

    async def post(self, path: str, body: Mapping[str, Any], timeout: float) -> Reply:
        await asyncio.sleep(0 * timeout)
        assert path == reads(0).path
        assert body
        return Reply(200, {}, self.text)


def queued(n: int, at_once: int) -> tuple[int, int]:
    """Ask n things; return how many were held at a time, and what the last tenth of them held.

    That is bytes that were allocated then and are still held at the end.
    """
    pulled = finished = furthest = held = 0

    def source() -> Iterator[Request]:
        nonlocal pulled, furthest, held
        for i in range(n):
            pulled += 1
            furthest = max(furthest, pulled - finished)
            if i == n - n // 10:
                gc.collect()
                tracemalloc.start()
            yield reads(i)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    def got(_: Request, result: Result) -> None:
        nonlocal finished
        assert isinstance(result, Answer)
        finished += 1

    asyncio.run(Requester(Instant(), SERVED, at_once=at_once).ask(source(), got))
    assert finished == n
    return furthest, held


@pytest.mark.slow
def test_a_hundred_thousand_queued_requests_take_the_memory_of_a_thousand() -> None:
    queued(200, at_once=64)  # imports and caches
    few, many = queued(1000, at_once=64), queued(100_000, at_once=64)
    assert few[0] <= 64
    assert many[0] <= 64
    # 10,000 requests were asked meanwhile: would each leave a kilobyte, it were ten megabytes.
    assert many[1] < few[1] + 1_000_000, "bytes"


def test_requests_are_pulled_as_workers_become_free() -> None:
    furthest, held = queued(1500, at_once=8)
    assert furthest <= 8
    assert held < 100_000, "bytes"


def test_a_provider_with_a_shape_of_its_own_needs_little_more_than_a_translation() -> None:
    class Mood:
        """Speaks to a provider whose replies look otherwise; here, one that is a function."""

        async def post(self, path: str, body: Mapping[str, Any], timeout: float) -> Reply:
            assert path == "/chat/completions"
            assert timeout > 0
            mine = {"answer": "mixed", "read": 9, "written": 1}
            message = {"role": "assistant", "content": mine["answer"]}
            usage = {"prompt_tokens": mine["read"], "completion_tokens": mine["written"]}
            choices = [{"message": message, "finish_reason": "stop"}]
            reply = {"model": body["model"], "choices": choices, "usage": usage}
            return Reply(200, {}, json.dumps(reply))

    spending = Spending(PRICE, 1.0)
    requester = Requester(Mood(), SERVED, spending=spending)
    result = asyncio.run(requester.ask_one(chat(0)))
    assert isinstance(result, Answer)
    assert result.reply["choices"][0]["message"]["content"] == "mixed"
    assert result.usage == Usage(9, tokens_out=1)
    assert spending.usd == pytest.approx(PRICE.usd(Usage(9, tokens_out=1)))


def test_a_broken_server_is_mended_before_the_next_attempt() -> None:
    mended: list[int] = []
    with FaultServer(faults=["500", "reset"]) as server:

        async def mend() -> None:
            mended.append(len(server.seen))

        ask(server.url, mixed(1), at_once=1, mend=mend)
    assert mended == [1, 2]

    async def gone() -> None:
        raise StoppedError("the server died and did not start again")

    with FaultServer(faults=["500"]) as server, pytest.raises(StoppedError, match="server died"):
        ask(server.url, mixed(3), at_once=1, mend=gone)


def test_a_mistake_of_the_caller_is_raised_when_what_is_in_flight_is_stored(
    tmp_path: Path,
) -> None:
    def source() -> Iterator[Request]:
        yield from mixed(3)
        raise ZeroDivisionError

    with ResponseStore(tmp_path / "r.sqlite") as store, FaultServer(seconds=0.05) as server:
        with pytest.raises(ZeroDivisionError):
            ask(server.url, source(), store=store, at_once=8)
        assert len(store) == len(server.seen) == 3


def test_the_sdk_sends_the_key_it_was_given_to_the_url_it_was_given_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("API_KEY", "ORG_ID", "PROJECT_ID", "ADMIN_KEY"):
        monkeypatch.setenv(f"OPENAI_{name}", f"from-the-environment-{name}")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: from-the-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with FaultServer() as server:
        ask(server.url, [chat(0)])
    (seen,) = server.seen
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert "from-the-environment" not in json.dumps(seen.headers)
    assert seen.path == "/v1/chat/completions"
    assert seen.body == chat(0).body
