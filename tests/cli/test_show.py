"""`groupbench tasks show`: the card, the data and the planted truth of one task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site

SUITE = """
from dataclasses import dataclass
from typing import ClassVar
from groupbench import Example, Kind, Planted, Split, Suite, Task, hookimpl

@dataclass(frozen=True)
class Load:
    n: int

    def __call__(self):
        return {split: tuple(Example(f"{split}-{i}", "text", i % 2) for i in range(self.n))
                for split in Split}

@dataclass(frozen=True)
class Made:
    name: ClassVar[str] = "made"
    summary: ClassVar[str] = "a suite of a test"
    n: int = 4

    def build(self):
        def task(name, planted):
            return Task(name, Kind.SINGLE, ("a", "b"), ("accuracy",), Load(self.n), planted=planted)
        return Suite("made", (task("known", Planted(0.25, "easy", "fruit")),
                              task("partly", Planted(None, None, "fruit")),
                              task("unknown", None)))

@hookimpl
def groupbench_register_suites():
    return [Made]
"""


@pytest.fixture
def made(site: Site) -> Site:
    site.install("gb-made", module="gb_made", source=SUITE)
    return site


def test_the_planted_truth_is_shown_and_what_is_not_planted_is_null(made: Site) -> None:
    known = json.loads(made.groupbench("tasks", "show", "known", "--json").stdout)
    assert known["kind"] == "single"
    assert known["planted"] == {
        "v_information_bits": 0.25,
        "difficulty_class": "easy",
        "family": "fruit",
    }
    partly = json.loads(made.groupbench("tasks", "show", "partly", "--json").stdout)
    assert partly["planted"] == {
        "v_information_bits": None,
        "difficulty_class": None,
        "family": "fruit",
    }
    unknown = json.loads(made.groupbench("tasks", "show", "unknown", "--json").stdout)
    assert unknown["planted"] is None
    text = made.groupbench("tasks", "show", "known").stdout
    assert "0.250 bits" in text
    assert "easy" in text


def test_a_task_is_shown_with_its_splits_labels_and_fingerprint(
    site: Site, tasks_dir: Path
) -> None:
    process = site.groupbench("tasks", "show", "alpha", "--tasks-dir", tasks_dir, "--json")
    document = json.loads(process.stdout)
    assert document["schema"] == "groupbench/task-facts/1"
    assert document["splits"] == {"train": 24, "dev-a": 12, "dev-b": 12, "test": 24}
    assert document["label_counts"]["train"] == {"no": 12, "yes": 12}
    assert document["metrics"] == [document["primary_metric"]] == ["accuracy"]
    assert document["source"].endswith("card.toml")
    assert len(document["fingerprint"]) == 40
    table = site.groupbench("tasks", "show", "alpha", "--tasks-dir", tasks_dir).stdout
    assert document["fingerprint"] in table
    assert "24 train, 12 dev-a, 12 dev-b, 24 test" in table


def test_a_suite_may_be_configured(made: Site) -> None:
    process = made.groupbench("tasks", "show", "known", "--suite", "made:n=6", "--json")
    assert json.loads(process.stdout)["splits"]["train"] == 6
    wrong = made.groupbench("tasks", "show", "known", "--suite", "made:m=6")
    assert wrong.returncode == 2
    assert "suite made: no setting named 'm'" in wrong.stderr


def test_an_unknown_task_and_broken_data_end_with_2_and_a_sentence(
    made: Site, tasks_dir: Path
) -> None:
    process = made.groupbench("tasks", "show", "knwon")
    assert process.returncode == 2
    assert "No task named 'knwon'. Did you mean 'known'?" in process.stderr
    (tasks_dir / "beta" / "test.jsonl").write_text('{"text": "x", "label": "maybe"}\n')
    process = made.groupbench("tasks", "show", "beta", "--tasks-dir", tasks_dir)
    assert process.returncode == 2
    assert "maybe" in process.stderr
    assert "Traceback" not in process.stderr
