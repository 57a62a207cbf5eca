from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.stats.bootstrap import (
    draw_counts,
    resampled_sums,
    sums_by_unit,
    unique_columns,
    units_of,
)
from groupbench.stats.sample import Sample, difference
from groupbench.stats.uncertainty import Estimate, Part, interval


def sample(
    right: np.ndarray, *, clusters: list[str | None] | None = None, n_draws: int = 1000
) -> Sample:
    """Return a sample of accuracies. ``right`` is 0 or 1, shape ``[n_seeds, n_examples]``."""
    n_seeds, n = right.shape
    units, n_units = units_of(clusters or [None] * n)
    sums = resampled_sums(
        sums_by_unit(np.vstack([right, np.ones(n)]).T, units, n_units), n_draws, seed=1
    )
    return Sample(
        cells=tuple((seed, 0) for seed in range(n_seeds)),
        scores=right.mean(axis=1),
        replicates=(sums[:, :-1] / sums[:, -1:]).T,
        task_means=np.array([right.mean()]),
        task_units=np.array([n_units]),
    )


def test_a_draw_holds_as_many_units_as_there_are() -> None:
    counts = draw_counts(7, 50, np.random.default_rng(0))
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert len(np.unique(counts, axis=0)) > 40


def test_clusters_are_drawn_whole() -> None:
    units, n_units = units_of(["a", "a", None, "b", "b", "b"])
    statistics = np.eye(6)
    sums = resampled_sums(sums_by_unit(statistics, units, n_units), 200, seed=0)
    assert (sums[:, 0] == sums[:, 1]).all()
    assert (sums[:, 3] == sums[:, 4]).all()
    assert (sums[:, 3] == sums[:, 5]).all()
    assert (sums[:, [0, 2, 3]].sum(axis=1) == 3).all()


@given(st.integers(1, 40), st.integers(0, 5))
def test_sums_of_counts_are_those_of_the_drawn_examples(n: int, seed: int) -> None:
    statistics = np.random.default_rng(seed).integers(0, 9, size=(n, 3)).astype(float)
    drawn = draw_counts(n, 20, np.random.default_rng(seed))
    assert np.array_equal(resampled_sums(statistics, 20, seed), drawn @ statistics)


def test_sums_that_are_not_whole_are_added_in_double_precision() -> None:
    statistics = np.full((3, 1), 0.1)
    assert resampled_sums(statistics, 4, seed=0) == pytest.approx(0.3, abs=1e-15)


def test_many_examples_are_drawn_in_parts() -> None:
    sums = resampled_sums(np.ones((100_000, 1)), 90, seed=0)
    assert (sums == 100_000).all()


def test_equal_columns_are_kept_once() -> None:
    one, two = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 5], [3, 6]])
    columns, where = unique_columns([one, two])
    assert columns.shape == (2, 3)
    for block, places in zip((one, two), where, strict=True):
        assert np.array_equal(columns[:, places], block)


@pytest.mark.parametrize("true", [0.5, 0.9])
def test_intervals_of_one_seed_cover_the_truth_as_often_as_they_say(true: float) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        low, high = sample((rng.random((1, 200)) < true).astype(float)).interval()
        covered += low <= true <= high
    assert 0.93 <= covered / 400 <= 0.97


def test_intervals_of_seeds_cover_the_truth_where_seeds_vary() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        shares = np.clip(0.8 + 0.05 * rng.standard_normal(3), 0, 1)
        low, high = sample(
            (rng.random((3, 200)) < shares[:, None]).astype(float), n_draws=300
        ).interval()
        covered += low <= 0.8 <= high
    assert 0.94 <= covered / 300 <= 0.99


def test_intervals_of_clusters_cover_the_truth_where_those_of_examples_do_not() -> None:
    rng = np.random.default_rng(2)
    clusters: list[str | None] = [f"patient {i // 10}" for i in range(400)]
    covered = {"clusters": 0, "examples": 0}
    for _ in range(200):
        shares = np.repeat(rng.beta(4, 1, size=40), 10)
        right = (rng.random(400) < shares)[None].astype(float)
        for name, known in (("clusters", clusters), ("examples", None)):
            low, high = sample(right, clusters=known, n_draws=300).interval()
            covered[name] += low <= 0.8 <= high
    assert covered["clusters"] / 200 >= 0.90
    assert covered["examples"] < covered["clusters"]


