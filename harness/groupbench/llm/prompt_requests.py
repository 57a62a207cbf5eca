"""What a server is asked about a prompt: the requests, and how their answers are read.

All prompts of one example travel in one call where they can, since a server refuses a call whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groupbench.llm.answers import Said
from groupbench.llm.errors import StoppedError
from groupbench.llm.in_order import Work
from groupbench.llm.reads import CHUNK, LabelReads, ReadCall, ReadPlan, plan_reads
from groupbench.llm.requests import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from groupbench.canonical import Json
    from groupbench.llm.model import Abilities
    from groupbench.llm.prompt import Prompt, Question
    from groupbench.llm.responses import Answer

COMPLETIONS, CHAT = "/completions", "/chat/completions"


@dataclass(frozen=True, slots=True)
class PromptRequests:
    """Makes requests of prompts: equal prompts and abilities make equal requests."""

    name: str
    """Of the model, as the server knows it."""
    abilities: Abilities
    """What the server was found to do with it."""
    dress: Callable[[dict[str, Json]], dict[str, Json]] | None = None
    """Changes the body of a chat request into what the provider wants."""
    sample: int = 0
    """Of `Request.sample`: another number asks once more what is stored."""

    def reading(self, prompt: Prompt) -> Work[LabelReads]:
        """Return what the labels of a prompt's questions are read with."""
        by_echo = "label_reads" not in self.abilities.capabilities
        return self._echo(prompt) if by_echo else self._reads(prompt)

    def of(self, prompt: Prompt) -> Sequence[Request]:
        """Return the requests of a prompt, whichever way it is asked; none if it is given up."""
        if prompt.reason is not None:
            return ()
        scored = any(question.continuations for question in prompt.questions)
        return (self.reading(prompt) if scored else self.generation(prompt)).requests

    def _reads(self, prompt: Prompt) -> Work[LabelReads]:
        """Ask for label reads: as few calls as `CHUNK` allows for all questions together."""
        plans = [plan_reads(question.continuations) for question in prompt.questions]
        bundles: list[list[tuple[int, ReadCall]]] = []
        tokens: set[int] = set()
        for i, plan in enumerate(plans):
            for call in plan.calls:
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

    def generation(self, prompt: Prompt) -> Work[Said]:
        """Return what a prompt's questions are answered with: the likeliest text."""
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
            "model": self.name,
            "prompt": prompts,
            "max_tokens": cap,
            "temperature": 0,
            **more,
        }
        return Request(COMPLETIONS, body, sample=self.sample, prompt_tokens=sum(map(len, prompts)))

    def _chat(self, question: Question, cap: int, more: Mapping[str, Json]) -> Request:
        body: dict[str, Json] = {
            "model": self.name,
            "messages": [dict(message) for message in question.messages or ()],
            "max_completion_tokens": cap,
            "temperature": 0,
            **more,
        }
        body = body if self.dress is None else self.dress(body)
        return Request(CHAT, body, sample=self.sample)


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
