"""Small tasks of every kind, for tests of prompts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from groupbench.task import Example, Kind, Materialised, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from groupbench.task import Gold, Input

LABELS = {
    Kind.SINGLE: ("negative", "positive", "neutral"),
    Kind.PAIR: ("not_equivalent", "equivalent"),
    Kind.MULTILABEL: ("joy", "sign, symptom or illness", "fear"),
    Kind.TOKEN: ("O", "B-drug", "I-drug", "B-disease", "I-disease"),
}
GIVEN: dict[Kind, Input] = {
    Kind.SINGLE: "The film was good.",
    Kind.PAIR: ("The cat sat.", "A cat was sitting."),
    Kind.MULTILABEL: "I am glad and well.",
    Kind.TOKEN: ("Aspirin", "helps", "against", "head", "ache", "."),
}


def make_task(
    kind: Kind = Kind.SINGLE,
    labels: Iterable[str] | None = None,
    *,
    prompt: Mapping[str, Any] | None = None,
    **more: Any,
) -> Task:
    """Return a task without data; tables of ``prompt`` are written as a card does."""
    parts = {
        part: value if isinstance(value, str) else json.dumps(value)
        for part, value in (prompt or {}).items()
    }
    return Task(
        name=more.pop("name", "mood"),
        kind=kind,
        labels=tuple(labels or LABELS[kind]),
        metrics=("accuracy",),
        loader=Materialised({}),
        prompt=parts,
        **more,
    )


def an_example(kind: Kind, i: int = 0, gold: Gold = None) -> Example:
    """Return an example; texts of different ``i`` differ."""
    given = GIVEN[kind]
    if isinstance(given, str):
        return Example(f"train-{i}", f"{given} Number {i}.", gold)
    return Example(f"train-{i}", (*given[:-1], f"{given[-1]}{i}"), gold)


def train_of(kind: Kind, n: int = 24) -> list[Example]:
    """Return training examples with all labels among them, and some without any."""
    golds: dict[Kind, list[Gold]] = {
        Kind.SINGLE: [0, 1, 2],
        Kind.PAIR: [0, 1],
        Kind.MULTILABEL: [(0,), (), (0, 1), (2,)],
        Kind.TOKEN: [(1, 0, 0, 3, 4, 0), (0,) * 6, (1, 0, 0, 0, 0, 0), (0, 0, 0, 3, 0, 0)],
    }
    return [an_example(kind, i, golds[kind][i % len(golds[kind])]) for i in range(n)]
