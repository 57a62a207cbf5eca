"""Asking a server many things: workers, retries, pace, budget and the response store together."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from groupbench.canonical import canonical
from groupbench.llm.client import Reply
from groupbench.llm.errors import (
    Action,
    Verdict,
    refused,
    silent,
    sort_error,
    told_to_wait,
)
from groupbench.llm.pace import Pace, Patience
from groupbench.llm.replies import Result, Unanswered, check_model, read_reply
from groupbench.llm.responses import Answer, response_key
from groupbench.llm.secrets import Redactor
from groupbench.llm.spending import Spending, output_bound
from groupbench.llm.totals import Totals
from groupbench.llm.usage import Usage
from groupbench.predictions import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from groupbench.canonical import Json
    from groupbench.llm.client import Client
    from groupbench.llm.pace import Ticket
    from groupbench.llm.responses import ResponseStore, Served
    from groupbench.llm.spending import Reservation


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to ask."""

    path: str
    """As ``/chat/completions``."""
    body: dict[str, Json]
    """As it is sent; ``model`` included, always."""
    tag: Any = None
    """Whatever the caller knows it by; it goes nowhere."""
    sample: int = 0
    """Tells apart requests that are equal and meant to be asked each."""
    prompt_tokens: int | None = None
    """At least the tokens of the prompt, for the budget; ``None``: the bytes of the body bound
    them."""


