"""Asking by batch: everything is sent in files and answered within a day, at a part of the price.

What the response store holds is not sent. What is sent is written down first, so that a run which
was ended, however, waits for its batches when it is run again.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from groupbench.llm.errors import Action, StoppedError, refused
from groupbench.llm.replies import Result, Unanswered, check_model, read_reply
from groupbench.llm.responses import Answer, response_key
from groupbench.llm.spending import Reservation, output_bound
from groupbench.llm.totals import Totals
from groupbench.llm.usage import Usage
from groupbench.predictions import Outcome
from groupbench_openai.batch_file import endpoint_of, files_of, line_of, replies_of
from groupbench_openai.batch_notes import BatchNote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from groupbench.llm.client import Reply
    from groupbench.llm.requests import Request
    from groupbench.llm.responses import ResponseStore, Served
    from groupbench.llm.spending import Spending
    from groupbench_openai.batch_api import Batch, BatchApi
    from groupbench_openai.batch_notes import BatchNotes

ENDED = frozenset({"completed", "expired", "cancelled"})
"""Statuses of batches that answer no more, and keep what they have answered."""

ROUNDS = 3
"""Times that a request is sent; what failed for reasons that pass is sent again."""

_SLOWER = 10
"""Looks at a batch become rarer, up to so many times the first wait."""


@dataclass
class _Open:
    """A request that is not answered."""

    request: Request
    n_wanted: int = 1
    """Equal requests that it stands for."""
    n_sent: int = 0
    reservation: Reservation | None = None
    result: Result | None = None


@dataclass(eq=False)
class BatchRequester:
    """Asks many things by batch. Stands where a `groupbench.llm.Requester` would."""

    api: BatchApi
    served: Served
    url: str
    """Of the endpoint; batches of another are not ours."""
    store: ResponseStore
    notes: BatchNotes
    spending: Spending
    claim: Callable[[float], bool]
    """Sets dollars aside among all fits of the run; false: they are not there."""
    release: Callable[[float], None]
    """Gives back what of them was not spent."""
    poll_seconds: float = 60.0
    totals: Totals = field(default_factory=Totals)

    async def ask(
        self, requests: Iterable[Request], got: Callable[[Request, Result], None]
    ) -> Totals:
        """Ask everything; hand each result over once the batches have ended.

        Raises:
            StoppedError: the endpoint does not take or answer a batch.
            SpendingCapError: not one more request may be sent.
            StoreError: answers cannot be stored.
        """
        everything: list[tuple[str, Request]] = []
        pending: dict[str, _Open] = {}
        for request in requests:
            key = response_key(self.served, request.path, request.body, request.sample)
            everything.append((key, request))
            if key in pending:
                pending[key].n_wanted += 1
            elif self.store.get(key) is None:
                pending[key] = _Open(request)
        asked = dict(pending)
        before = self._spent
        try:
            await self._resume(pending)
        finally:
            self.release(before - self._spent)  # it was claimed by an earlier run, and not by this
        while pending:
            await self._round(pending)
        for key, request in everything:
            self.totals.requests += 1
            got(request, self._result(key, asked.get(key)))
        return self.totals

    def _result(self, key: str, asked: _Open | None) -> Result:
        if asked is not None and asked.result is not None:
            return asked.result
        stored = self.store.get(key)
        if stored is None:
            raise StoppedError("An answer vanished from the response store. Run again.")
        if asked is None:
            self.totals.replayed += 1
            self.totals.replay(stored.usage, self.spending)
            self.totals.answered_by[stored.model, stored.fingerprint] += 1
        elif asked.n_wanted > 1:
            asked.n_wanted -= 1
            self.totals.shared += 1
        return stored

    async def _resume(self, pending: dict[str, _Open]) -> None:
        """Wait for batches of an earlier run that hold what is wanted now."""
        for note in list(self.notes.about(self.url, pending)):
            if note.batch_id:
                batch = await self.api.look(note.batch_id)
            else:
                batch = await self.api.find(note.name, note.file_id, note.written)
            if batch is None:
                self.notes.forget(note)  # it was never made
                continue
            for key in set(note.keys) & set(pending):
                pending[key].reservation = self.spending.owed()
            await self._collect(batch, note, pending)

    async def _round(self, pending: dict[str, _Open]) -> None:
        """Send as much as dollars allow, wait for it, and store what is answered."""
        chosen: dict[str, _Open] = {}
        for key, one in pending.items():
            line = line_of(key, one.request)
            reservation = self.spending.reserve(len(line), output_bound(one.request.body))
            if reservation is None:
                break
            one.reservation = reservation
            chosen[key] = one
        claimed = self._claim(chosen)
        before = self._spent
        try:
            await self._send_all(chosen, pending)
        finally:
            # What is still reserved was sent, and will be billed.
            spent = self._spent - before
            self.release(claimed - spent - self.spending.reserved_usd)

    @property
    def _spent(self) -> float:
        return self.spending.usd + self.spending.unknown_usd

    def _claim(self, chosen: dict[str, _Open]) -> float:
        """Set dollars aside for as many of the chosen as there are dollars for; return them."""
        while chosen:
            usd = sum(one.reservation.usd for one in chosen.values() if one.reservation is not None)
            if self.claim(usd):
                return usd
            for key in list(chosen)[len(chosen) // 2 :]:
                self._settle(chosen.pop(key), Usage())
        raise self.spending.cap_error()

    async def _send_all(self, chosen: dict[str, _Open], pending: dict[str, _Open]) -> None:
        by_endpoint: dict[str, list[str]] = {}
        for key, one in chosen.items():
            by_endpoint.setdefault(endpoint_of(one.request), []).append(key)
        sent = []
        for endpoint, keys in by_endpoint.items():
            lines = ((key, line_of(key, chosen[key].request)) for key in keys)
            sent += [await self._send(held, endpoint, chosen) for held in files_of(lines)]
        await asyncio.gather(*(self._collect(batch, note, pending) for batch, note in sent))

    async def _send(
        self, lines: Mapping[str, bytes], endpoint: str, chosen: Mapping[str, _Open]
    ) -> tuple[Batch, BatchNote]:
        note = BatchNote(self.url, tuple(sorted(lines)))
        file_id = await self.api.upload(note.name, b"".join(lines.values()))
        # Before it is sent: killed in between, the next run asks the endpoint whether it was.
        note = replace(note, file_id=file_id, written=time.time())
        self.notes.write(note)
        batch = await self.api.create(file_id, endpoint, note.name, note.written)
        note = replace(note, batch_id=batch.id)
        self.notes.write(note)
        for key in lines:
            chosen[key].n_sent += 1
            self.totals.attempts += 1
        return batch, note

    async def _collect(self, batch: Batch, note: BatchNote, pending: dict[str, _Open]) -> None:
        """Wait for a batch, store its answers, and settle what it cost."""
        wait = self.poll_seconds
        found: Batch | None = batch
        while found is not None and found.status not in ENDED:
            if found.status == "failed":
                self.notes.forget(note)
                raise StoppedError(
                    f"{self.served.provider} did not take a batch: {found.problem or 'no reason'}."
                )
            await asyncio.sleep(wait)
            wait = min(1.5 * wait, _SLOWER * self.poll_seconds)
            found = await self.api.look(batch.id)
        # Others may be in it too, of a run that was changed meanwhile.
        left = set(note.keys) & set(pending)
        failure: StoppedError | None = None
        for file_id in filter(None, (found.output, found.errors) if found is not None else ()):
            for key, reply in replies_of(await self.api.fetch(file_id)):
                if key not in left:
                    continue
                left.remove(key)
                try:
                    self._take(key, reply, pending)
                except StoppedError as problem:  # the others' answers are kept
                    failure = failure or problem
        for key in left:  # expired, or cancelled: not answered and not billed
            self._again(pending, key, "expired", Usage())
        self.notes.forget(note)
        if failure is not None:
            raise failure

    def _take(self, key: str, reply: Reply, pending: dict[str, _Open]) -> None:
        """Take one line: an answer, a refusal of what it holds, or a fault that passes."""
        one = pending[key]
        found = read_reply(reply, one.request.body)
        if isinstance(found, dict):
            usage = Usage.of(found)
            self._settle(one, usage)
            check_model(found, one.request.body, self.served.provider)
            answer = self.store.put(key, Answer.now(found, {}, 0.0))
            self.totals.answered += 1
            self.totals.answered_by[answer.model, answer.fingerprint] += 1
            self.totals.without_usage += usage is None
            self.totals.usage += usage or Usage()
            del pending[key]
            return
        if found.action is Action.STOP:
            self._settle(one, Usage())
            raise refused(self.served.provider, found)
        if found.action is Action.SKIP:
            self._settle(one, Usage())
            self.totals.skipped += 1
            one.result = Unanswered.skipped(found)
            del pending[key]
            return
        self._again(pending, key, found.reason, None if found.lost else Usage())

    def _again(self, pending: dict[str, _Open], key: str, reason: str, usage: Usage | None) -> None:
        """Let a request be sent once more, or give it up."""
        one = pending[key]
        self._settle(one, usage)
        if one.n_sent < ROUNDS:
            self.totals.retries[reason] += 1
            return
        self.totals.lost += 1
        one.result = Unanswered(Outcome.INFRA, reason, f"in {one.n_sent} batches")
        del pending[key]

    def _settle(self, one: _Open, usage: Usage | None) -> None:
        if one.reservation is not None:
            self.spending.settle(one.reservation, usage)
            one.reservation = None
