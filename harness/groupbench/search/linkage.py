"""Agglomerative groupings: components (single linkage) and complete linkage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.search.relation import Relation

Blocks = tuple[tuple[str, ...], ...]


def components(relation: Relation) -> Blocks:
    """Return the connected components: chains of accepted pairs.

    They may join tasks whose own pair was not accepted.
    """
    return tuple(relation.block(part) for part in relation.parts())


def complete_linkage(relation: Relation, *, max_size: int | None = None) -> Blocks:
    """Return groups all of whose pairs are accepted, merged greedily.

    The two clusters whose worst pair scores best are merged first, while every pair between them
    is accepted. Ties go to the lexicographically first clusters. May use more groups than
    `clique_partition`.
    """
    clusters = [[i] for i in range(len(relation))]
    while True:
        best: tuple[tuple[int, list[int], list[int]], int, int] | None = None
        for a, first in enumerate(clusters):
            for b in range(a + 1, len(clusters)):
                second = clusters[b]
                if max_size is not None and len(first) + len(second) > max_size:
                    continue
                if not _all_accepted(relation, first, second):
                    continue
                worst = min(int(relation.scores[i, j]) for i in first for j in second)
                rank = (-worst, first, second)
                if best is None or rank < best[0]:
                    best = (rank, a, b)
        if best is None:
            return tuple(relation.block(cluster) for cluster in clusters)
        _, a, b = best
        clusters[a] = sorted(clusters[a] + clusters.pop(b))


def _all_accepted(relation: Relation, first: Sequence[int], second: Sequence[int]) -> bool:
    return all(relation.accepted[i, j] for i in first for j in second)
