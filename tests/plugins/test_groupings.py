"""The groupings that measure nothing."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from groupbench.errors import GroupingError, SettingError
from groupbench.grouping import Group, Grouping, GroupingStrategy, Plan, PlannedFits
from groupbench.settings import configure
from groupbench.suite import Suite
from groupbench.task import Kind
from groupbench.testing.pytest_helper import parametrize_with_checks
from groupbench.testing.toy import ToyWorkbench, toy_suite, toy_task
from groupbench_groupings.ends import All, Single
from groupbench_groupings.fixed import Fixed
from groupbench_groupings.metadata import ByDomain, ByFamily, ByKind
from groupbench_groupings.partitions import n_partitions, random_partition
from groupbench_groupings.random_grouping import Random

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.testing.checks import Check

PAIRS = tuple((f"toy-{i}", f"toy-{i + 1}") for i in (0, 2, 4))


@parametrize_with_checks(
    [
        Single(),
        All(),
        Random(),
        Random(k=3, seed=5),
        Random(same_sizes_as="pvi", draw=2),
        ByDomain(),
        ByKind(),
        ByFamily(),
        Fixed(groups=PAIRS),
    ]
)
def test_groupings_keep_the_contract(strategy: GroupingStrategy, check: Check) -> None:
    check(strategy)


def proposed(strategy: GroupingStrategy, suite: Suite) -> Grouping:
    return strategy.propose(suite, ToyWorkbench(suite))


def test_single_and_all_are_the_two_ends() -> None:
    suite = toy_suite(4)
    assert [len(group) for group in proposed(Single(), suite)] == [1, 1, 1, 1]
    assert [group.serves for group in proposed(All(), suite)] == [tuple(sorted(suite.names))]


def test_groups_by_metadata_share_it_and_say_so() -> None:
    suite = toy_suite(8)
    by_kind = proposed(ByKind(), suite)
    assert len(by_kind) == 4
    assert all(len({suite[name].kind for name in group.trains}) == 1 for group in by_kind)
    assert by_kind.evidence["kind"]["toy-0"] == Kind.SINGLE
    assert len(proposed(ByDomain(), suite)) == len({task.domain for task in suite})


def test_the_planted_families_are_an_oracle_and_need_the_truth() -> None:
    suite = toy_suite(4)
    assert ByFamily.oracle
    assert {group.serves for group in proposed(ByFamily(), suite)} == {
        ("toy-0", "toy-1"),
        ("toy-2", "toy-3"),
    }
    with pytest.raises(GroupingError, match=r"task toy-0 has no planted family.*calibration"):
        proposed(ByFamily(), suite.blinded())
    with pytest.raises(GroupingError, match="no planted family"):
        ByFamily().plan(suite.blinded(), ToyWorkbench(suite))


# random


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret


@pytest.mark.parametrize(
    ("n", "k", "count"), [(0, 0, 1), (3, 0, 0), (4, 2, 7), (5, 3, 25), (9, 3, 3025), (3, 4, 0)]
)
def test_partitions_are_counted_as_stirling_did(n: int, k: int, count: int) -> None:
    assert n_partitions(n, k) == count


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 12), st.data())
def test_a_random_partition_has_exactly_k_blocks_of_all_things(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    blocks = random_partition(range(n), k, seeded(data.draw(st.integers())))
    assert len(blocks) == k
    assert sorted(thing for block in blocks for thing in block) == list(range(n))


@pytest.mark.parametrize(("n", "k"), [(5, 2), (5, 3), (6, 4)])
def test_each_partition_into_k_blocks_is_as_likely(n: int, k: int) -> None:
    rng = seeded(7)
    draws = 40 * n_partitions(n, k)
    seen = Counter(
        frozenset(frozenset(block) for block in random_partition(range(n), k, rng))
        for _ in range(draws)
    )
    assert len(seen) == n_partitions(n, k)
    assert chisquare(list(seen.values())).pvalue > 0.01


def test_draws_of_the_strategy_are_uniform_too() -> None:
    suite = toy_suite(4)
    seen = Counter(proposed(Random(k=2, draw=draw), suite).groups for draw in range(700))
    assert len(seen) == n_partitions(4, 2)
    assert chisquare(list(seen.values())).pvalue > 0.01


def test_cutting_a_shuffled_list_would_fail_the_same_test() -> None:
    rng = seeded(7)
    seen: Counter[frozenset[frozenset[int]]] = Counter()
    for _ in range(600):
        order, cut = rng.sample(range(5), 5), rng.randrange(1, 5)
        seen[frozenset({frozenset(order[:cut]), frozenset(order[cut:])})] += 1
    assert len(seen) == n_partitions(5, 2)
    assert chisquare(list(seen.values())).pvalue < 1e-6


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 9), st.integers(0, 50), st.integers(0, 9))
def test_same_sizes_keeps_the_sizes(n: int, draw: int, seed: int) -> None:
    suite = toy_suite(n)
    model = ToyWorkbench(suite).propose("any")
    drawn = proposed(Random(same_sizes_as="any", draw=draw, seed=seed), suite)
    drawn.check(suite)
    assert sorted(map(len, drawn)) == sorted(map(len, model))


def test_same_sizes_keeps_helpers_of_overlapping_groups_and_plans_what_they_plan() -> None:
    suite = toy_suite(3)
    model = Grouping(
        (
            Group(("toy-0", "toy-1"), ("toy-0",)),
            Group(("toy-1", "toy-2"), ("toy-1", "toy-2")),
        )
    )
    plan = Plan((PlannedFits((Group.of(["toy-0"]),)),))

    class Bench(ToyWorkbench):
        def propose(self, spec: str) -> Grouping:
            assert spec == "tag:k=2"
            return model

        def plan(self, spec: str) -> Plan:
            assert spec == "tag:k=2"
            return plan

    strategy = Random(same_sizes_as="tag:k=2")
    drawn = strategy.propose(suite, Bench(suite))
    shapes = sorted((len(group.trains), len(group.serves)) for group in drawn)
    assert shapes == [(2, 1), (2, 2)]
    assert strategy.plan(suite, Bench(suite)) is plan


def test_draws_differ_and_seeds_differ() -> None:
    suite = toy_suite(9)
    assert len({proposed(Random(k=3, draw=draw), suite) for draw in range(10)}) > 5
    assert proposed(Random(k=3, seed=1), suite) != proposed(Random(k=3, seed=2), suite)


def test_without_k_there_are_as_many_groups_as_domains_or_about_sqrt_n() -> None:
    tasks = [toy_task(Kind.SINGLE, f"t-{i}") for i in range(9)]
    for domains, n_groups in (
        ("aaaaaaabb", 2),
        ("aaabbbccd", 4),
        ("aaaaaaaaa", 3),
        ("abcdefghi", 3),
    ):
        named = zip(tasks, domains, strict=True)
        suite = Suite("s", tuple(replace(task, domain=domain) for task, domain in named))
        assert len(proposed(Random(), suite)) == n_groups


def test_more_groups_than_tasks_is_said() -> None:
    with pytest.raises(GroupingError, match=r"k = 5, but suite toy has 4 tasks"):
        proposed(Random(k=5), toy_suite(4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": -1}, "must not be below 0"),
        ({"draws": 0}, "draws not below 1"),
        ({"k": 2, "same_sizes_as": "pvi"}, "give one of them"),
        ({"k": "two"}, "Expected `int`"),
        ({"same_size_as": "pvi"}, "Did you mean 'same_sizes_as'"),
    ],
)
def test_wrong_settings_of_random_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        configure(Random, settings, where="grouping random")


# fixed


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("g.toml", 'groups = [["toy-0", "toy-1"], ["toy-2"]]'),
        ("g.json", '[["toy-0", "toy-1"], ["toy-2"]]'),
        (
            "g.json",
            '{"schema": "groupbench/grouping/1", "groups": [["toy-0", "toy-1"], ["toy-2"]]}',
        ),
        ("g.toml", '[[groups]]\ntrains = ["toy-0", "toy-1"]\n[[groups]]\nserves = ["toy-2"]'),
    ],
)
def test_groups_are_read_from_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    grouping = proposed(Fixed(file=str(tmp_path / name)), toy_suite(3))
    assert grouping == Grouping.partition([["toy-0", "toy-1"], ["toy-2"]])


def test_written_groups_may_train_more_than_they_serve(tmp_path: Path) -> None:
    groups = [
        {"trains": ["toy-0", "toy-1"], "serves": ["toy-0"]},
        {"trains": ["toy-1", "toy-2"], "serves": ["toy-1", "toy-2"]},
    ]
    (tmp_path / "g.json").write_text(json.dumps({"groups": groups}))
    grouping = proposed(Fixed(file=str(tmp_path / "g.json")), toy_suite(3))
    assert [group.serves for group in grouping] == [("toy-0",), ("toy-1", "toy-2")]


def test_groups_can_stand_in_the_experiment() -> None:
    fixed = configure(Fixed, {"groups": [["toy-0"], ["toy-1"]]}, where="grouping fixed")
    assert len(proposed(fixed, toy_suite(2))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'groups = [["toy-0", "toy-11"], ["toy-2"]]',
            r"group 1: .* no task 'toy-11'. Did you mean",
        ),
        ('groups = [["toy-0"], ["toy-2"]]', r"g.toml: No group serves toy-1"),
        ('groups = [["toy-0", "toy-1"], ["toy-1", "toy-2"]]', "more than one group: toy-1"),
        ('groups = [["toy-0", "toy-0"], ["toy-1", "toy-2"]]', "group 1: .*twice"),
        ('groups = [["toy-0", "toy-1", "toy-2"], []]', "group 2: .*at least one task"),
        ('groups = ["toy-0"]', "group 1: 'toy-0' must be a list of task names"),
        ("groups = [[0]]", r"group 1: \[0\] must be a list"),
        ("groups = [{}]", "group 1: None must be a list"),
        ('[[groups]]\ntrain = ["toy-0"]', "no field 'train'; known: trains, serves"),
        ('[[groups]]\ntrains = ["toy-0"]\nserves = ["toy-1"]', "Served but not trained: toy-1"),
        ("group = []", 'has no list "groups"'),
        ("groups = []", 'has no list "groups"'),
        ("groups = [", "is not valid TOML"),
    ],
)
def test_what_is_wrong_with_a_file_of_groups_is_said(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "g.toml").write_text(text)
    suite = toy_suite(3)
    for ask in (Fixed.propose, Fixed.plan):
        with pytest.raises(GroupingError, match=message) as caught:
            ask(Fixed(file=str(tmp_path / "g.toml")), suite, ToyWorkbench(suite))
        assert "g.toml" in str(caught.value)


def test_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    suite = toy_suite(2)
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe[")
    for file, message in (
        (tmp_path / "none.toml", "cannot read .*none.toml: No such file"),
        (tmp_path, "cannot read .*: Is a directory"),
        (tmp_path / "bad.json", "is not UTF-8"),
    ):
        with pytest.raises(GroupingError, match=message):
            proposed(Fixed(file=str(file)), suite)
    with pytest.raises(SettingError, match="name a file"):
        proposed(Fixed(), suite)
    with pytest.raises(SettingError, match="give one of them"):
        configure(Fixed, {"file": "x", "groups": [["a"]]}, where="grouping fixed")
