"""Cutting splits from one file: every row once, copies and documents whole, the order no matter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.cards.card import load_card
from groupbench.cards.divide import divided
from groupbench.errors import CardError, DataError
from groupbench.splits import cap
from groupbench.task import Example, Kind, Split

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.task import Task

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15, "seed": 1}


def make(folder: Path, card: str, n: int = 40, **more: str) -> Path:
    folder.mkdir(exist_ok=True)
    facts = 'name = "made"\nkind = "single"\nlabels = ["a", "b"]\nmetrics = ["accuracy"]\n'
    (folder / "card.toml").write_text(facts + card)
    rows = [{"text": f"words {i}", "label": "ab"[i % 2]} for i in range(n)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in more.items():
        (folder / f"{name}.jsonl").write_text(text)
    return folder


rows = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 2), st.sampled_from([None, "p", "q", "r", "s"])),
    min_size=60,
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(facts=rows, clustered=st.booleans(), seed=st.integers(0, 3))
def test_every_row_is_in_one_split_and_what_belongs_together_is_together(
    facts: list[tuple[int, int, str | None]], clustered: bool, seed: int
) -> None:
    examples = [
        Example(f"row-{i}", f"Text, {text}", gold, str(text % 12) if clustered else None)
        for i, (text, gold, _) in enumerate(facts)
    ]
    table = {**SHARES, "seed": seed}
    try:
        splits = divided(examples, Kind.SINGLE, table, "here")
    except DataError as problem:
        assert "here: has too few rows" in str(problem)  # noqa: PT017 - else there is no such split
        return
    ids = [example.id for part in splits.values() for example in part]
    assert sorted(ids) == sorted(example.id for example in examples)
    homes: dict[object, set[str]] = {}
    for split, part in splits.items():
        for example in part:
            homes.setdefault(example.cluster if clustered else example.input, set()).add(split)
    assert all(len(splits_of) == 1 for splits_of in homes.values())
    again = divided(examples[::-1], Kind.SINGLE, table, "here")
    texts = {split: sorted(str(e.input) for e in part) for split, part in splits.items()}
    assert texts == {split: sorted(str(e.input) for e in part) for split, part in again.items()}


def test_labels_are_spread_in_proportion() -> None:
    examples = [Example(f"row-{i}", f"text {i}", int(i % 5 == 0)) for i in range(200)]
    splits = divided(examples, Kind.SINGLE, SHARES, "here")
    assert {split: len(part) for split, part in splits.items()} == {
        "train": 140,
        "validation": 30,
        "test": 30,
    }
    assert [sum(e.gold == 1 for e in part) for part in splits.values()] == [28, 6, 6]


def test_more_rows_move_few_and_tasks_over_the_same_texts_agree() -> None:
    def homes(n: int, every: int, start: int = 0) -> dict[object, str]:
        examples = [Example(f"row-{i}", f"text {i}", int(i % every == 0)) for i in range(start, n)]
        splits = divided(examples, Kind.SINGLE, SHARES, "here")
        return {e.input: split for split, part in splits.items() for e in part}

    before = homes(400, 5)
    for after in (homes(420, 5), homes(400, 2), homes(400, 3, start=100)):
        both = before.keys() & after.keys()
        assert len(both) >= 300
        assert sum(before[text] == after[text] for text in both) > 0.9 * len(both)


def test_copies_go_together_whatever_their_case_and_punctuation() -> None:
    examples = [Example(f"row-{i}", ["One text!", "one  TEXT"][i % 2], 0) for i in range(9)]
    examples += [Example(f"other-{i}", f"text {i}", 0) for i in range(60)]
    splits = divided(examples, Kind.SINGLE, SHARES, "here")
    assert sum(any(e.id.startswith("row") for e in part) for part in splits.values()) == 1


@pytest.mark.parametrize("n", [4, 30])
def test_a_cap_keeps_some_of_a_task_with_more_labels_than_rows(n: int) -> None:
    examples = [Example(id=f"e{i}", input=f"words {i}", gold=i % 130) for i in range(130)]
    kept = cap(examples, Kind.SINGLE, n, seed=0)
    assert 0 < len(kept) <= n


def test_a_card_can_have_one_file_or_lack_one_split(tmp_path: Path) -> None:
    one = '[files]\ntrain = "rows.jsonl"\n[divide]\ntrain = 0.5\nvalidation = 0.25\ntest = 0.25\n'
    task = load_card(make(tmp_path / "one", one)).task()
    assert {split: len(part) for split, part in task.data.items()} == {
        Split.TRAIN: 20, Split.DEV_A: 5, Split.DEV_B: 5, Split.TEST: 10
    }  # fmt: skip
    ids = {example.id for part in task.data.values() for example in part}
    assert ids == {f"row-{i}" for i in range(40)}
    seeded = load_card(make(tmp_path / "two", f"{one}seed = 5\n")).task()
    assert seeded.fingerprint != task.fingerprint
    assert load_card(make(tmp_path / "one", one)).task().fingerprint == task.fingerprint
    lacks = '[files]\ntrain = "rows.jsonl"\n[divide]\ntrain = 0.75\nvalidation = 0.25\n'
    test = '{"text": "held out", "label": "a"}\n'
    task = load_card(make(tmp_path / "three", lacks, test=test)).task()
    assert [example.id for example in task.data[Split.TEST]] == ["test-0"]
    assert len(task.data[Split.TRAIN]) == 30


@dataclass(frozen=True)
class Shelf:
    """A loader of a plugin that gives whatever it has."""

    name: ClassVar[str] = "shelf"

    splits: tuple[str, ...] = ("train",)

    def __call__(self) -> dict[str, dict[str, list[str]]]:
        return {
            split: {"text": [f"{split} {i}" for i in range(40)], "label": ["a", "b"] * 20}
            for split in self.splits
        }


def test_rows_of_a_loader_are_divided_too_and_its_other_splits_stay_aside(tmp_path: Path) -> None:
    def task(name: str, splits: str, divide: str) -> Task:
        card = f'[source]\nloader = "shelf"\nsplits = {splits}\n[divide]\n{divide}\n'
        return load_card(make(tmp_path / name, card)).task({"shelf": Shelf})

    all_of_it = "train = 0.5\nvalidation = 0.25\ntest = 0.25"
    for name, splits in (("lone", '["train"]'), ("more", '["train", "test"]')):
        data = task(name, splits, all_of_it).data
        assert {split: len(part) for split, part in data.items()} == {
            Split.TRAIN: 20, Split.DEV_A: 5, Split.DEV_B: 5, Split.TEST: 10
        }  # fmt: skip
        assert all(str(e.input).startswith("train ") for part in data.values() for e in part)
    own = task("own", '["train", "test"]', "train = 0.75\nvalidation = 0.25").data
    assert (len(own[Split.TRAIN]), len(own[Split.TEST])) == (30, 40)
    with pytest.raises(DataError, match=r"gave no test split, only train; \[divide\] can cut"):
        _ = task("bad", '["train"]', "train = 0.75\nvalidation = 0.25").data


@pytest.mark.parametrize(
    ("divide", "words"),
    [
        ("train = 0.5\ntest = 0.4\n", ["sum to 0.9"]),
        ("train = 1.5\ntest = -0.5\n", ["train = 1.5", "a share"]),
        ("train = nan\ntest = 0.5\n", ["train = nan"]),
        ("test = 0.2\n", ["names test", "train"]),
        ("train = 0.9999999\n", ["names train"]),
        ("seed = 1\n", ["no split"]),
        ("train = 0.5\ntest = 0.5\nseed = 0.5\n", ["seed = 0.5", "whole number"]),
        ("train = 0.5\ntset = 0.5\n", ["tset", "'test'"]),
        ('train = "half"\ntest = 0.5\n', ["divide", "half"]),
        ('train = 0.5\ntest = 0.5\n[files]\ntest = "rows.jsonl"\n', ["[files] test", "keep one"]),
    ],
)
def test_a_division_that_cannot_be_is_one_message(
    tmp_path: Path, divide: str, words: list[str]
) -> None:
    folder = make(tmp_path, f"[divide]\n{divide}")
    with pytest.raises(CardError) as raised:
        load_card(folder)
    assert str(folder / "card.toml") in str(raised.value)
    for word in words:
        assert word in str(raised.value)


def test_too_few_rows_are_said(tmp_path: Path) -> None:
    card = '[files]\ntrain = "rows.jsonl"\n[divide]\ntrain = 0.8\nvalidation = 0.1\ntest = 0.1\n'
    with pytest.raises(DataError, match=r"rows\.jsonl: has too few rows"):
        _ = load_card(make(tmp_path, card, n=2)).task().data
    with pytest.raises(DataError, match=r"rows\.jsonl: gives validation a single row"):
        _ = load_card(make(tmp_path, card, n=10)).task().data
