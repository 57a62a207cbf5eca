"""Each way a card or a file can be wrong is one message and exit code 2, never a traceback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sites import write_tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sites import Site


def without_test(task: Path) -> None:
    (task / "test.jsonl").unlink()


def unknown_label(task: Path) -> None:
    append(task / "test.jsonl", {"text": "a text", "label": "maybe"})


def empty_text(task: Path) -> None:
    append(task / "validation.jsonl", {"text": "  ", "label": "yes"})


def wrong_column(task: Path) -> None:
    path = task / "train.jsonl"
    path.write_text(path.read_text().replace('"text"', '"txt"'))


def twice(task: Path) -> None:
    other = task.parent / "again"
    other.mkdir()
    for path in task.iterdir():
        (other / path.name).write_bytes(path.read_bytes())


def bad_encoding(task: Path) -> None:
    with (task / "train.jsonl").open("ab") as file:
        file.write(b'{"text": "caf\xe9", "label": "yes"}\n')


def outside(task: Path) -> None:
    card = task / "card.toml"
    card.write_text(card.read_text() + '[files]\ntrain = "../elsewhere.jsonl"\n')


def append(path: Path, row: dict[str, str]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without_test, ["test"]),
        (unknown_label, ["test.jsonl", "25", "maybe"]),
        (empty_text, ["validation.jsonl", "25", "empty"]),
        (wrong_column, ["train.jsonl", "txt", "text"]),
        (twice, ["alpha", "again"]),
        (bad_encoding, ["train.jsonl", "UTF-8"]),
        (outside, ["card.toml", "../elsewhere.jsonl"]),
    ],
)
def test_a_fault_is_one_message_and_exit_code_2(
    site: Site, tmp_path: Path, damage: Callable[[Path], None], words: list[str]
) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha"])
    damage(tasks / "alpha")
    process = site.groupbench(
        *("run", "--tasks-dir", tasks, "--task", "alpha", "--grouping", "single"),
        *("--runner", "majority", "--store", tmp_path / "store", "--json"),
    )
    assert process.returncode == 2, process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""
    assert len(process.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in process.stderr


def test_the_texts_null_and_na_are_texts(site: Site, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha"])
    for split in ("train", "validation", "test"):
        (tasks / "alpha" / f"{split}.jsonl").unlink()
        rows = "".join(f"{text},{['no', 'yes'][i % 2]}\n" for i, text in enumerate(TEXTS[split]))
        (tasks / "alpha" / f"{split}.csv").write_text("text,label\n" + rows)
    process = site.groupbench(
        *("run", "--tasks-dir", tasks, "--task", "alpha", "--runner", "majority", "--json"),
        *("--grouping", "single", "--store", tmp_path / "store"),
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["entries"][0]["scores"]["alpha"]["n_test"] == 4


TEXTS = {
    "train": ["null", "NA", "None", "nan"],
    "validation": ["null", "NA", "N/A", "NULL"],
    "test": ["null", "NA", "None", "n/a"],
}
