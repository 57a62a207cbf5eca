from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from groupbench.search import (
    Relation,
    adjusted_rand_index,
    clique_cover,
    clique_partition,
    complete_linkage,
    components,
    exact_partition,
)
from groupbench.search.partition import IMPOSSIBLE

unhurried = settings(
    deadline=None, max_examples=60, phases=[p for p in Phase if p is not Phase.explain]
)

Matrix = np.typing.NDArray[Any]


@st.composite
def relations(draw: st.DrawFn, max_size: int = 6) -> tuple[list[str], Matrix, Matrix]:
    n = draw(st.integers(1, max_size))
    accepted, scores = np.zeros((n, n), dtype=bool), np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        accepted[i, j] = accepted[j, i] = draw(st.booleans())
        scores[i, j] = scores[j, i] = draw(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.7]))
    return list("abcdefghijkl"[:n]), accepted, scores


def shuffled(
    relation: tuple[list[str], Matrix, Matrix], data: st.DataObject
) -> tuple[list[str], Matrix, Matrix]:
    names, accepted, scores = relation
    order = data.draw(st.permutations(range(len(names))))
    return [names[i] for i in order], accepted[np.ix_(order, order)], scores[np.ix_(order, order)]


def partitions(items: list[int]) -> list[list[list[int]]]:
    if not items:
        return [[]]
    first, *rest = items
    found = []
    for smaller in partitions(rest):
        found.append([[first], *smaller])
        found += [
            [*smaller[:k], [first, *block], *smaller[k + 1 :]] for k, block in enumerate(smaller)
        ]
    return found


def path_of_three() -> Relation:
    accepted = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool)
    scores = np.array([[0, 0.3, 0], [0.3, 0, 0.6], [0, 0.6, 0]])
    return Relation.of(["a", "b", "c"], accepted, scores)


def test_likeness_is_not_transitive_so_cliques_split_a_chain_that_components_join() -> None:
    relation = path_of_three()
    assert clique_partition(relation).blocks == (("a",), ("b", "c"))
    assert complete_linkage(relation) == (("a",), ("b", "c"))
    assert components(relation) == (("a", "b", "c"),)
    cover = clique_cover(relation)
    assert [(group.trains, group.serves) for group in cover] == [
        (("a", "b"), ("a",)),
        (("b", "c"), ("b", "c")),
    ]


@unhurried
@given(relation=relations(), data=st.data())
def test_no_search_depends_on_the_order_of_the_tasks(
    relation: tuple[list[str], Matrix, Matrix], data: st.DataObject
) -> None:
    one = Relation.of(*relation)
    other = Relation.of(*shuffled(relation, data))
    assert clique_partition(one) == clique_partition(other)
    assert clique_partition(one, max_exact=0) == clique_partition(other, max_exact=0)
    assert complete_linkage(one) == complete_linkage(other)
    assert components(one) == components(other)
    assert clique_cover(one) == clique_cover(other)


@unhurried
@given(
    relation=relations(),
    max_size=st.one_of(st.none(), st.integers(1, 6)),
    min_size=st.integers(1, 3),
)
def test_the_exact_clique_partition_is_the_best_of_all_partitions(
    relation: tuple[list[str], Matrix, Matrix], max_size: int | None, min_size: int
) -> None:
    built = Relation.of(*relation)

    def possible(block: list[int]) -> bool:
        size_fits = len(block) == 1 or min_size <= len(block) <= (max_size or len(built))
        return size_fits and built.is_clique(block)

    best = min(
        (
            sorted(sorted(block) for block in blocks)
            for blocks in partitions(list(range(len(built))))
            if all(map(possible, blocks))
        ),
        key=lambda blocks: (len(blocks), -built.total(blocks), blocks),
    )
    found = clique_partition(built, max_size=max_size, min_size=min_size)
    assert found.blocks == tuple(built.block(block) for block in best)
    assert found.exact


