from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pvi_bench import Bench, noisy_task
from rich.console import Console

from groupbench.errors import StoreError
from groupbench.suite import Suite
from groupbench.task import Kind
from groupbench_pvi.measurement import measure
from groupbench_pvi.strategy import Pvi
from groupbench_pvi.table import check_writable, pvi_document, render, write_examples

if TYPE_CHECKING:
    from pathlib import Path

NOISE = {"multi": 0.1, "pair": 0.02, "single": 0.2, "token": 0.1}


def bench() -> Bench:
    tasks = [
        noisy_task(name, noise=noise, kind=Kind(name.replace("multi", "multilabel")), n=60)
        for name, noise in NOISE.items()
    ]
    return Bench(Suite("kinds", tuple(tasks)), NOISE, seeds=(3, 5))


def test_the_document_has_what_scripts_rely_on() -> None:
    workbench = bench()
    document = pvi_document(workbench.suite, workbench, Pvi())
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["schema"] == "groupbench/pvi/1"
    assert (document["runner"], document["split"], document["seeds"]) == ("fake", "dev-b", [3, 5])
    assert [row["task"] for row in document["tasks"]] == list(NOISE)
    wanted = {
        "task", "kind", "n", "v_entropy_bits", "conditional_v_entropy_bits", "v_information_bits",
        "normalised", "std_error_bits",
    }  # fmt: skip
    for row in document["tasks"]:
        assert wanted <= row.keys()
        difference = row["v_entropy_bits"] - row["conditional_v_entropy_bits"]
        assert row["v_information_bits"] == pytest.approx(difference)
        assert ("sum_bits" in row) == (row["kind"] == "multilabel")
    multi = document["tasks"][0]
    assert multi["sum_bits"] == pytest.approx(2 * multi["v_information_bits"])


def test_the_rows_of_examples_average_to_the_document(tmp_path: Path) -> None:
    workbench = bench()
    settings = Pvi()
    information = measure(workbench.suite, workbench, settings.measuring())
    path = tmp_path / "deep" / "rows.parquet"
    check_writable(path)
    n_rows = write_examples(path, information)
    rows = pq.read_table(path).to_pylist()
    assert n_rows == len(rows) == 4 * 2 * 60
    assert list(rows[0]) == [
        "task", "split", "seed", "example", "label", "h_0", "h_x", "pvi", "predicted", "correct",
    ]  # fmt: skip
    for task in pvi_document(workbench.suite, workbench, settings)["tasks"]:
        own = [row for row in rows if row["task"] == task["task"]]
        assert {row["seed"] for row in own} == {3, 5}
        assert np.mean([row["pvi"] for row in own]) == pytest.approx(task["v_information_bits"])
        assert all(row["pvi"] == row["h_0"] - row["h_x"] for row in own)
        assert all(row["correct"] == (row["label"] == row["predicted"]) for row in own)
    single = next(row for row in rows if row["task"] == "single")
    assert single["label"] in ("l0", "l1")
    assert all(isinstance(json.loads(row["label"]), list) for row in rows if row["task"] == "multi")
    assert list(tmp_path.rglob("*.part")) == []


def test_words_are_rows_where_they_are_units(tmp_path: Path) -> None:
    workbench = bench()
    settings = Pvi(aggregate="token")
    information = measure(workbench.suite, workbench, settings.measuring())
    write_examples(tmp_path / "rows.parquet", information)
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert sum(row["task"] == "token" for row in rows) == 2 * 60 * 3


def test_an_answer_that_could_not_be_read_is_no_label(tmp_path: Path) -> None:
    workbench = bench()
    information = measure(workbench.suite, workbench, Pvi().measuring())
    silent = []
    for item in information:
        part = item.parts[0]
        predictions = part.predictions
        unread = replace(predictions, predicted=np.full_like(predictions.predicted, -1))
        silent.append(replace(item, parts=(replace(part, predictions=unread),)))
    write_examples(tmp_path / "rows.parquet", silent)
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert not any(row["correct"] for row in rows)
    assert {row["predicted"] for row in rows if row["task"] != "token"} == {None}


def test_a_file_that_cannot_be_written_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, reason in ((tmp_path, "folder"), (tmp_path / "file" / "rows.parquet", "")):
        with pytest.raises(StoreError, match=f"{path.name}.*cannot be written.*{reason}"):
            check_writable(path)


def test_the_table_fits_a_terminal() -> None:
    workbench = bench()
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(render(pvi_document(workbench.suite, workbench, Pvi())))
    lines = capture.get().splitlines()
    assert "V-information on dev-b, fake, seeds 3, 5" in lines[0]
    assert any(line.split()[:3] == ["pair", "pair", "60"] for line in lines)
    assert max(map(len, lines)) <= 80


def test_measuring_again_gives_the_same_numbers() -> None:
    documents: list[dict[str, Any]] = []
    for _ in range(2):
        workbench = bench()
        documents.append(pvi_document(workbench.suite, workbench, Pvi()))
    assert documents[0] == documents[1]
