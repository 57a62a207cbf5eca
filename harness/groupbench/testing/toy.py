"""Small tasks of every kind, and a workbench that makes its evidence up, for checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from groupbench.canonical import digest
from groupbench.errors import HeldBackError
from groupbench.execute import without_leaks
from groupbench.grouping import Grouping, Plan
from groupbench.predictions import Output, Predictions, gold_array
from groupbench.runner import Costs, FitRequest
from groupbench.suite import Suite
from groupbench.task import Example, Kind, Materialised, Planted, Split, Task
from groupbench.testing.checks import CannotCheckError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.grouping import Group
    from groupbench.predictions import FloatArray
    from groupbench.runner import Arrays, Probe
    from groupbench.task import Gold, Input
    from groupbench.variants import Variant

_SIGNS = ("red", "blue", "green")
_FILLER = ("one", "house", "stands", "near", "water", "today", "and", "quietly")
_SIZES = {Split.TRAIN: 24, Split.DEV_A: 9, Split.DEV_B: 12, Split.TEST: 9}
LABELS = {
    Kind.SINGLE: ("red", "blue", "green"),
    Kind.PAIR: ("different", "same"),
    Kind.MULTILABEL: ("has-red", "has-blue"),
    Kind.TOKEN: ("O", "B-sign", "I-sign"),
}
METRICS = {
    Kind.SINGLE: "accuracy",
    Kind.PAIR: "accuracy",
    Kind.MULTILABEL: "f1_micro",
    Kind.TOKEN: "token_accuracy",
}


def toy_task(kind: Kind, name: str = "", *, seed: int = 0, n_train: int = 24) -> Task:
    """Return a task whose answer stands in its text; the words red, blue and green decide."""
    name = name or f"toy-{kind}"
    rng = np.random.default_rng([seed, *name.encode()])
    data = {
        split: tuple(
            Example(f"{split}-{row}", *_example(kind, row, rng), cluster=f"c{row // 2}")
            for row in range(n_train if split is Split.TRAIN else n)
        )
        for split, n in _SIZES.items()
    }
    return Task(
        name,
        kind,
        LABELS[kind],
        (METRICS[kind],),
        Materialised(data),
        domain=f"toy-{sum(name.encode()) % 2}",
        summary="A toy.",
        planted=Planted(0.5, "easy", "signs" if kind in {Kind.SINGLE, Kind.PAIR} else "words"),
    )


def toy_suite(n_tasks: int = 6) -> Suite:
    """Return a suite of small tasks, all kinds in turn, named ``toy-0``, ``toy-1`` and on."""
    kinds = list(Kind)
    return Suite(
        "toy", tuple(toy_task(kinds[i % len(kinds)], f"toy-{i}", seed=i) for i in range(n_tasks))
    )


def request_for(*tasks: Task, seed: int = 0) -> FitRequest:
    """Return the request of a fit on ``tasks``: a loss that stays at the prior is believed."""
    inputs, _ = without_leaks(sorted(tasks, key=lambda task: task.name))
    return FitRequest(tasks=inputs, seed=seed, last_attempt=True)


@dataclass(frozen=True, slots=True)
class ToyFit:
    """Evidence of a fit that never was: noise around the truth, the same for equal requests."""

    task_of: Mapping[str, Task]
    group: Group
    seed: int
    costs: Costs = field(default_factory=Costs)

    def predictions(self, task: str, split: Split) -> Predictions:
        """Return made-up predictions; a task's difficulty depends on its name and its group."""
        if split is Split.TEST:
            raise HeldBackError("A strategy asked a fit for its predictions on test.")
        examples = self.task_of[task].data[split]
        rng = np.random.default_rng(
            int(digest([task, self.group.trains, self.seed, str(split)])[:12], 16)
        )
        strength = 1.0 + 3.0 * int(digest([task, self.group.trains])[:4], 16) / 0xFFFF
        return Predictions.assemble(
            self.task_of[task],
            examples,
            noisy_output(self.task_of[task], examples, rng, strength=strength),
        )

    def arrays(self, probe: str) -> Arrays:
        """Return nothing: there is no model to measure."""
        raise CannotCheckError(f"the toy workbench has no model that probe {probe} could measure")

    def training(self) -> Mapping[str, object]:
        return {}


@dataclass(frozen=True)
class ToyWorkbench:
    """A workbench over a toy suite, without store or training; `asked` holds what it was asked."""

    suite: Suite
    seeds: tuple[int, ...] = (0, 1)
    runner_name: str = "toy"
    asked: list[Group] = field(default_factory=list)

    def fits(
        self,
        groups: Sequence[Group],
        *,
        variant: Variant | None = None,
        probes: Sequence[Probe] = (),
        keep_weights: bool = False,
    ) -> Mapping[tuple[Group, int], ToyFit]:
        """Return made-up evidence for each group and seed."""
        del probes, keep_weights
        self.asked.extend(groups)
        tasks = {task.name: variant(task) if variant else task for task in self.suite}
        return {
            (group, seed): ToyFit(tasks, group, seed) for group in groups for seed in self.seeds
        }

    def propose(self, spec: str) -> Grouping:
        """Return two groups, whatever the strategy: the first tasks by name, and the rest."""
        del spec
        names = sorted(self.suite.names)
        half = -(-len(names) // 2)
        return Grouping.partition(block for block in (names[:half], names[half:]) if block)

    def plan(self, spec: str) -> Plan:
        """Return an empty plan."""
        del spec
        return Plan()


def noisy_output(
    task: Task, examples: Sequence[Example], rng: np.random.Generator, *, strength: float
) -> Output:
    """Return log-probabilities of noise with ``strength`` nats added to the gold labels."""
    gold, _ = gold_array(task.kind, len(task.labels), examples)
    if task.kind is Kind.MULTILABEL:
        logits = rng.normal(size=gold.shape) + strength * (2 * gold - 1)
        return Output((logits > 0).astype(np.int32), -np.logaddexp(0, -logits))
    scores: FloatArray = rng.normal(size=(len(gold), len(task.labels)))
    scores[np.arange(len(gold)), gold] += strength
    scores -= np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return Output(scores.argmax(axis=1).astype(np.int32), scores)


def _example(kind: Kind, row: int, rng: np.random.Generator) -> tuple[Input, Gold]:
    """Return an input and its gold; labels take turns, so each split has all of them."""
    words = [str(word) for word in rng.choice(_FILLER, size=4)] + [f"item{rng.integers(1000)}"]
    if kind is Kind.SINGLE:
        return " ".join([*words, _SIGNS[row % 3]]), row % 3
    if kind is Kind.PAIR:
        first = rng.integers(3)
        second = (first + 1 - row % 2) % 3
        return (f"{words[0]} {words[-1]} {_SIGNS[first]}", f"{words[1]} {_SIGNS[second]}"), row % 2
    if kind is Kind.MULTILABEL:
        there = tuple(label for label in (0, 1) if row >> label & 1)
        return " ".join([*words, *(_SIGNS[label] for label in there)]), there
    place = int(rng.integers(len(words)))
    signs = list(rng.choice(_SIGNS, size=1 + row % 2))
    tagged = [*words[:place], *(str(sign) for sign in signs), *words[place:]]
    tags = [0] * place + [1, 2][: len(signs)] + [0] * (len(words) - place)
    return tuple(tagged), tuple(tags)
