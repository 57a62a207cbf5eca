"""The tasks that language models are asked about, made here, and the tiny model that is asked."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groupbench.runner import FitRequest, TaskInput
from groupbench.task import Example, Kind, Materialised, Split, Task

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
"""Where the tiny model is built."""

LABELS = ("positive", "negative", "neutral")
WORDS = (
    *(
        "film",
        "plot",
        "actor",
        "drug",
        "patient",
        "headache",
        "treatment",
        "sentence",
        "the",
        "was",
    ),
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
    labels: tuple[str, ...] = LABELS
    kind: Kind = Kind.SINGLE


SHORT = Shape("short", 0, 8)
LONG = Shape("long", 16, 38)
MANY = Shape("many", 0, 400, WORDS[:8], Kind.MULTILABEL)
"""Long texts, and a question about each of eight labels."""


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

    train = tuple(
        example(n + i, i % len(shape.labels)) for i in range(N_TRAIN if shape.shots else 0)
    )
    task = Task(
        name=f"{shape.name}-{seed}",
        kind=shape.kind,
        labels=shape.labels,
        metrics=("accuracy",),
        loader=Materialised({}),
    )
    asked = tuple(example(i, None) for i in range(n))
    return TaskInput(task, train, (), {Split.TEST: asked})


def request(tasks: tuple[TaskInput, ...], address: dict[str, str]) -> FitRequest:
    """Return the fit that asks a server at ``address`` about all of it."""
    return FitRequest(tasks, seed=0, service=address)


def tiny_llama(folder: Path) -> Path:
    """Write the tiny model into ``folder``; return it. Needs torch."""
    sys.path.append(str(SUPPORT))
    from llamas import build_llama

    return build_llama(folder, "llama3")


def tiny_tokenizer() -> Any:  # noqa: ANN401 - transformers has no types
    """Return its tokenizer. Needs no torch."""
    sys.path.append(str(SUPPORT))
    from llamas import llama3_tokenizer

    return llama3_tokenizer()
