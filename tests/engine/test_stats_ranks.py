from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.stats.ranks import ranks, tiers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=8)


def by_distance(scores: Sequence[float], least: float) -> Callable[[int, int], float]:
    """Return a test that finds every distance above ``least`` and no other."""
    return lambda one, two: 0.0 if abs(scores[one] - scores[two]) > least else 1.0


@given(SCORES)
def test_a_rank_is_one_more_than_the_number_of_better_scores(scores: list[float]) -> None:
    assert ranks(scores) == [1 + sum(other > score for other in scores) for score in scores]


@given(SCORES, st.floats(0, 1))
def test_the_best_is_in_tier_1_and_tiers_leave_no_gap(scores: list[float], least: float) -> None:
    found = tiers(scores, by_distance(scores, least))
    assert found[int(np.argmax(scores))] == 1
    assert set(found) == set(range(1, max(found) + 1))


@given(SCORES, st.floats(0, 1), st.randoms())
def test_the_order_of_entries_decides_no_tier(
    scores: list[float], least: float, random: np.random.Generator
) -> None:
    order = list(range(len(scores)))
    random.shuffle(order)
    shuffled = [scores[i] for i in order]
    before = tiers(scores, by_distance(scores, least))
    after = tiers(shuffled, by_distance(shuffled, least))
    assert [before[i] for i in order] == after


@given(SCORES)
def test_without_significant_differences_all_are_in_tier_1(scores: list[float]) -> None:
    assert set(tiers(scores, lambda _one, _two: 1.0)) == {1}


def test_tiers_are_anchored_at_their_best_entry() -> None:
    scores = [0.90, 0.86, 0.82, 0.78]
    # Each neighbour is as good as the next, yet the third is worse than the first.
    assert tiers(scores, by_distance(scores, 0.05)) == [1, 1, 2, 2]


def test_p_values_are_corrected_for_the_number_of_entries() -> None:
    scores = [0.9, 0.8, 0.8]
    assert tiers(scores[:2], lambda _one, _two: 0.04) == [1, 2]
    assert tiers(scores, lambda _one, _two: 0.04) == [1, 1, 1]


def test_a_less_certain_entry_may_be_in_a_better_tier() -> None:
    scores = [0.9, 0.8, 0.7]
    uncertain = 2

    def p(one: int, two: int) -> float:
        return 1.0 if uncertain in {one, two} else 0.001

    assert tiers(scores, p) == [1, 2, 1]


@pytest.mark.parametrize("scores", [[], [0.5]])
def test_few_entries_have_ranks_and_tiers(scores: list[float]) -> None:
    assert ranks(scores) == [1] * len(scores)
    assert tiers(scores, lambda _one, _two: 0.0) == [1] * len(scores)
