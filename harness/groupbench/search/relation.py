"""Which pairs of tasks may share a group, and how good each pair is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from groupbench.predictions import FloatArray, IntArray

RESOLUTION = 1e10
"""Scores are rounded to this many parts, so that their sums do not depend on an order."""


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """A symmetric relation between tasks, which need not be transitive."""

    names: tuple[str, ...]
    """Sorted."""
    accepted: np.typing.NDArray[np.bool_]
    """Whether two tasks may share a group. ``[n, n]``, symmetric; the diagonal is not read."""
    scores: IntArray
    """How good each pair is, in parts of `RESOLUTION`; larger is better. ``[n, n]``."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        accepted: np.typing.NDArray[np.bool_],
        scores: FloatArray | None = None,
    ) -> Relation:
        """Return the relation with its tasks sorted by name.

        Args:
            names: of the tasks, in any order.
            accepted: whether two tasks may share a group, in the order of ``names``. ``[n, n]``.
            scores: of pairs, larger is better, at most about 1000. ``None``: all alike.

        Raises:
            ValueError: shapes disagree, a name occurs twice, or an array is not symmetric.
        """
        n = len(names)
        accepted = np.asarray(accepted, dtype=bool).reshape(n, n) if n == 0 else accepted
        scores = np.zeros((n, n)) if scores is None else scores
        if accepted.shape != (n, n) or scores.shape != (n, n):
            raise ValueError(f"{n} names, but shapes {accepted.shape} and {scores.shape}")
        if len(set(names)) != n:
            raise ValueError("a name occurs twice")
        upper = np.triu_indices(n, 1)
        if (accepted != accepted.T)[upper].any() or (scores != scores.T)[upper].any():
            raise ValueError("the relation is not symmetric")
        order = np.array(sorted(range(n), key=lambda i: names[i]), dtype=np.int64)
        kept = accepted[np.ix_(order, order)].astype(bool)
        np.fill_diagonal(kept, val=False)
        parts = np.nan_to_num(scores[np.ix_(order, order)]) * RESOLUTION
        rounded = np.rint(np.clip(parts, -1e13, 1e13)).astype(np.int64)
        np.fill_diagonal(rounded, 0)
        return cls(tuple(names[i] for i in order), kept, rounded)

    def __len__(self) -> int:
        return len(self.names)

    def block(self, members: Iterable[int]) -> tuple[str, ...]:
        """Return the names of some tasks, sorted."""
        return tuple(self.names[i] for i in sorted(members))

    def is_clique(self, members: Sequence[int]) -> bool:
        """Return whether every pair among ``members`` is accepted."""
        inside = self.accepted[np.ix_(members, members)]
        return bool(inside.sum() == len(members) * (len(members) - 1))

    def total(self, blocks: Iterable[Sequence[int]]) -> int:
        """Return the summed scores of all pairs inside blocks, in parts of `RESOLUTION`."""
        return sum(int(self.scores[np.ix_(b, b)].sum()) // 2 for b in map(list, blocks))

    def parts(self) -> list[list[int]]:
        """Return the connected components, each sorted, in the order of their first task."""
        unseen, found = set(range(len(self))), []
        while unseen:
            part, frontier = set(), [min(unseen)]
            while frontier:
                task = frontier.pop()
                if task in unseen:
                    unseen.discard(task)
                    part.add(task)
                    frontier += [int(j) for j in np.flatnonzero(self.accepted[task])]
            found.append(sorted(part))
        return found
