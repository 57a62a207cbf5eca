"""Prompts to a server and back: requests leave as they are wanted, answers come in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from groupbench.llm.errors import StoppedError
from groupbench.llm.readers import Reason
from groupbench.llm.replies import Unanswered
from groupbench.predictions import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from groupbench.llm.prompt import Prompt
    from groupbench.llm.replies import Result
    from groupbench.llm.requests import Request
    from groupbench.llm.responses import Answer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """What one prompt is asked with, and how the answers are read."""

    requests: Sequence[Request]
    read: Callable[[Sequence[Answer]], tuple[T, ...]]


@dataclass(slots=True)
class _Open(Generic[T]):
    """A prompt whose answers are not all there."""

    work: Work[T]
    answers: dict[int, Answer] = field(default_factory=dict)
    reason: Reason | None = None
    n_back: int = 0


class InOrder(Generic[T]):
    """Prompts on their way out, and their answers on the way back, given in the prompts' order."""

    def __init__(self, prompts: Iterable[Prompt], make: Callable[[Prompt], Work[T]]) -> None:
        self.ready = asyncio.Event()
        """Set when the next answer in order is there, or nothing more will come."""
        self._prompts, self._make = prompts, make
        self._open: dict[int, _Open[T]] = {}
        self._done: dict[int, tuple[T, ...] | Reason] = {}
        self._next = 0

    def requests(self) -> Iterator[Request]:
        for i, prompt in enumerate(self._prompts):
            if prompt.reason is not None:
                self._finish(i, prompt.reason)
                continue
            work = self._make(prompt)
            if not work.requests:
                self._finish(i, work.read(()))
                continue
            self._open[i] = _Open(work)
            for k, request in enumerate(work.requests):
                yield replace(request, tag=(i, k))

    def got(self, request: Request, result: Result) -> None:
        i, k = request.tag
        one = self._open[i]
        one.n_back += 1
        if isinstance(result, Unanswered):
            one.reason = _reason(result)
        else:
            one.answers[k] = result
        if one.n_back < len(one.work.requests):
            return
        del self._open[i]
        answers = [answer for _, answer in sorted(one.answers.items())]
        self._finish(i, one.work.read(answers) if one.reason is None else one.reason)

    def next_done(self) -> Iterator[tuple[T, ...] | Reason]:
        """Yield what is there, in order."""
        self.ready.clear()
        while self._next in self._done:
            self._next += 1
            yield self._done.pop(self._next - 1)

    def _finish(self, i: int, answer: tuple[T, ...] | Reason) -> None:
        self._done[i] = answer
        if i == self._next:
            self.ready.set()


def _reason(result: Unanswered) -> Reason:
    """Return why a server refuses a prompt.

    Raises:
        StoppedError: it did not; it failed, and that is no answer.
    """
    if result.outcome is Outcome.INFRA:
        said = f" ({result.message})" if result.message else ""
        raise StoppedError(
            f"A request was not answered after all attempts: {result.reason}{said}. Run again: what"
            " was answered is stored."
        )
    return Reason(result.reason)
