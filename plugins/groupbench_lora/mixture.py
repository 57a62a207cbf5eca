"""Which examples each step sees: a pure function of the seed and the sizes of the tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from groupbench.apportion import apportion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Row: TypeAlias = tuple[str, int]
"""A task, and the index of one of its training examples."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """All the batches of a fit; examples of a group's tasks are mixed within each.

    An epoch has as many examples as the tasks have together. A single task's are all seen once; in
    a group, a task of n is drawn with p proportional to ``min(n, cap) ** 0.5``, and goes through
    its examples again, shuffled anew, where that is more than it has.
    """

    sizes: Mapping[str, int]
    batch_size: int
    seed: int
    epochs: int
    cap: int
    steps: int | None = None
    """A budget of steps instead of ``epochs``."""

    def __iter__(self) -> Iterator[list[Row]]:
        names = sorted(self.sizes)
        feeds = {name: self._feed(i, self.sizes[name]) for i, name in enumerate(names)}
        shares = self.shares()
        counts = apportion([shares[name] for name in names], sum(self.sizes.values()))
        n_given = epoch = 0
        while n_given < self.n_steps:
            order = np.repeat(np.arange(len(names)), counts)
            rows = [(names[i], next(feeds[names[i]])) for i in self._rng(epoch).permutation(order)]
            for start in range(0, len(rows), self.batch_size):
                if n_given == self.n_steps:
                    return
                yield rows[start : start + self.batch_size]
                n_given += 1
            epoch += 1

    def shares(self) -> dict[str, float]:
        """Return the share of examples that each task gets."""
        raw = {name: math.sqrt(min(n, self.cap)) for name, n in self.sizes.items()}
        return {name: weight / sum(raw.values()) for name, weight in raw.items()}

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        return math.ceil(sum(self.sizes.values()) / self.batch_size)

    @property
    def n_steps(self) -> int:
        """Optimiser steps in all."""
        return self.steps or self.epochs * self.steps_per_epoch

    def looks(self, n_wanted: int) -> set[int]:
        """Return after which steps dev-A is looked at: at epochs' ends, or more often, evenly."""
        n, per_epoch = self.n_steps, self.steps_per_epoch
        if n_wanted <= math.ceil(n / per_epoch):
            return {*range(per_epoch, n, per_epoch), n}
        return {max(1, round(n * k / n_wanted)) for k in range(1, n_wanted + 1)}

    def _feed(self, task: int, size: int) -> Iterator[int]:
        passes = 0
        while True:
            yield from self._rng(passes, task + 1).permutation(size).tolist()
            passes += 1

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([number & 0xFFFFFFFF for number in (self.seed, *numbers)])
