"""A group's data as lessons, and what can be said of its answers without a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groupbench.errors import DataError
from groupbench.information import Prior
from groupbench.llm.lessons import Lesson, lessons_of
from groupbench.llm.modes import Mode
from groupbench.llm.prompter import Prompter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from groupbench.llm.model import Abilities
    from groupbench.runner import FitRequest, TaskInput
    from groupbench.task import Example, Task
    from groupbench_lora.runner import LoraRunner

_ZERO = 1e-6
"""An entropy below it is the rounding of a zero."""

Lessons = tuple[Lesson, ...]


@dataclass(frozen=True)
class PreparedTask:
    """One task of a group."""

    prompter: Prompter
    train: tuple[Lessons, ...]
    """Of each training example that fits: a lesson for each of its questions."""
    dev_a: tuple[Example, ...]
    dev_lessons: tuple[Lessons, ...]
    """Where labels are not scored, of each of ``dev_a`` that fits."""
    null_loss: float
    """In nats, what losses are measured against: H(Y) of the labels on train; where labels are not
    scored, the entropy of the tokens that answers are made of."""
    n_left_out: int
    """Training examples that do not fit."""

    @classmethod
    def of(
        cls, runner: LoraRunner, abilities: Abilities, given: TaskInput, seed: int
    ) -> PreparedTask:
        """Make the lessons of one task.

        Raises:
            DataError: nothing is left to train on.
            SettingError: prompts and answers cannot be told apart in tokens.
        """
        task = given.task
        prompter = Prompter.of(runner, abilities, given, seed)
        train = _fitting(prompter, given.train)
        if not train:
            raise DataError(
                f"{task.where}: no train rows are left to train on (rows that occur in the test"
                " split of another task of the group, and prompts that do not fit, are left out)."
            )
        scored = prompter.mode is Mode.SCORE
        return cls(
            prompter=prompter,
            train=train,
            dev_a=given.dev_a,
            dev_lessons=() if scored else _fitting(prompter, given.dev_a),
            null_loss=_label_entropy(task, given.train) if scored else _token_entropy(train),
            n_left_out=len(given.train) - len(train),
        )

    @property
    def task(self) -> Task:
        """The task."""
        return self.prompter.builder.task

    @property
    def scored(self) -> bool:
        """Whether its labels are scored; else answers are written."""
        return self.prompter.mode is Mode.SCORE

    @property
    def scale(self) -> float:
        """What losses are divided by: ``null_loss``, or 1 where answers do not vary."""
        return self.null_loss if self.null_loss > _ZERO else 1.0

    @property
    def nothing_to_learn(self) -> bool:
        """Whether all answers, or all prompts, are the same."""
        if self.null_loss <= _ZERO:
            return True
        return len({tuple(each.prompt for each in lessons) for lessons in self.train}) == 1


def prepared(
    runner: LoraRunner, abilities: Abilities, request: FitRequest
) -> Mapping[str, PreparedTask]:
    """Return a group's tasks by name, sorted.

    Raises:
        DataError: nothing of a task is left to train on.
        SettingError: a task cannot be asked about, or not be trained on, in this form.
    """
    inputs = sorted(request.tasks, key=lambda given: given.task.name)
    return {g.task.name: PreparedTask.of(runner, abilities, g, request.seed) for g in inputs}


def _fitting(prompter: Prompter, examples: Iterable[Example]) -> tuple[Lessons, ...]:
    """Return the lessons of those examples all of whose lessons fit."""
    limit = prompter.builder.limit
    found = (lessons_of(prompter, example) for example in examples)
    return tuple(each for each in found if each and all(len(lesson) <= limit for lesson in each))


def _label_entropy(task: Task, train: tuple[Example, ...]) -> float:
    return Prior.of(task.kind, len(task.labels), train).entropy_bits * math.log(2)


def _token_entropy(train: Iterable[Lessons]) -> float:
    tokens = [token for lessons in train for lesson in lessons for token in lesson.answer]
    _, counts = np.unique(np.asarray(tokens), return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())
