"""Language models behind a server, as prompted runners use them: from prompts to requests and back.

Prompts go out as many at once as the server bears, and answers are given in the order of the
prompts. All prompts of one example travel in one call where they can, since a server refuses a call
whole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from groupbench.llm.answers import Said
from groupbench.llm.errors import StoppedError
from groupbench.llm.in_order import InOrder, Work
from groupbench.llm.model import ModelUse
from groupbench.llm.reads import CHUNK, LabelReads, ReadCall, ReadPlan, plan_reads
from groupbench.llm.requests import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from groupbench.canonical import Json
    from groupbench.llm.model import Abilities
    from groupbench.llm.prompt import Prompt, Question
    from groupbench.llm.readers import Reason
    from groupbench.llm.replies import Result
    from groupbench.llm.responses import Answer
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


COMPLETIONS, CHAT = "/completions", "/chat/completions"


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
        self._dress = dress
        self._requester, self._loop, self._name = requester, loop, name
        self._facts = dict(facts or {})

    def read(self, prompts: Iterable[Prompt]) -> Iterator[tuple[LabelReads, ...] | Reason]:
        """Yield the label reads of each prompt's questions; see `groupbench.llm.model.Model`."""
        by_echo = "label_reads" not in self.abilities.capabilities
        make: Callable[[Prompt], Work[LabelReads]] = self._echo if by_echo else self._reads
        return self._answers(prompts, make)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[tuple[Said, ...] | Reason]:
        """Yield what was said to each prompt's questions; see `groupbench.llm.model.Model`."""
        return self._answers(prompts, self._generation)

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

    def _reads(self, prompt: Prompt) -> Work[LabelReads]:
        """Ask for label reads: as few calls as `CHUNK` allows for all questions together."""
        plans = [plan_reads(question.continuations) for question in prompt.questions]
        bundles: list[list[tuple[int, ReadCall]]] = []
        tokens: set[int] = set()
        for i, plan in enumerate(plans):
            for call in plan.calls():
                if not bundles or len(tokens.union(call.token_ids)) > CHUNK:
                    bundles.append([])
                    tokens = set()
                tokens.update(call.token_ids)
                bundles[-1].append((i, call))
        requests = []
        for bundle in bundles:
            sent = [
                ids
                for i, call in bundle
                for ids in plans[i].prompts(_ids(prompt.questions[i]), call)
            ]
            wanted = sorted({token for _, call in bundle for token in call.token_ids})
            requests.append(
                self._complete(
                    sent,
                    1,
                    logprobs=1,
                    logprob_token_ids=wanted,
                    return_tokens_as_token_ids=True,
                )
            )
        return Work(requests, lambda answers: _label_reads(plans, bundles, answers))

    def _echo(self, prompt: Prompt) -> Work[LabelReads]:
        """Ask for label scores of servers that only score what they are sent."""
        requests = []
        for question in prompt.questions:
            whole = [[*_ids(question), *ids] for ids in question.continuations.values()]
            requests.append(self._complete(whole, 1, echo=True, logprobs=1))
        return Work(
            requests,
            lambda answers: tuple(
                _echoed(*each) for each in zip(prompt.questions, answers, strict=True)
            ),
        )

    def _generation(self, prompt: Prompt) -> Work[Said]:
        more: dict[str, Json] = {}
        if self.abilities.form.stop:
            more["stop"] = list(self.abilities.form.stop)
        if prompt.schema is not None:
            named: dict[str, Json] = {"name": "answer", "schema": prompt.schema, "strict": True}
            more["response_format"] = {"type": "json_schema", "json_schema": named}
        requests, members = [], []
        for choices, asked in _alike(prompt.questions):
            bound = {"structured_outputs": {"choice": list(choices)}} if choices else {}
            if all(prompt.questions[i].ids is not None for i in asked):
                sent = [list(_ids(prompt.questions[i])) for i in asked]
                told = {"return_token_ids": True} if choices else {}
                requests.append(self._complete(sent, prompt.max_tokens, **bound, **told, **more))
                members.append(asked)
                continue
            for i in asked:
                requests.append(self._chat(prompt.questions[i], prompt.max_tokens, bound | more))
                members.append((i,))
        return Work(requests, lambda answers: _said(members, answers))

    def _complete(self, prompts: list[list[int]], cap: int, **more: Json) -> Request:
        body: dict[str, Json] = {
            "model": self._name,
            "prompt": prompts,
            "max_tokens": cap,
            "temperature": 0,
            **more,
        }
        return Request(COMPLETIONS, body, prompt_tokens=sum(map(len, prompts)))

    def _chat(self, question: Question, cap: int, more: Mapping[str, Json]) -> Request:
        body: dict[str, Json] = {
            "model": self._name,
            "messages": [dict(message) for message in question.messages or ()],
            "max_completion_tokens": cap,
            "temperature": 0,
            **more,
        }
        return Request(CHAT, body if self._dress is None else self._dress(body))


