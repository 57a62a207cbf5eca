"""Which examples each step sees: a pure function of the seed, the lengths and the sampling rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from groupbench.apportion import apportion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from groupbench_encoder.encode import Ints

Rule: TypeAlias = Literal["proportional", "sqrt", "temperature", "annealed", "uniform"]

BUCKET = 50
"""Batches whose examples are sorted by length together."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How often each task of a group is drawn."""

    rule: Rule = "proportional"
    temperature: float = 2.0
    cap: int = 0
    """Sizes above it count as it; 0: none."""

    def weights(self, sizes: Mapping[str, int], epoch: int, n_epochs: int) -> dict[str, float]:
        """Return the share of steps of each task in one epoch, from 0.

        ``annealed`` (Stickland and Murray, "BERT and PALs", ICML 2019, arXiv:1902.02671): size to
        the power ``1 - 0.8 * epoch / (n_epochs - 1)``. ``temperature`` and ``cap`` as in T5
        (Raffel et al., JMLR 2020, arXiv:1910.10683).
        """
        annealed = 1 - 0.8 * epoch / max(n_epochs - 1, 1)
        power = {
            "proportional": 1.0,
            "sqrt": 0.5,
            "temperature": 1 / self.temperature,
            "annealed": annealed,
            "uniform": 0.0,
        }[self.rule]
        capped = self.cap and self.rule != "proportional"
        raw = {t: (min(n, self.cap) if capped else n) ** power for t, n in sizes.items()}
        total = sum(raw.values())
        return {task: weight / total for task, weight in raw.items()}


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimiser step trains on: rows of the train split of each task it names."""

    epoch: int
    rows: Mapping[str, Ints]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """All the steps of a fit.

    Batches hold one task each and examples of like length: the examples are shuffled, sorted by
    length within stretches of `BUCKET` batches, cut into batches, and the batches shuffled. An
    epoch has as many batches as the tasks have together, whatever the rule; a task that is drawn
    more often than it has batches goes through its examples again, shuffled anew.
    """

    lengths: Mapping[str, Ints]
    """Of the train examples, by task."""
    batch_size: int
    sampling: Sampling
    seed: int
    epochs: int
    steps: int | None = None
    """A budget of steps instead of ``epochs``."""
    together: bool = False
    """Each step takes a batch of every task: an epoch then has fewer steps, by their number."""

    def __iter__(self) -> Iterator[Step]:
        names = sorted(self.lengths)
        feeds = {
            name: _feed(self.lengths[name], self.batch_size, self.seed, index)
            for index, name in enumerate(names)
        }
        for number in range(self.n_steps):
            epoch, position = divmod(number, self.steps_per_epoch)
            if self.together:
                yield Step(epoch, {name: next(feeds[name]) for name in names})
                continue
            if position == 0:
                order = self._order(epoch)
            yield Step(epoch, {names[order[position]]: next(feeds[names[order[position]]])})

    @property
    def n_batches(self) -> dict[str, int]:
        """How many batches each task has."""
        return {t: math.ceil(len(rows) / self.batch_size) for t, rows in self.lengths.items()}

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        total = sum(self.n_batches.values())
        return math.ceil(total / len(self.lengths)) if self.together else total

    @property
    def n_steps(self) -> int:
        """Optimiser steps in all."""
        return self.steps or self.epochs * self.steps_per_epoch

    @property
    def n_epochs(self) -> int:
        """Epochs begun."""
        return math.ceil(self.n_steps / self.steps_per_epoch)

    def _order(self, epoch: int) -> Ints:
        """Return the task of each step of an epoch, as indices into the sorted names."""
        names = sorted(self.lengths)
        if self.sampling.rule == "proportional":
            counts = [self.n_batches[name] for name in names]
        else:
            sizes = {name: len(self.lengths[name]) for name in names}
            weights = self.sampling.weights(sizes, epoch, self.n_epochs)
            counts = apportion([weights[name] for name in names], self.steps_per_epoch)
        order = np.repeat(np.arange(len(names)), counts)
        return _rng(self.seed, epoch).permutation(order)


def shuffled(lengths: Ints, batch_size: int, rng: np.random.Generator) -> list[Ints]:
    """Return one pass over the examples in batches of like length, in random order."""
    rows = rng.permutation(len(lengths))
    stretch = batch_size * BUCKET
    batches: list[Ints] = []
    for start in range(0, len(rows), stretch):
        part = rows[start : start + stretch]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def by_length(lengths: Ints, batch_size: int, max_tokens: int) -> Iterator[Ints]:
    """Yield every row once, longest first, in batches of at most ``max_tokens`` with padding."""
    rows = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(rows):
        fits = max(1, max_tokens // max(1, int(lengths[rows[start]])))
        yield rows[start : start + min(batch_size, fits)]
        start += min(batch_size, fits)


def _feed(lengths: Ints, batch_size: int, seed: int, task: int) -> Iterator[Ints]:
    passes = 0
    while True:
        yield from shuffled(lengths, batch_size, _rng(seed, passes, task + 1))
        passes += 1


def _rng(*numbers: int) -> np.random.Generator:
    return np.random.default_rng([number & 0xFFFFFFFF for number in numbers])
