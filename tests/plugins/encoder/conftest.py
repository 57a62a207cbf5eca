"""Small tasks of every kind, in which something is to be learned."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

import pytest

from groupbench.execute import without_leaks
from groupbench.runner import FitRequest
from groupbench.task import Example, Gold, Input, Kind, Materialised, Split, Task

WORDS = ("bal", "mok", "tir", "sen", "dop", "gup", "raf", "lin")
FILLERS = ("the", "old", "red", "near", "big", "small")

MakeTask: TypeAlias = Callable[..., Task]
MakeRequest: TypeAlias = Callable[..., FitRequest]


def _item(kind: Kind, rng: random.Random) -> tuple[Input, Gold]:
    one = rng.randrange(len(WORDS))
    fill = [rng.choice(FILLERS) for _ in range(rng.randint(2, 7))]
    if kind is Kind.SINGLE:
        return " ".join([*fill[:2], WORDS[one], *fill[2:]]), one % 2
    if kind is Kind.PAIR:
        other = (one + 1) % len(WORDS)
        return (f"the {WORDS[one]} {fill[0]}", f"the {WORDS[other]} {fill[1]}"), one % 2
    if kind is Kind.MULTILABEL:
        up = rng.random() < 0.5
        there = tuple(i for i, yes in enumerate((one % 2 == 1, up)) if yes)
        return " ".join([WORDS[one], "up" if up else "down", *fill]), there
    return (*fill, WORDS[one], "."), (*(0 for _ in fill), 1 + one % 2, 0)


def _task(
    kind: str = "single", n: int = 160, name: str = "", *, seed: int = 0, dev: int = 40
) -> Task:
    rng = random.Random(f"{kind}{seed}")  # noqa: S311 - data of a test
    data = {
        split: tuple(Example(f"{split}-{i}", *_item(Kind(kind), rng)) for i in range(size))
        for split, size in zip(Split, (n, dev, dev, dev), strict=True)
    }
    labels = ("O", "P", "M") if kind == "token" else ("no", "yes")
    return Task(name or f"{kind}-task", Kind(kind), labels, ("accuracy",), Materialised(data))


def _request(*tasks: Task, seed: int = 0, **options: object) -> FitRequest:
    inputs, _ = without_leaks(sorted(tasks, key=lambda task: task.name))
    if len(tasks) > 1:  # the small tasks share texts, which is of no interest here
        inputs = tuple(
            type(i)(i.task, t.data[Split.TRAIN], i.dev_a, i.predict)
            for i, t in zip(inputs, sorted(tasks, key=lambda task: task.name), strict=True)
        )
    return FitRequest(inputs, seed, **options)  # type: ignore[arg-type] # as the test says


@pytest.fixture(scope="session")
def make_task() -> MakeTask:
    """Makes a task of a kind: the label is whether a word of a closed list is odd in it."""
    return _task


@pytest.fixture(scope="session")
def make_request() -> MakeRequest:
    """Makes a request of tasks, as the engine does."""
    return _request


@pytest.fixture(scope="session")
def all_kinds() -> tuple[Task, ...]:
    """One task of each kind."""
    return tuple(_task(kind) for kind in Kind)