def _alike(questions: Sequence[Question]) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Yield the sets of choices, and the indices of the questions that have each."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for i, question in enumerate(questions):
        alike.setdefault(tuple(question.choices.values()), []).append(i)
    for choices, asked in alike.items():
        yield choices, tuple(asked)


def _ids(question: Question) -> tuple[int, ...]:
    if question.ids is None:
        raise ValueError("token ids are needed, and the form sends messages")
    return question.ids


def _label_reads(
    plans: Sequence[ReadPlan],
    bundles: Sequence[Sequence[tuple[int, ReadCall]]],
    answers: Sequence[Answer],
) -> tuple[LabelReads, ...]:
    replies: list[list[list[dict[int, float]]]] = [[] for _ in plans]
    for bundle, answer in zip(bundles, answers, strict=True):
        choices = iter(_in_order(answer))
        for i, call in bundle:
            replies[i].append([_read(next(choices), call) for _ in call.prefixes])
    return tuple(plan.sums(reply) for plan, reply in zip(plans, replies, strict=True))


def _read(choice: Mapping[str, Any], call: ReadCall) -> dict[int, float]:
    try:
        read = choice["logprobs"]["top_logprobs"][0]
        return {token: float(read[f"token_id:{token}"]) for token in call.token_ids}
    except (KeyError, IndexError, TypeError, ValueError):
        raise _unread() from None


def _echoed(question: Question, answer: Answer) -> LabelReads:
    import numpy as np

    start = len(_ids(question))
    sums, first, n_tokens = [], [], []
    labels = question.continuations.values()
    for ids, choice in zip(labels, _in_order(answer), strict=True):
        try:
            values = [float(v) for v in choice["logprobs"]["token_logprobs"][start:][: len(ids)]]
        except (KeyError, IndexError, TypeError, ValueError):
            raise _unread() from None
        if len(values) != len(ids):
            raise _unread()
        sums.append(sum(values))
        first.append(values[0] if values else 0.0)
        n_tokens.append(len(ids))
    return LabelReads(np.array(sums), np.array(first), np.array(n_tokens, dtype=np.int64))


def _unread() -> StoppedError:
    return StoppedError(
        "The server left out log-probabilities that it gave when it was probed; was it exchanged"
        " meanwhile? Run again."
    )


def _said(members: Sequence[tuple[int, ...]], answers: Sequence[Answer]) -> tuple[Said, ...]:
    said: dict[int, Said] = {}
    for asked, answer in zip(members, answers, strict=True):
        for i, choice in zip(asked, _in_order(answer), strict=True):
            message = choice.get("message")
            written = message if isinstance(message, dict) else {"content": choice.get("text")}
            ids = choice.get("token_ids")
            said[i] = Said(
                written.get("content"),
                choice.get("finish_reason"),
                written.get("refusal"),
                tuple(ids) if isinstance(ids, list) else None,
            )
    return tuple(said[i] for i in sorted(said))


def _in_order(answer: Answer) -> list[Mapping[str, Any]]:
    return sorted(answer.reply["choices"], key=lambda choice: choice.get("index", 0))
