"""From pairs that may share a model to groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groupbench.grouping import Group
from groupbench.search import (
    Relation,
    adjusted_rand_index,
    clique_cover,
    clique_partition,
    complete_linkage,
    components,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from groupbench.suite import Suite
    from groupbench_pvi.pairs import Comparison


@dataclass(frozen=True, slots=True)
class Forming:
    """How accepted pairs become groups."""

    rule: str
    max_size: int | None = None
    min_size: int = 1
    same_kind: bool = False
    same_domain: bool = False


@dataclass(frozen=True, slots=True)
class Formed:
    """Groups, and whether they are known to be the best under their rule."""

    groups: tuple[Group, ...]
    exact: bool = True


def form(suite: Suite, comparison: Comparison, how: Forming) -> Formed:
    """Return the groups of ``suite``. They do not depend on the order of its tasks."""
    relation = relation_of(suite, comparison, how)
    if how.rule == "maximal_cliques":
        return Formed(clique_cover(relation, max_size=how.max_size, min_size=how.min_size))
    if how.rule == "clique_partition":
        found = clique_partition(relation, max_size=how.max_size, min_size=how.min_size)
        return Formed(_groups(found.blocks), found.exact)
    if how.rule == "complete_linkage":
        blocks = complete_linkage(relation, max_size=how.max_size)
    else:
        blocks = components(relation)
    kept = [block for block in blocks if len(block) >= how.min_size]
    alone = [[task] for block in blocks if len(block) < how.min_size for task in block]
    return Formed(_groups([*kept, *alone]))


def relation_of(suite: Suite, comparison: Comparison, how: Forming) -> Relation:
    """Return which pairs may share a group: accepted ones that the constraints allow."""
    names = sorted(suite.names)
    index = {name: i for i, name in enumerate(names)}
    accepted = np.zeros((len(names), len(names)), dtype=bool)
    scores = np.zeros((len(names), len(names)))
    for pair in comparison.pairs:
        a, b = suite[pair.a], suite[pair.b]
        allowed = (a.kind == b.kind or not how.same_kind) and (
            a.domain == b.domain or not how.same_domain
        )
        for i, j in ((index[pair.a], index[pair.b]), (index[pair.b], index[pair.a])):
            accepted[i, j] = pair.accepted and allowed
            scores[i, j] = pair.score
    return Relation.of(names, accepted, scores)


def stability(
    seeds: Sequence[int], by_seed: Sequence[Sequence[Group]], final: Sequence[Group]
) -> dict[str, object]:
    """Return how the decision would have moved had each seed been the only one.

    ``ari``: agreement of each seed's groups with the final ones, 1 where they are the same.
    """
    rows = [
        {
            "seed": seed,
            "ari": adjusted_rand_index(_served(groups), _served(final)),
            "groups": [list(group.serves) for group in groups],
        }
        for seed, groups in zip(seeds, by_seed, strict=True)
    ]
    return {
        "mean_ari": float(np.mean([row["ari"] for row in rows])) if rows else None,
        "unchanged": sum(row["ari"] == 1.0 for row in rows),
        "by_seed": rows,
    }


def _groups(blocks: Iterable[Sequence[str]]) -> tuple[Group, ...]:
    return tuple(sorted(Group.of(block) for block in blocks))


def _served(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    return [group.serves for group in groups]
