"""Real data: every folder of the shared data sets loads exactly as it is."""

from __future__ import annotations

import os
import time
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from groupbench.cards.card import load_card, load_tasks_dir
from groupbench.cards.paths import find_cards
from groupbench.task import Kind, Split

if TYPE_CHECKING:
    from groupbench.task import Example, Task

SHARED = Path(
    os.environ.get("GROUPBENCH_SHARED") or Path(__file__).parents[2].parent / "shared" / "data"
)
CARDS = find_cards(SHARED) if SHARED.is_dir() else []

pytestmark = pytest.mark.skipif(
    not CARDS, reason=f"no task cards in {SHARED}; GROUPBENCH_SHARED can name another folder"
)


@cache
def task_of(path: Path) -> Task:
    return load_card(path).task()


def rows_of(path: Path, split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path.parent / f"{split}.parquet").to_pylist()
    return rows


def as_row(task: Task, example: Example) -> dict[str, Any]:
    """Return the row that an example was made of."""
    gold, labels = example.gold, task.labels
    row: dict[str, Any]
    match task.kind:
        case Kind.PAIR:
            row = dict(zip(("text", "text_pair"), example.input, strict=True))
        case Kind.TOKEN:
            row = {"tokens": list(example.input)}
        case _:
            row = {"text": example.input}
    if isinstance(gold, int):
        return row | {"label": labels[gold]}
    assert gold is not None
    column = "tags" if task.kind is Kind.TOKEN else "labels"
    return row | {column: [labels[index] for index in gold]}


def test_there_are_26_tasks_with_names_of_their_own() -> None:
    tasks = load_tasks_dir(SHARED)

    assert len(tasks) == 26
    assert {task.kind for task in tasks} == set(Kind)
    assert {task.domain for task in tasks} == {"general", "biomedical", "clinical"}


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_every_row_of_every_file_becomes_its_example(path: Path) -> None:
    task = task_of(path)
    index = {label: i for i, label in enumerate(task.labels)}
    dev = {e.id: e for split in (Split.DEV_A, Split.DEV_B) for e in task.examples(split)}
    found = {
        "train": task.examples(Split.TRAIN),
        "validation": [dev[f"validation-{i}"] for i in range(len(dev))],
        "test": task.examples(Split.TEST),
    }

    for split, examples in found.items():
        rows = rows_of(path, split)
        for row in rows:
            if "labels" in row:  # as a set: an example keeps the card's order
                row["labels"] = sorted(set(row["labels"]), key=index.__getitem__)
        assert [as_row(task, e) for e in examples] == rows


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_what_the_card_says_is_what_the_task_says(path: Path) -> None:
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    task = task_of(path)

    sizes = {split: len(task.examples(split)) for split in Split}
    assert sizes[Split.TRAIN] == said["sizes"]["train"]
    assert sizes[Split.DEV_A] + sizes[Split.DEV_B] == said["sizes"]["validation"]
    assert abs(sizes[Split.DEV_A] - sizes[Split.DEV_B]) <= 2
    assert sizes[Split.TEST] == said["sizes"]["test"]
    assert task.primary_metric == said["primary_metric"]
    assert set(task.metrics) == set(said["metrics"])
    assert task.excluded_labels == tuple(said.get("metric_excluded_labels", ()))
    assert task.positive_label == said.get("positive_label")
    assert task.summary == said["title"]


def test_eight_tasks_are_read_and_fingerprinted_in_a_second() -> None:
    tasks = [task for task in load_tasks_dir(SHARED) if task.kind is not Kind.TOKEN][:8]

    start = time.process_time()
    fingerprints = {task.fingerprint for task in tasks}
    seconds = time.process_time() - start

    assert len(fingerprints) == 8
    assert seconds < 1.5  # of processor time; 0.4 where measured
