"""Asking again: does a model say the same twice? Temperature 0 is not determinism.

What else a server computes at the time, and what its prefix cache holds, move near-ties.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from groupbench.apportion import apportion
from groupbench.llm.modes import Mode
from groupbench.llm.prompter import Prompter
from groupbench.llm.readers import Reason
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.canonical import Json
    from groupbench.llm.answers import Said
    from groupbench.llm.model import Model
    from groupbench.llm.prompted import PromptedRunner
    from groupbench.llm.reads import LabelReads
    from groupbench.runner import FitRequest, TaskInput
    from groupbench.task import Example


@dataclass(frozen=True, slots=True)
class Repetition:
    """What became of prompts that were asked twice."""

    n: int = 0
    n_same: int = 0
    """The likeliest label of each question is the same; of written answers the whole text."""
    largest_change: float | None = None
    """Between log-likelihoods of a label, in nats; ``None`` where none were read."""

    def __add__(self, other: Repetition) -> Repetition:
        changes = [c for c in (self.largest_change, other.largest_change) if c is not None]
        return Repetition(
            self.n + other.n, self.n_same + other.n_same, max(changes) if changes else None
        )

    def facts(self) -> Json:
        """Return it for the record of a fit."""
        return asdict(self)

    def warning(self) -> str | None:
        """Return what a user should know; ``None`` where every answer was the same."""
        if self.n_same == self.n:
            return None
        moved = ""
        if self.largest_change is not None:
            moved = f", and log-likelihoods of labels moved by up to {self.largest_change:.2g} nats"
        return f"Asked again, {self.n_same} of {self.n} answers were the same{moved}."


def repeat(runner: PromptedRunner, model: Model, request: FitRequest, n: int) -> Repetition:
    """Ask ``n`` test examples of a fit once more, and compare.

    Answers of the first time come from where the model keeps them, if it does. The tasks are
    given equal shares.

    Raises:
        PolicyError: more would be spent than may be.
    """
    shares = shares_of(n, len(request.tasks))
    found = (
        _repeat(runner, model, given, request.seed, share)
        for given, share in zip(request.tasks, shares, strict=True)
    )
    return sum(found, Repetition())


def shares_of(n: int, n_tasks: int) -> list[int]:
    """Return how many examples of each task of a fit are asked again."""
    return apportion([1.0] * n_tasks, n)


def repeated(given: TaskInput, n: int) -> list[Example]:
    """Return the test examples of a task that are asked again: at most ``n``, evenly."""
    examples = given.predict.get(Split.TEST, ())
    n = min(n, len(examples))
    return [examples[i * len(examples) // n] for i in range(n)]


def _repeat(
    runner: PromptedRunner, model: Model, given: TaskInput, seed: int, n: int
) -> Repetition:
    prompter = Prompter.of(runner, model.abilities, given, seed)
    prompts = [p for p in prompter.prompts(repeated(given, n)) if p.reason is None]
    again: Model = model.anew() if hasattr(model, "anew") else model
    if prompter.mode is Mode.SCORE:
        return _compare_reads(list(model.read(prompts)), list(again.read(prompts)))
    return _compare_texts(list(model.generate(prompts)), list(again.generate(prompts)))


def _compare_reads(
    first: Sequence[tuple[LabelReads, ...] | Reason],
    second: Sequence[tuple[LabelReads, ...] | Reason],
) -> Repetition:
    n_same, changes = 0, []
    for one, other in zip(first, second, strict=True):
        if isinstance(one, Reason) or isinstance(other, Reason):
            n_same += isinstance(one, Reason) and isinstance(other, Reason)
            continue
        pairs = [(a.sums, b.sums) for a, b in zip(one, other, strict=True)]
        n_same += all(np.argmax(a) == np.argmax(b) for a, b in pairs)
        changes += [float(np.abs(a - b).max()) for a, b in pairs]
    return Repetition(len(first), n_same, max(changes, default=None))


def _compare_texts(
    first: Sequence[tuple[Said, ...] | Reason], second: Sequence[tuple[Said, ...] | Reason]
) -> Repetition:
    n_same = sum(_text(a) == _text(b) for a, b in zip(first, second, strict=True))
    return Repetition(len(first), n_same)


def _text(said: tuple[Said, ...] | Reason) -> object:
    if isinstance(said, Reason):
        return said.outcome
    return [(each.text, each.finish_reason, each.refusal) for each in said]
