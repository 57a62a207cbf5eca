"""The task that language models are asked about: three labels, made here, short or long prompts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from groupbench.runner import FitRequest, TaskInput
from groupbench.task import Example, Kind, Materialised, Split, Task

LABELS = ("positive", "negative", "neutral")
WORDS = (
    *("film", "plot", "actor", "drug", "patient", "headache", "treatment", "sentence", "the", "was"),
    *("good", "said", "works", "about", "which", "before", "after", "they", "from", "with", "were"),
)
"""Each is one token of the tiny models' tokenizers, or two."""
N_TRAIN = 96


@dataclass(frozen=True, slots=True)
class Shape:
    """What prompts look like."""

    name: str
    shots: int
    """The same in all prompts."""
    n_words: int
    """Of each text."""


SHORT = Shape("short", 0, 8)
LONG = Shape("long", 16, 34)


def given(shape: Shape, n: int, seed: int = 0) -> TaskInput:
    """Return ``n`` examples to be predicted, and others to draw shots from; no text occurs twice.

    Args:
        shape: of the prompts.
        n: examples.
        seed: of the texts.
    """
    rng = random.Random(f"{shape.name} {seed}")  # noqa: S311 - test data

    def example(i: int, gold: int | None) -> Example:
        words = rng.choices(WORDS, k=shape.n_words - 1)
        return Example(f"{shape.name}-{i}", f"{' '.join(words)} {seed}x{i}.", gold)

    train = tuple(example(n + i, i % len(LABELS)) for i in range(N_TRAIN if shape.shots else 0))
    task = Task(
        name=f"{shape.name}-{seed}",
        kind=Kind.SINGLE,
        labels=LABELS,
        metrics=("accuracy",),
        loader=Materialised({}),
    )
    asked = tuple(example(i, None) for i in range(n))
    return TaskInput(task, train, (), {Split.TEST: asked})


def request(tasks: tuple[TaskInput, ...], address: dict[str, str]) -> FitRequest:
    """Return the fit that asks a server at ``address`` about all of it."""
    return FitRequest(tasks, seed=0, service=address)