@unhurried
@given(relation=relations(max_size=9), max_size=st.one_of(st.none(), st.integers(1, 5)))
def test_every_rule_but_components_keeps_each_pair_inside_a_group_accepted(
    relation: tuple[list[str], Matrix, Matrix], max_size: int | None
) -> None:
    built = Relation.of(*relation)
    index = {name: i for i, name in enumerate(built.names)}
    groups = [group.trains for group in clique_cover(built, max_size=max_size)]
    served = [name for group in clique_cover(built, max_size=max_size) for name in group.serves]
    assert sorted(served) == list(built.names)
    for blocks in (
        clique_partition(built, max_size=max_size).blocks,
        clique_partition(built, max_size=max_size, max_exact=0).blocks,
        complete_linkage(built, max_size=max_size),
    ):
        assert sorted(name for block in blocks for name in block) == list(built.names)
        groups += blocks
    for block in groups:
        assert built.is_clique([index[name] for name in block])
        assert max_size is None or len(block) <= max_size


@unhurried
@given(relation=relations(max_size=9))
def test_the_heuristic_is_never_better_than_the_exact_search_and_says_that_it_is_one(
    relation: tuple[list[str], Matrix, Matrix],
) -> None:
    built = Relation.of(*relation)
    exact = clique_partition(built)
    heuristic = clique_partition(built, max_exact=0)
    assert not heuristic.exact
    assert len(heuristic.blocks) >= len(exact.blocks)


def test_the_heuristic_finds_planted_groups_in_forty_tasks() -> None:
    rng = np.random.default_rng(0)
    planted = np.arange(40) % 5
    same = planted[:, None] == planted[None, :]
    extra = np.triu(rng.random((40, 40)) < 0.15, 1)
    accepted = same | extra | extra.T
    names = [f"t{i:02}" for i in range(40)]
    found = clique_partition(Relation.of(names, accepted, same.astype(float)))
    assert not found.exact
    wanted = [[names[i] for i in np.flatnonzero(planted == k)] for k in range(5)]
    assert adjusted_rand_index(found.blocks, wanted) == 1.0


def test_fifteen_tasks_are_partitioned_exactly() -> None:
    n = 15
    accepted = np.ones((n, n), dtype=bool)
    accepted[0, 1] = accepted[1, 0] = False
    found = clique_partition(Relation.of([f"t{i:02}" for i in range(n)], accepted))
    assert found.exact
    assert len(found.blocks) == 2


@unhurried
@given(data=st.data(), n=st.integers(1, 6))
def test_the_partition_dp_is_brute_force_done_fast(data: st.DataObject, n: int) -> None:
    entry = st.one_of(st.integers(-3, 3), st.just(int(IMPOSSIBLE)))
    cost = np.array(data.draw(st.lists(entry, min_size=1 << n, max_size=1 << n)), dtype=np.int64)

    def total(blocks: list[list[int]]) -> int:
        return sum(int(cost[sum(1 << i for i in block)]) for block in blocks)

    scored = [(total(blocks), sorted(blocks)) for blocks in partitions(list(range(n)))]
    best = min(scored)
    if best[0] >= IMPOSSIBLE // 2:  # a sum with an impossible block in it
        with pytest.raises(ValueError, match="no partition"):
            exact_partition(cost)
    else:
        assert exact_partition(cost) == best[1]


def test_what_is_no_relation_is_refused() -> None:
    with pytest.raises(ValueError, match="not symmetric"):
        Relation.of(["a", "b"], np.array([[0, 1], [0, 0]], dtype=bool))
    with pytest.raises(ValueError, match="twice"):
        Relation.of(["a", "a"], np.zeros((2, 2), dtype=bool))
    with pytest.raises(ValueError, match="3 names"):
        Relation.of(["a", "b", "c"], np.zeros((2, 2), dtype=bool))
    with pytest.raises(ValueError, match="power of 2"):
        exact_partition(np.zeros(3, dtype=np.int64))


@unhurried
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9), data=st.data())
def test_the_rand_index_is_what_scikit_learn_computes(
    labels: list[int], data: st.DataObject
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    size = len(labels)
    others = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))

    def blocks(of: list[int]) -> list[list[str]]:
        return [[f"t{i}" for i in range(size) if of[i] == k] for k in sorted(set(of))]

    wanted = metrics.adjusted_rand_score(labels, others)
    assert adjusted_rand_index(blocks(labels), blocks(others)) == pytest.approx(wanted)


def test_partitions_of_other_tasks_have_no_agreement() -> None:
    with pytest.raises(ValueError, match="different tasks"):
        adjusted_rand_index([["a"]], [["b"]])
