"""A group's data made ready for a model, and what can be said of its labels without one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from groupbench.errors import DataError
from groupbench.information import Prior, closed_form_null
from groupbench.predictions import gold_array
from groupbench.task import Kind, Split
from groupbench_encoder.encode import Encoded, Limits, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from groupbench.predictions import FloatArray
    from groupbench.runner import FitRequest, TaskInput
    from groupbench.task import Task
    from groupbench_encoder.subwords import Subwords


@dataclass(frozen=True)
class PreparedTask:
    """One task of a group, encoded."""

    task: Task
    train: Encoded
    dev_a: Encoded
    predict: Mapping[Split, Encoded]
    prior: Prior
    null_loss: float
    """Mean loss in nats of the label frequencies on train: H(Y) in the loss's own unit."""

    @classmethod
    def of(cls, given: TaskInput, subwords: Subwords, limits: Limits) -> PreparedTask:
        """Encode one task.

        Raises:
            DataError: nothing is left to train on, or an input is not of the task's kind.
        """
        task = given.task
        if not given.train:
            raise DataError(
                f"{task.where}: no train rows are left to train on (rows that occur in the test "
                "split of another task of the group are left out)."
            )
        prior = Prior.of(task.kind, len(task.labels), given.train)
        return cls(
            task=task,
            train=encode(task, given.train, subwords, limits, gold=True),
            dev_a=encode(task, given.dev_a, subwords, limits, gold=True),
            predict={
                split: encode(task, examples, subwords, limits, gold=False)
                for split, examples in given.predict.items()
            },
            prior=prior,
            null_loss=_null_loss(task, given, prior),
        )

    @property
    def scale(self) -> float:
        """What losses are divided by: H(Y), or 1 where the labels do not vary."""
        return self.null_loss if self.null_loss > 1e-6 else 1.0  # noqa: PLR2004 - rounding of a zero

    @cached_property
    def log_prior(self) -> FloatArray:
        """Log-probabilities of the labels without any input, ``[K]``. Not for multilabel tasks."""
        return np.log(closed_form_null(self.prior.counts))

    @cached_property
    def nothing_to_learn(self) -> bool:
        """Whether all labels, or all inputs but for their length, are the same."""
        if self.null_loss <= 1e-6:  # noqa: PLR2004 - rounding of a zero
            return True
        texts = {frozenset(p.ids.tolist()) for pieces in self.train.pieces for p in pieces}
        return len(texts) == 1

    def parts(self) -> Iterator[Encoded]:
        """Yield all its encoded splits."""
        yield self.train
        yield self.dev_a
        yield from self.predict.values()


@dataclass(frozen=True)
class Prepared:
    """A group's tasks, encoded; sorted by name."""

    tasks: Mapping[str, PreparedTask]

    @classmethod
    def of(cls, request: FitRequest, subwords: Subwords, limits: Limits) -> Prepared:
        """Encode a group.

        Raises:
            DataError: see `PreparedTask.of`.
        """
        tasks = sorted(request.tasks, key=lambda given: given.task.name)
        return cls({g.task.name: PreparedTask.of(g, subwords, limits) for g in tasks})

    @property
    def used(self) -> set[int]:
        """Every sub-word in the group's texts, padding included."""
        used: set[int] = set()
        for task in self.tasks.values():
            for part in task.parts():
                used.add(part.padding)
                for pieces in part.pieces:
                    for piece in pieces:
                        used.update(piece.ids.tolist())
        return used


def texts_of(request: FitRequest) -> Iterator[str]:
    """Yield the group's train texts, for a tokenizer to be made of."""
    for given in sorted(request.tasks, key=lambda g: g.task.name):
        for example in given.train:
            if isinstance(example.input, str):
                yield example.input
            else:
                yield from example.input


def _null_loss(task: Task, given: TaskInput, prior: Prior) -> float:
    if task.kind is not Kind.TOKEN:
        return prior.entropy_bits * math.log(2)
    gold, offsets = gold_array(task.kind, len(task.labels), given.train)
    known = gold >= 0
    share = prior.counts / max(prior.counts.sum(), 1)
    surprisal = -np.log(np.where(share > 0, share, 1.0))
    owner = np.repeat(np.arange(len(given.train)), np.diff(offsets))[known]
    sums = np.bincount(owner, surprisal[gold[known]], minlength=len(given.train))
    counts = np.bincount(owner, minlength=len(given.train))
    return float((sums / np.maximum(counts, 1)).mean())