@pytest.mark.parametrize(("share", "wilson"), [(1.0, (0.9812, 1.0)), (0.0, (0.0, 0.0188))])
def test_all_right_is_not_certainty(share: float, wilson: tuple[float, float]) -> None:
    found = sample(np.full((1, 200), share)).interval()
    assert found == pytest.approx(wilson, abs=1e-4)


def test_the_interval_of_one_seed_is_wilsons() -> None:
    right = np.zeros((1, 100))
    right[0, :90] = 1
    # 0.8256 and 0.9448: Wilson, 90 of 100. The bootstrap knows p (1 - p) / n up to its own error.
    assert sample(right).interval() == pytest.approx((0.8256, 0.9448), abs=0.005)


@given(st.floats(0, 1), st.floats(1e-8, 0.2), st.integers(1, 500), st.sampled_from([0.0, -1.0]))
def test_an_interval_holds_its_score_and_stays_in_range(
    mean: float, variance: float, n: int, low: float
) -> None:
    bottom, top = interval(Estimate(mean, variance), n, low, 1.0)
    assert low <= bottom <= mean <= top <= 1.0


def test_few_seeds_that_vary_make_wide_intervals() -> None:
    seeds_agree = Estimate(0.8, 1e-4, (Part(1e-9, 0.0, 2),))
    seeds_differ = Estimate(0.8, 1e-9, (Part(1e-4, 0.0, 2),))
    assert seeds_agree.half() == pytest.approx(0.0196, rel=0.01)
    assert seeds_differ.half() == pytest.approx(0.0430, rel=0.01)


@given(st.floats(-0.5, 0.5), st.floats(1e-6, 0.1), st.floats(0, 0.1), st.integers(1, 5))
def test_a_difference_is_significant_where_its_interval_leaves_out_0(
    mean: float, examples: float, seeds: float, dof: int
) -> None:
    estimate = Estimate(mean, examples, (Part(seeds, 0.0, dof),))
    low, high = estimate.interval()
    if not np.isclose(estimate.p_value(), 0.05, rtol=1e-6):
        assert (estimate.p_value() < 0.05) == (low > 0 or high < 0)


def test_what_test_set_and_seeds_share_is_counted_once() -> None:
    # Three seeds that err on examples of their own, and are equally good.
    rng = np.random.default_rng(3)
    parts = [
        sample((rng.random((3, 300)) < 0.8).astype(float), n_draws=300).seed_part[0]
        for _ in range(200)
    ]
    expected = 0.8 * 0.2 / 300 / 3
    assert np.mean([part.variance for part in parts]) == pytest.approx(expected, rel=0.15)
    assert np.mean([part.counted_twice for part in parts]) == pytest.approx(expected, rel=0.05)


def test_an_entry_does_not_differ_from_itself() -> None:
    one = sample((np.random.default_rng(0).random((3, 50)) < 0.7).astype(float))
    estimate = difference(one, one)
    assert (estimate.mean, estimate.std_error) == (0, 0)
    assert estimate.p_value() == 1


def test_the_test_of_two_classifiers_is_mcnemars() -> None:
    # Of 200 examples one is right alone on 30, the other on 12: z = 18 / sqrt(42), p = 0.0055.
    one, other = np.ones((1, 200)), np.ones((1, 200))
    other[0, :30] = 0
    one[0, 30:42] = 0
    assert difference(sample(one), sample(other)).p_value() == pytest.approx(0.0055, rel=0.35)


def test_three_examples_that_agree_are_not_significant() -> None:
    assert difference(sample(np.ones((1, 3))), sample(np.zeros((1, 3)))).p_value() > 0.05


def test_tests_of_equal_entries_reject_rarely() -> None:
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(300):
        shares = np.clip(0.8 + 0.03 * rng.standard_normal((2, 3, 1)), 0, 1)
        right = (rng.random((2, 3, 200)) < shares).astype(float)
        rejected += difference(*(sample(each, n_draws=300) for each in right)).p_value() < 0.05
    assert rejected / 300 <= 0.05


def test_pairing_finds_differences_that_intervals_hide() -> None:
    rng = np.random.default_rng(5)
    base = (rng.random((1, 400)) < 0.7).astype(float)
    better = base.copy()
    better[0, np.flatnonzero(base[0] == 0)[:12]] = 1
    one, other = sample(better), sample(base)
    assert one.interval()[0] < other.interval()[1]
    assert difference(one, other).p_value() < 0.01
