"""Prompts on their way to a model and back: what is sent, what came back, and the counts of it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from groupbench.predictions import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from groupbench.canonical import Json
    from groupbench.llm.prompt import Prompt
    from groupbench.llm.readers import Reason

T = TypeVar("T")


def ask(
    prompts: Iterable[Prompt], answer: Callable[[Iterable[Prompt]], Iterator[T | Reason]]
) -> Iterator[tuple[Prompt, T | Reason]]:
    """Yield each prompt with what a model answers, or why there is nothing.

    Prompts that were given up are not sent. Only those that were sent and not yet answered are
    held.

    Args:
        prompts: in the order in which they are sent.
        answer: `Model.read` or `Model.generate`.

    Raises:
        ValueError: the model does not answer each prompt once.
    """
    waiting: deque[Prompt] = deque()

    def sent() -> Iterator[Prompt]:
        for prompt in prompts:
            waiting.append(prompt)
            if prompt.reason is None:
                yield prompt

    def given_up() -> Iterator[tuple[Prompt, T | Reason]]:
        while waiting and (reason := waiting[0].reason) is not None:
            yield waiting.popleft(), reason

    for answered in answer(sent()):
        yield from given_up()
        if not waiting:
            raise ValueError("the model gave more answers than it took prompts")
        yield waiting.popleft(), answered
    yield from given_up()
    if waiting:
        raise ValueError(f"the model left {len(waiting)} prompts without an answer")


@dataclass
class Tally:
    """Counts over the prompts of one split, for the record of a fit."""

    n: int = 0
    tokens: int = 0
    shots_dropped: int = 0
    inputs_cut: int = 0
    words_dropped: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    """By example, why there is no valid answer."""
    more: Counter[str] = field(default_factory=Counter)
    """Ties; or steps of the reader, and what became of entities and items of lists."""

    def add(self, prompt: Prompt, reason: Reason | None) -> Outcome:
        """Count one prompt and what became of it; return that."""
        self.n += 1
        self.tokens += prompt.n_tokens
        self.shots_dropped += prompt.shots_dropped
        self.inputs_cut += prompt.input_cut
        self.words_dropped += prompt.words_dropped
        outcome = Outcome.OK if reason is None else reason.outcome
        self.outcomes[str(outcome)] += 1
        if reason is not None:
            self.reasons[prompt.id] = str(reason)
        return outcome

    def to_json(self) -> dict[str, Json]:
        """Return the counts as JSON."""
        return {
            "examples": self.n,
            "prompt_tokens": self.tokens,
            "shots_dropped": self.shots_dropped,
            "inputs_cut": self.inputs_cut,
            "words_dropped": self.words_dropped,
            "outcomes": dict(sorted(self.outcomes.items())),
            "reasons": dict(self.reasons),
            **dict(sorted(self.more.items())),
        }


def light(prompt: Prompt) -> Prompt:
    """Return a prompt without what was sent, for when the answer is read."""
    return replace(prompt, questions=(), parts={}, schema=None)
