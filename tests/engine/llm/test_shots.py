from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompting import LABELS, an_example, make_task, train_of

from groupbench.errors import SettingError
from groupbench.llm import ShotPool, pick_shots
from groupbench.llm.folding import text_key
from groupbench.llm.shots import NOTHING, drop_order, strata
from groupbench.task import Example, Kind

if TYPE_CHECKING:
    import random

GOLDS = st.lists(st.integers(0, 2), min_size=1, max_size=60)
K = st.sampled_from([0, 1, 2, 4, 8, 16, 32])


@given(golds=GOLDS, k=K, seed=st.integers(0, 9), shuffle=st.randoms(use_true_random=False))
def test_shots_are_even_over_labels_and_do_not_depend_on_file_order(
    golds: list[int], k: int, seed: int, shuffle: random.Random
) -> None:
    task = make_task()
    train = [an_example(Kind.SINGLE, i, gold) for i, gold in enumerate(golds)]

    shots = pick_shots(task, train, k, seed=seed)

    assert len(shots) == min(k, len(train))
    assert len({shot.id for shot in shots}) == len(shots)
    shown, there = Counter(golds[int(shot.id[6:])] for shot in shots), Counter(golds)
    for label, n in shown.items():  # nobody is ahead by two of one that had more to show
        assert all(n <= shown[other] + 1 or shown[other] == there[other] for other in there)
        assert n <= there[label]
    # Rows in another order, and numbered by it: the texts drawn are the same.
    moved = shuffle.sample(train, len(train))
    renamed = [replace(example, id=f"train-{i}") for i, example in enumerate(moved)]
    again = pick_shots(task, renamed, k, seed=seed)
    assert [shot.input for shot in again] == [shot.input for shot in shots]


def test_draws_differ_by_seed_task_k_and_example() -> None:
    train = train_of(Kind.SINGLE, 60)
    pool = ShotPool(make_task(), train)
    fixed = pool.pick(4, seed=0)

    assert pool.pick(4, seed=0) == fixed
    assert pool.pick(4, seed=1) != fixed
    assert ShotPool(make_task(name="other"), train).pick(4, seed=0) != fixed
    assert set(fixed) - set(pool.pick(8, seed=0))
    drawn = {pool.pick(4, seed=0, example_id=f"test-{i}") for i in range(5)}
    assert len(drawn) == 5
    assert pool.pick(4, seed=0, example_id="test-0") in drawn


@given(held=st.sets(st.integers(0, 23)), k=K)
def test_texts_to_be_predicted_and_repeated_texts_are_never_shown(held: set[int], k: int) -> None:
    train = train_of(Kind.SINGLE)
    repeated = [Example(f"again-{e.id}", f"  {e.text.upper()}!!", e.gold) for e in train[::2]]
    avoid = [Example(f"test-{i}", train[i].text.lower().rstrip("."), None) for i in held]

    shots = pick_shots(make_task(), [*train, *repeated], k, seed=0, avoid=avoid)

    keys = [text_key(shot.text) for shot in shots]
    assert len(set(keys)) == len(keys) == min(k, len(train) - len(held))
    assert not set(keys) & {text_key(e.text) for e in avoid}


def test_a_pair_is_compared_as_a_whole() -> None:
    train = [Example("a", ("One.", "Two."), 0), Example("b", ("One.", "Three."), 1)]
    avoid = [Example("t", ("one", "two"), None)]

    assert [e.id for e in pick_shots(make_task(Kind.PAIR), train, 2, seed=0, avoid=avoid)] == ["b"]


def test_shots_over_their_share_of_the_budget_are_passed_over() -> None:
    train = train_of(Kind.SINGLE)
    long = {e.id for e in train if e.gold == 2} - {train[2].id}

    shots = pick_shots(make_task(), train, 6, seed=0, too_long=lambda e: e.id in long)

    assert Counter(shot.gold for shot in shots)[2] == 1
    assert len(shots) == 6


@pytest.mark.parametrize("k", [-1, 33])
def test_more_than_32_shots_are_refused(k: int) -> None:
    with pytest.raises(SettingError, match=f"shots = {k} is not one of 0 to 32"):
        pick_shots(make_task(), train_of(Kind.SINGLE), k, seed=0)


@given(k=st.integers(1, 16), seed=st.integers(0, 5))
def test_shots_of_a_multilabel_task_show_every_label_and_none(k: int, seed: int) -> None:
    task = make_task(Kind.MULTILABEL)
    shots = pick_shots(task, train_of(Kind.MULTILABEL), k, seed=seed)

    shown = set().union(*(strata(task, shot) for shot in shots))
    assert len(shots) == k
    assert k < 4 or shown == {*LABELS[Kind.MULTILABEL], NOTHING}


@given(k=st.integers(1, 16), seed=st.integers(0, 20))
def test_shots_of_entities_cover_every_type_and_one_sentence_without(k: int, seed: int) -> None:
    task = make_task(Kind.TOKEN)
    shots = pick_shots(task, train_of(Kind.TOKEN), k, seed=seed)

    held = [strata(task, shot) for shot in shots]
    # A sentence with both types is the best single shot.
    assert {"drug", "disease"} <= set().union(*held)
    assert sum(NOTHING in each for each in held) == (1 if k > 1 else 0)
    assert len(shots) == k


def test_a_type_without_sentences_hinders_no_other() -> None:
    labels = ("O", "B-drug", "I-drug", "B-rare")
    train = [Example(f"train-{i}", ("a", f"b{i}"), (0, 1)) for i in range(4)]

    assert len(pick_shots(make_task(Kind.TOKEN, labels), train, 3, seed=0)) == 3


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_shots_are_given_up_one_per_label_at_a_time_from_the_end(labels: list[str]) -> None:
    order = drop_order([frozenset(label) for label in labels])

    assert sorted(order) == list(range(len(labels)))
    left = list(range(len(labels)))
    for dropped in order:
        counts = Counter(labels[i] for i in left)
        assert counts[labels[dropped]] == max(counts.values())
        left.remove(dropped)
        # It was the last one with so many.
        assert all(counts[labels[i]] < counts[labels[dropped]] for i in left if i > dropped)
