from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from sites import write_tasks

from groupbench.cli import main

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("sklearn")


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr of ``groupbench pvi``."""
    with pytest.raises(SystemExit) as end:
        main(["pvi", *map(str, arguments)], prog_name="groupbench")
    out, err = capfd.readouterr()
    return int(end.value.code or 0), out, err


def test_bits_of_each_task_are_printed_and_those_of_each_example_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = write_tasks(tmp_path / "tasks", ["one", "two"], n=40)
    options = ["--tasks-dir", tasks, "--task", "one", "--task", "two", "--runner", "tfidf"]
    options += ["--seed", 1, "--store", tmp_path / "store"]
    code, out, _ = run(capfd, *options, "--json", "--examples", tmp_path / "rows.parquet")
    document = json.loads(out)
    assert code == 0
    assert document["schema"] == "groupbench/pvi/1"
    assert [row["task"] for row in document["tasks"]] == ["one", "two"]
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert len(rows) == sum(row["n"] for row in document["tasks"]) == 40
    code, out, err = run(capfd, *options)
    assert code == 0
    assert "V-information on dev-b" in out
    assert "fits to compute" not in err  # the second time, all is in the store


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--cross-fit", 1], "cross_fit = 1 leaves nothing to train on"),
        (["--runner", "tfidff"], "Did you mean 'tfidf'"),
        (["--examples", "."], "cannot be written"),
        (["--null", "guessed"], "closed-form"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_computed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], wrong: list[object], message: str
) -> None:
    tasks = write_tasks(tmp_path / "tasks", ["one"])
    store = tmp_path / "store"
    options = ["--tasks-dir", tasks, "--task", "one", "--store", store, "--runner", "tfidf"]
    code, out, err = run(capfd, *options, *wrong)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not list(store.rglob("*.parquet"))
