"""Groupings by chance."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groupbench.errors import GroupingError
from groupbench.grouping import Group, Grouping, Plan
from groupbench_groupings.partitions import random_partition

if TYPE_CHECKING:
    from groupbench.suite import Suite
    from groupbench.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Random:
    """Tasks grouped by chance: what a strategy's choice of tasks is worth is what it has over this.

    With ``same_sizes_as``, the tasks of that strategy's groups are permuted, which separates
    *which* tasks it put together from *how many*. Else the grouping is drawn uniformly from the
    partitions of exactly ``k`` blocks.
    """

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = "tasks grouped by chance, several draws"

    k: int = 0
    """How many groups; 0: as many as domains or, with one domain or n, about sqrt(n)."""
    same_sizes_as: str = ""
    """A grouping, such as pvi, whose group sizes to keep while its tasks are permuted."""
    draws: int = 5
    """How many groupings to draw; together they are one entry."""
    seed: int = 0
    """Of the draws; nothing to do with training seeds."""
    draw: int = 0

    def __post_init__(self) -> None:
        if self.k < 0 or self.draws < 1 or self.draw < 0:
            raise ValueError("k and draw must not be below 0, draws not below 1")
        if self.k and self.same_sizes_as:
            raise ValueError("k and same_sizes_as both say how many groups; give one of them")

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        if self.same_sizes_as:
            return workbench.plan(self.same_sizes_as)
        self._n_groups(suite)
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        """Return draw number ``draw``. It does not depend on the order of the suite.

        Raises:
            GroupingError: there are fewer tasks than groups.
        """
        names = sorted(suite.names)
        # version 2 string seeds are hashed: equal everywhere, and draws are independent
        rng = random.Random(f"{self.seed}/{self.draw}/{','.join(names)}")  # noqa: S311 - no secret
        if not self.same_sizes_as:
            k = self._n_groups(suite)
            return Grouping.partition(random_partition(names, k, rng), evidence={"k": k})
        model = workbench.propose(self.same_sizes_as)
        new_name = dict(zip(names, rng.sample(names, len(names)), strict=True))
        return Grouping(
            tuple(
                Group(
                    trains=tuple(new_name[task] for task in group.trains),
                    serves=tuple(new_name[task] for task in group.serves),
                )
                for group in model
            ),
            evidence={"sizes": sorted((len(group) for group in model), reverse=True)},
        )

    def _n_groups(self, suite: Suite) -> int:
        n = len(suite)
        if self.k > n:
            raise GroupingError(
                f"random: k = {self.k}, but suite {suite.name} has {n} tasks; k is at most {n}."
            )
        if self.k:
            return self.k
        n_domains = len({task.domain for task in suite})
        return n_domains if 1 < n_domains < n else max(1, round(n**0.5))
