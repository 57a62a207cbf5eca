"""Groups in which every pair was accepted: partitions into cliques, covers by maximal cliques."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.grouping import Group
from groupbench.search.linkage import complete_linkage
from groupbench.search.partition import IMPOSSIBLE, MAX_EXACT, exact_partition
from groupbench.search.relation import Relation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from groupbench.predictions import IntArray

Part = list[int]

ONE_GROUP = 2**55
"""What a group costs beside its pairs' scores: more than all scores together can outweigh."""


@dataclass(frozen=True, slots=True)
class Cliques:
    """A partition into cliques, and whether it is known to be the best one."""

    blocks: tuple[tuple[str, ...], ...]
    exact: bool


def clique_partition(
    relation: Relation,
    *,
    max_size: int | None = None,
    min_size: int = 1,
    max_exact: int = MAX_EXACT,
) -> Cliques:
    """Return the fewest groups in which every pair is accepted.

    Ties go to the larger sum of scores of the pairs inside groups, then to the lexicographically
    first groups. Connected components are solved one by one: exactly up to ``max_exact`` tasks,
    by several greedy starts with local search beyond.

    Args:
        relation: which pairs are accepted.
        max_size: the most tasks in a group.
        min_size: the fewest tasks in a group, single tasks excepted.
        max_exact: tasks of a component up to which the search is exact.
    """
    blocks: list[Part] = []
    exact = True
    for part in relation.parts():
        if len(part) <= max_exact:
            cost = _costs(relation, part, max_size, min_size)
            blocks += [[part[i] for i in block] for block in exact_partition(cost)]
        else:
            blocks += _heuristic(relation, part, max_size, min_size)
            exact = False
    return Cliques(tuple(sorted(relation.block(block) for block in blocks)), exact)


def clique_cover(
    relation: Relation, *, max_size: int | None = None, min_size: int = 1
) -> tuple[Group, ...]:
    """Return maximal cliques as overlapping groups; each task is served by the best of its own.

    The best is the clique with the largest mean score to the task; ties go to the larger clique,
    then to the lexicographically first. Cliques that serve nobody are dropped. A clique over
    ``max_size`` is cut to a task's best partners in it; one under ``min_size`` is not used.
    """
    serving: dict[tuple[int, ...], list[int]] = {}
    cliques = maximal_cliques(relation)
    for task in range(len(relation)):
        own = {tuple(_cut(relation, task, c, max_size)) for c in cliques if task in c}
        own = {c for c in own if len(c) >= min_size} or {(task,)}
        best = min(own, key=lambda c: (-_mean_score(relation, task, c), -len(c), c))
        serving.setdefault(best, []).append(task)
    return tuple(
        sorted(
            Group(trains=relation.block(clique), serves=relation.block(tasks))
            for clique, tasks in serving.items()
        )
    )


def maximal_cliques(relation: Relation) -> list[Part]:
    """Return every clique that no task can be added to, each sorted (Bron and Kerbosch, 1973)."""
    neighbours = [set(map(int, np.flatnonzero(row))) for row in relation.accepted]
    found: list[Part] = []

    def extend(clique: Part, candidates: set[int], seen: set[int]) -> None:
        if not candidates and not seen:
            found.append(sorted(clique))
            return
        pivot = max(sorted(candidates | seen), key=lambda v: len(candidates & neighbours[v]))
        for v in sorted(candidates - neighbours[pivot]):
            extend([*clique, v], candidates & neighbours[v], seen & neighbours[v])
            candidates = candidates - {v}
            seen = seen | {v}

    extend([], set(range(len(relation))), set())
    return sorted(clique for clique in found if clique)


def _costs(
    relation: Relation, part: Sequence[int], max_size: int | None, min_size: int
) -> IntArray:
    """Return the cost of every block of ``part`` by bit mask: one group less its pairs' scores."""
    n = len(part)
    clique = np.ones(1 << n, dtype=bool)
    score = np.zeros(1 << n, dtype=np.int64)
    size = np.zeros(1 << n, dtype=np.int64)
    for i in range(n):
        below = np.arange(1 << i)
        row = np.zeros(1 << i, dtype=np.int64)
        apart = 0
        for j in range(i):
            row[1 << j : 2 << j] = row[: 1 << j] + relation.scores[part[i], part[j]]
            apart |= 0 if relation.accepted[part[i], part[j]] else 1 << j
        with_i = slice(1 << i, 2 << i)
        clique[with_i] = clique[: 1 << i] & ((below & apart) == 0)
        score[with_i] = score[: 1 << i] + row
        size[with_i] = size[: 1 << i] + 1
    fits = (size == 1) | ((size >= min_size) & (size <= (max_size or n)))
    return np.where(clique & fits, ONE_GROUP - score, IMPOSSIBLE)


