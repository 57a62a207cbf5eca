"""Checks for tasks. Their data are loaded, twice."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from groupbench.predictions import gold_array
from groupbench.task import Kind, Split
from groupbench.testing.checks import Check, demand, fail

if TYPE_CHECKING:
    from groupbench.task import Example, Task


def check_every_split_has_examples(task: Task) -> None:
    """Train, dev-A, dev-B and test are there and hold something."""
    for split in Split:
        demand(task.data.get(split), f"{task.name}: the {split} split is empty or missing.")


def check_examples_are_of_its_kind(task: Task) -> None:
    """Inputs and golds have the form that the task's kind asks for; no id is there twice."""
    ids: set[str] = set()
    for split in Split:
        examples = task.examples(split)
        for example in examples:
            demand(example.id not in ids, f"{task.name}: two examples have the id {example.id!r}.")
            ids.add(example.id)
            wrong = _wrong(example, task)
            demand(wrong is None, f"{task.name}: example {example.id!r} of {split} {wrong}.")
        gold_array(task.kind, len(task.labels), examples)


def check_test_asks_for_nothing_unheard_of(task: Task) -> None:
    """Every label of test occurs in train."""
    seen = {split: _labels(task.examples(split)) for split in (Split.TRAIN, Split.TEST)}
    unheard = sorted(seen[Split.TEST] - seen[Split.TRAIN])
    names = ", ".join(repr(task.labels[label]) for label in unheard)
    demand(not unheard, f"{task.name}: test holds {names}, which train never shows.")


def check_loads_the_same_again(task: Task) -> None:
    """It can be sent to another process, and loads the same data there."""
    first = task.fingerprint
    try:
        again: Task = pickle.loads(pickle.dumps(task))  # noqa: S301 - pickled on the same line
    except Exception as failure:  # noqa: BLE001 - pickling raises anything
        fail(f"{task.name} cannot be pickled: {failure}")
    for made in ("data", "fingerprint"):
        again.__dict__.pop(made, None)
    demand(again.fingerprint == first, f"{task.name}: other data when it is loaded again.")


CHECKS: tuple[Check, ...] = (
    check_every_split_has_examples,
    check_examples_are_of_its_kind,
    check_test_asks_for_nothing_unheard_of,
    check_loads_the_same_again,
)


def _labels(examples: tuple[Example, ...]) -> set[int]:
    golds = (example.gold for example in examples)
    return {label for gold in golds for label in ((gold,) if isinstance(gold, int) else gold or ())}


def _wrong(example: Example, task: Task) -> str | None:
    """Return what is wrong with an example's form, or ``None``."""
    given, gold, n_labels = example.input, example.gold, len(task.labels)
    many = task.kind in {Kind.MULTILABEL, Kind.TOKEN}
    words = task.kind in {Kind.PAIR, Kind.TOKEN}
    if words is not isinstance(given, tuple):
        return f"has {type(given).__name__} as input, not {'a tuple of texts' if words else 'text'}"
    if task.kind is Kind.PAIR and len(given) != 2:  # noqa: PLR2004 - a pair
        return f"has {len(given)} texts, not 2"
    if many is not isinstance(gold, tuple):
        return f"has gold = {gold!r}, not {'a tuple of' if many else 'a'} label's index"
    labels = gold if isinstance(gold, tuple) else (gold,)
    if any(not isinstance(label, int) or not 0 <= label < n_labels for label in labels):
        return f"has gold = {gold!r}, of {n_labels} labels"
    if task.kind is Kind.TOKEN and len(labels) != len(given):
        return f"has {len(labels)} tags for {len(given)} words"
    return None