class Requester:
    """Asks one server through one client.

    It is bound to the event loop that first uses it, as clients are: one ``asyncio.run`` for all.
    """

    def __init__(  # noqa: PLR0913 - one for each part it ties together
        self,
        client: Client,
        served: Served,
        *,
        store: ResponseStore | None = None,
        spending: Spending | None = None,
        at_once: int = 16,
        patience: Patience | None = None,
        redact: Redactor | None = None,
        mend: Callable[[], Awaitable[None]] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Tie the parts together.

        Args:
            client: reaches the server.
            served: what answers; part of every response's key.
            store: where answers are kept and found; ``None``: nowhere, for probing a server.
            spending: counts dollars and holds the cap.
            at_once: the most requests in flight.
            patience: time-outs, attempts and waits.
            redact: strikes keys out of all that a server says.
            mend: awaited after a 5xx or a lost connection, before the next attempt: looks whether
                a server that we started still lives, starts it again, or raises.
            rng: for the jitter of waits.
        """
        self.totals = Totals()
        self.spending = spending or Spending(None)
        self._client, self._served, self._store = client, served, store
        self._pace, self._patience = Pace(at_once), patience or Patience()
        self._redact, self._mend = redact or Redactor(), mend
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._asking: dict[str, asyncio.Future[Result | None]] = {}
        self._settled = asyncio.Event()
        self._mending = asyncio.Lock()
        self._failure: Exception | None = None
        self._lost_in_a_row = 0

    async def ask(
        self, requests: Iterable[Request], got: Callable[[Request, Result], None]
    ) -> Totals:
        """Ask everything, in order of the iterable; hand each result over as it arrives.

        The iterable is pulled from as workers become free, so that memory stays flat. An answer is
        stored before ``got`` sees it. Interrupted, only what is in flight is lost.

        Raises:
            StoppedError: the server answers nothing more; what was in flight has been stored.
            SpendingCapError: the next call might pass the cap; likewise.
            StoreError: answers cannot be stored.
        """
        source = iter(requests)
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._pace.most):
                workers.create_task(self._work(source, got))
                await asyncio.sleep(0)  # so that it is sent before the next request is made
        if self._failure is not None:
            raise self._failure
        return self.totals

    async def ask_one(self, request: Request) -> Result:
        """Ask one thing.

        Raises:
            StoppedError, SpendingCapError, StoreError: as `ask`.
        """
        results: list[Result] = []
        await self.ask([request], lambda _, result: results.append(result))
        return results[0]

    async def _work(
        self, source: Iterable[Request], got: Callable[[Request, Result], None]
    ) -> None:
        try:
            for request in source:
                if self._pace.stopped.is_set():
                    return
                result = await self._result(request)
                if result is None:
                    return
                self.totals.requests += 1
                got(request, result)
        except Exception as failure:  # noqa: BLE001 - raised by `ask`, once what is in flight is in
            self._halt(failure)

    def _halt(self, failure: Exception) -> None:
        """Send nothing more; `ask` raises the first failure when what is in flight is stored."""
        if self._failure is None:
            self._failure = failure
        self._pace.stop()
        self._settled.set()

    async def _result(self, request: Request) -> Result | None:
        """Return what became of a request; ``None`` if the run stopped before it was answered."""
        key = response_key(self._served, request.path, request.body, request.sample)
        if (asking := self._asking.get(key)) is not None:
            # Shielded: a future that is awaited twice would be cancelled for both.
            result = await asyncio.shield(asking)
            self.totals.shared += result is not None
            return replace(result, replayed=True) if isinstance(result, Answer) else result
        if self._store is not None and (stored := self._store.get(key)) is not None:
            self.totals.replayed += 1
            self.totals.replay(stored.usage, self.spending)
            self.totals.answered_by[stored.model, stored.fingerprint] += 1
            await asyncio.sleep(0)  # a long row of replays must not shut out the rest
            return stored
        self._asking[key] = asyncio.get_running_loop().create_future()
        result = None
        try:
            result = await self._ask_server(request, key)
        finally:
            self._asking.pop(key).set_result(result)
        return result

    async def _ask_server(self, request: Request, key: str) -> Result | None:
        attempt = 0
        while True:
            attempt += 1
            verdict = await self._attempt(request, key)
            if isinstance(verdict, Answer):
                self._lost_in_a_row = 0
                return verdict
            if verdict is None:
                return None
            if verdict.action is Action.STOP:
                self._halt(refused(self._served.provider, verdict))
                return None
            if verdict.action is Action.SKIP:
                self.totals.skipped += 1
                self._lost_in_a_row = 0
                return Unanswered.skipped(verdict)
            if verdict.trouble and self._mend is not None:
                async with self._mending:
                    await self._mend()
            if attempt >= self._patience.tries:
                return self._lost(verdict)
            self.totals.retries[verdict.reason] += 1
            # After a Retry-After too: it may be 0, and all workers would come back at once.
            await self._pace.sleep(self._patience.backoff(attempt, self._rng))

    async def _attempt(self, request: Request, key: str) -> Answer | Verdict | None:
        """Make one call; ``None`` if none may be made any more."""
        reservation = await self._reserve(request)
        if reservation is None:
            return None
        ticket = await self._pace.enter()
        if ticket is None:
            self._settle(reservation, Usage())
            return None
        self.totals.attempts += 1
        usage: Usage | None = None
        started = time.perf_counter()
        try:
            reply = await self._post(request)
            seconds = time.perf_counter() - started
            if isinstance(reply, Verdict):
                usage = self._failed(reply, ticket)
                return reply
            found = read_reply(reply, request.body)
            if isinstance(found, Verdict):
                usage = self._failed(found, ticket)
                return found
            usage = Usage.of(found)
            check_model(found, request.body, self._served.provider)
            answer = Answer.now(found, reply.headers, seconds)
            if self._store is not None:
                answer = self._store.put(key, answer)
            self._count(answer, usage, reply.headers)
            return answer
        finally:
            self._pace.leave()
            self._settle(reservation, usage)

    async def _reserve(self, request: Request) -> Reservation | None:
        """Set the worst case aside, waiting for calls in flight to cost less than theirs."""
        tokens_in = 0
        if self.spending.price is not None:
            tokens_in = request.prompt_tokens or len(canonical(request.body))
        while not self._pace.stopped.is_set():
            reservation = self.spending.reserve(tokens_in, output_bound(request.body))
            if reservation is not None:
                return reservation
            if self.spending.in_flight == 0:
                self._halt(self.spending.cap_error())
                return None
            self._settled.clear()
            await self._settled.wait()
        return None

    def _settle(self, reservation: Reservation, usage: Usage | None) -> None:
        self.spending.settle(reservation, usage)
        self._settled.set()

    async def _post(self, request: Request) -> Reply | Verdict:
        """Return the reply, whatever its status, without keys; a verdict if none came."""
        seconds = self._patience.attempt_seconds
        try:
            async with asyncio.timeout(seconds):
                reply = await self._client.post(request.path, request.body, seconds)
        except Exception as failure:  # noqa: BLE001 - a client may raise anything
            verdict = sort_error(failure)
            return replace(verdict, message=self._redact(verdict.message))
        headers = {name: self._redact(value) for name, value in reply.headers.items()}
        return Reply(reply.status, headers, self._redact(reply.text))

    def _failed(self, verdict: Verdict, ticket: Ticket) -> Usage | None:
        """Go slower where the server asks for it; return what it bills, ``None``: who knows."""
        self._slow_down(verdict, ticket)
        return None if verdict.lost else Usage()

    def _slow_down(self, verdict: Verdict, ticket: Ticket) -> None:
        if verdict.slow_down:
            self._pace.too_fast(ticket)
        if verdict.wait_seconds is None:
            return
        most = self._patience.max_wait_seconds
        if verdict.wait_seconds > most:
            self._halt(told_to_wait(self._served.provider, verdict, most))
        else:
            self._pace.hold(verdict.wait_seconds)

    def _count(self, answer: Answer, usage: Usage | None, headers: Mapping[str, str]) -> None:
        self.totals.answered += 1
        self.totals.answered_by[answer.model, answer.fingerprint] += 1
        self.totals.latency.add(answer.latency_seconds)
        self.totals.without_usage += usage is None
        self.totals.usage += usage or Usage()
        tokens = usage.tokens_in + usage.tokens_out if usage is not None else 0
        self._pace.went_well(headers, tokens)

    def _lost(self, verdict: Verdict) -> Unanswered:
        """Give one request up, and all of them when nothing has been answered for long."""
        self.totals.lost += 1
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= self._patience.give_up_after:
            self._halt(silent(self._served.provider, verdict, self._lost_in_a_row))
        return Unanswered(Outcome.INFRA, verdict.reason, verdict.message)
