"""Language models behind a server, as prompted runners use them.

Prompts go out as many at once as the server bears, and answers are given in the order of the
prompts.
"""

from __future__ import annotations

import asyncio
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from groupbench.llm.in_order import InOrder
from groupbench.llm.model import ModelUse
from groupbench.llm.prompt_requests import PromptRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from groupbench.canonical import Json
    from groupbench.llm.answers import Said
    from groupbench.llm.in_order import Work
    from groupbench.llm.model import Abilities
    from groupbench.llm.prompt import Prompt
    from groupbench.llm.readers import Reason
    from groupbench.llm.reads import LabelReads
    from groupbench.llm.replies import Result
    from groupbench.llm.requests import Request
    from groupbench.llm.spending import Spending
    from groupbench.llm.totals import Totals

T = TypeVar("T")


class Asks(Protocol):
    """Asks a server many things: a `Requester`, or what delivers otherwise."""

    totals: Totals
    spending: Spending

    async def ask(
        self, requests: Iterable[Request], got: Callable[[Request, Result], None]
    ) -> Totals:
        """Ask everything and hand each result over as it arrives; see `Requester.ask`."""
        ...


class ServedModel:
    """A `groupbench.llm.model.Model` that asks a server.

    It runs the event loop only while an answer is waited for, so it needs no thread.
    """

    def __init__(  # noqa: PLR0913 - one for each part it ties together
        self,
        requester: Asks,
        loop: asyncio.Runner,
        name: str,
        abilities: Abilities,
        *,
        facts: Mapping[str, Json] | None = None,
        dress: Callable[[dict[str, Json]], dict[str, Json]] | None = None,
    ) -> None:
        """Tie the parts together.

        Args:
            requester: asks the server; used on ``loop`` only.
            loop: the event loop that the requester's client belongs to.
            name: of the model, as the server knows it.
            abilities: what the server was found to do with it.
            facts: for the record: what serves.
            dress: changes the body of a chat request into what the provider wants.
        """
        self.abilities = abilities
        self._requests = PromptRequests(name, abilities, dress)
        self._requester, self._loop = requester, loop
        self._facts = dict(facts or {})

    def read(self, prompts: Iterable[Prompt]) -> Iterator[tuple[LabelReads, ...] | Reason]:
        """Yield the label reads of each prompt's questions; see `groupbench.llm.model.Model`."""
        return self._answers(prompts, self._requests.reading)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[tuple[Said, ...] | Reason]:
        """Yield what was said to each prompt's questions; see `groupbench.llm.model.Model`."""
        return self._answers(prompts, self._requests.generation)

    def anew(self) -> ServedModel:
        """Return this model, to ask what it has answered once more; see `groupbench.llm.repeat`."""
        again = copy(self)
        again._requests = replace(self._requests, sample=self._requests.sample + 1)  # noqa: SLF001 - a copy of itself
        return again

    def use(self) -> ModelUse:
        """Return what was done so far."""
        spending = self._requester.spending
        facts = {**self._facts, **self._requester.totals.to_json(spending)}
        return ModelUse(
            usd=spending.usd + spending.unknown_usd,
            facts=facts,
            calls=self._requester.totals.calls(spending),
        )

    def _answers(
        self, prompts: Iterable[Prompt], make: Callable[[Prompt], Work[T]]
    ) -> Iterator[tuple[T, ...] | Reason]:
        stream = InOrder(prompts, make)
        loop = self._loop.get_loop()
        task = loop.create_task(self._requester.ask(stream.requests(), stream.got))
        task.add_done_callback(lambda _: stream.ready.set())
        try:
            while True:
                yield from stream.next_done()
                if task.done():
                    break
                loop.run_until_complete(stream.ready.wait())
            task.result()
        finally:
            if not task.done():
                task.cancel()
                loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