def _heuristic(
    relation: Relation, part: Sequence[int], max_size: int | None, min_size: int
) -> list[Part]:
    """Return a good partition of a large component: the best of several improved starts."""
    inside = Relation(
        relation.block(part),
        relation.accepted[np.ix_(part, part)],
        relation.scores[np.ix_(part, part)],
    )
    index = {name: i for i, name in enumerate(inside.names)}
    linked = complete_linkage(inside, max_size=max_size)
    starts = [
        [[index[name] for name in block] for block in linked],
        _coloured(inside, max_size),
        _peeled(inside, max_size),
    ]
    improved = [_split_small(_improved(inside, start, max_size), min_size) for start in starts]
    best = min(improved, key=lambda blocks: _rank(inside, blocks))
    return [[part[i] for i in block] for block in best]


def _rank(relation: Relation, blocks: Iterable[Part]) -> tuple[int, int, list[Part]]:
    ordered = sorted(sorted(block) for block in blocks)
    return len(ordered), -relation.total(ordered), ordered


def _coloured(relation: Relation, max_size: int | None) -> list[Part]:
    """Return groups by colouring the complement, most constrained task first (DSATUR)."""
    n = len(relation)
    blocks: list[Part] = []
    left = set(range(n))
    apart = ~relation.accepted
    while left:
        closed = {v: sum(1 for b in blocks if not _takes(relation, b, v, max_size)) for v in left}
        task = min(left, key=lambda v: (-closed[v], -int(apart[v].sum()), v))
        left.remove(task)
        open_blocks = [b for b in blocks if _takes(relation, b, task, max_size)]
        if open_blocks:
            max(open_blocks, key=lambda b: (_mean_score(relation, task, [*b, task]), -b[0])).append(
                task
            )
        else:
            blocks.append([task])
    return blocks


def _peeled(relation: Relation, max_size: int | None) -> list[Part]:
    """Return groups by taking away one large clique after another."""
    blocks: list[Part] = []
    left = set(range(len(relation)))
    while left:
        grown = []
        for seed in sorted(left):
            block, candidates = [seed], {v for v in left if relation.accepted[seed, v]}
            while candidates and (max_size is None or len(block) < max_size):
                chosen = max(
                    sorted(candidates),
                    key=lambda v: sum(bool(relation.accepted[v, u]) for u in candidates),
                )
                block.append(chosen)
                candidates = {v for v in candidates if v != chosen and relation.accepted[chosen, v]}
            grown.append(sorted(block))
        best = min(grown, key=lambda b: (-len(b), -relation.total([b]), b))
        blocks.append(best)
        left -= set(best)
    return blocks


def _improved(relation: Relation, blocks: list[Part], max_size: int | None) -> list[Part]:
    """Return ``blocks`` after moving single tasks and swapping pairs while that helps."""
    # First towards uneven sizes, since that empties groups; then towards better pairs.
    uneven = _climbed(relation, blocks, max_size, _unevenness)
    return _climbed(relation, uneven, max_size, _rank)


def _climbed(
    relation: Relation,
    blocks: list[Part],
    max_size: int | None,
    rank: Callable[[Relation, list[Part]], tuple[Any, ...]],
) -> list[Part]:
    current = sorted(sorted(block) for block in blocks)
    lowest = rank(relation, current)
    while True:
        better = None
        for changed in _neighbours(relation, current, max_size):
            candidate = sorted(sorted(block) for block in changed if block)
            if (reached := rank(relation, candidate)) < lowest:
                better, lowest = candidate, reached
        if better is None:
            return current
        current = better


def _unevenness(relation: Relation, blocks: Sequence[Part]) -> tuple[int, int, int]:
    return len(blocks), -sum(len(b) ** 2 for b in blocks), -relation.total(blocks)


def _neighbours(
    relation: Relation, blocks: list[Part], max_size: int | None
) -> Iterator[list[Part]]:
    for a, source in enumerate(blocks):
        for task in source:
            rest = [v for v in source if v != task]
            for b, target in enumerate(blocks):
                if a == b:
                    continue
                others = [block for i, block in enumerate(blocks) if i not in (a, b)]
                if _takes(relation, target, task, max_size):
                    yield [*others, rest, [*target, task]]
                for swapped in target if a < b else ():
                    kept = [v for v in target if v != swapped]
                    if relation.is_clique([*kept, task]) and relation.is_clique([*rest, swapped]):
                        yield [*others, [*rest, swapped], [*kept, task]]


def _takes(relation: Relation, block: Part, task: int, max_size: int | None) -> bool:
    if max_size is not None and len(block) >= max_size:
        return False
    return all(relation.accepted[task, v] for v in block)


def _split_small(blocks: list[Part], min_size: int) -> list[Part]:
    kept = [block for block in blocks if len(block) >= min_size]
    return kept + [[task] for block in blocks if len(block) < min_size for task in block]


def _mean_score(relation: Relation, task: int, clique: Iterable[int]) -> float:
    others = [v for v in clique if v != task]
    if not others:
        return float("-inf")
    return sum(int(relation.scores[task, v]) for v in others) / len(others)


def _cut(relation: Relation, task: int, clique: Part, max_size: int | None) -> Part:
    if max_size is None or len(clique) <= max_size:
        return clique
    partners = sorted(
        (v for v in clique if v != task), key=lambda v: (-int(relation.scores[task, v]), v)
    )
    return sorted([task, *partners[: max_size - 1]])
