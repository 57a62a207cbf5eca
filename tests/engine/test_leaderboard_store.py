from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from groupbench.cell import Spent, Status
from groupbench.errors import StoreError
from groupbench.leaderboard import Leaderboard
from groupbench.leaderboard.boards import Board, read_board
from groupbench.leaderboard.committed import update
from groupbench.leaderboard.entry_store import publish, read_entry, write_entry
from groupbench.leaderboard.facts import SuiteFacts
from groupbench.predictions import Outcome
from groupbench.store import Store
from groupbench.task import DataClass, Kind
from groupbench.testing.leaderboards import Desk, ShareRight, answer, make_task

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.cell import Entry
    from groupbench.metrics import Metric


def closed_desk() -> Desk:
    return Desk(
        tasks=(
            make_task("acceptable", n_test=80),
            make_task("my-notes", n_test=80, data_class=DataClass.PRIVATE),
        )
    )


def some_entries(desk: Desk) -> list[Entry]:
    told = {t.name: answer(t, 0.9, seed=3, outcomes={Outcome.INVALID: 7}) for t in desk.tasks}
    llm = desk.entry(None, runner="llm", seeds=[0])
    all_ = desk.entry(
        "all",
        0.85,
        blocks=[[task.name for task in desk.tasks]],
        deciding=Spent(4, 2.5, 100, 0.25),
        warnings=["two tasks are undecided"],
    )
    lost = replace(all_.cells[2], status=Status.FAILED, reason="killed", predictions={})
    return [
        desk.entry("single", 0.7),
        replace(all_, status=Status.PARTIAL, cells=(*all_.cells[:2], lost), reason="killed"),
        desk.entry("random", 0.75, draws=2),
        replace(llm, cells=(desk.cell(told, grouping=None, runner="llm", left_out={"a": 1}),)),
        desk.ended("tag", Status.FAILED, "it ran out of memory"),
    ]


def test_stored_entries_give_the_same_leaderboard_without_the_tasks(tmp_path: Path) -> None:
    desk = Desk()
    store = Store.open(tmp_path)
    for entry in some_entries(desk):
        write_entry(store, desk.facts, entry)
    stored = [read_entry(record) for record in store.records("entries")]
    suite = SuiteFacts.agreed([each.suite for each in stored])
    board = Leaderboard.of(
        suite,
        [each.entry for each in stored],
        metrics={task.name: ShareRight() for task in suite.tasks},
    )
    assert board.to_json() == desk.board(some_entries(desk)).to_json()


def test_an_entry_is_written_once(tmp_path: Path) -> None:
    desk, store = Desk(), Store.open(tmp_path)
    entry = desk.entry("single")
    first = write_entry(store, desk.facts, entry)
    written = (first.folder / "record.json").stat().st_mtime_ns
    again = write_entry(store, desk.facts, replace(entry, warnings=("other",)))
    assert (again.folder / "record.json").stat().st_mtime_ns == written


def test_what_is_stored_holds_neither_probabilities_nor_text(tmp_path: Path) -> None:
    desk, store = Desk(), Store.open(tmp_path)
    entry = desk.entry("single")
    cell = entry.cells[0]
    told = {
        name: replace(p, raw=("SECRET",) * len(p), log_probs=None)
        for name, p in cell.predictions.items()
    }
    told["acceptable"] = replace(told["acceptable"], log_probs=np.zeros((100, 2), np.float32))
    record = write_entry(
        store, desk.facts, replace(entry, cells=(replace(cell, predictions=told),))
    )
    for name in desk.facts.names:
        columns = pq.read_schema(record.path(f"{name}.parquet")).names
        assert columns == [
            *("seed", "draw", "id", "gold", "predicted", "outcome", "input_cut", "cluster")
        ]
        assert b"SECRET" not in record.path(f"{name}.parquet").read_bytes()


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    desk, store = Desk(), Store.open(tmp_path)
    record = write_entry(store, desk.facts, desk.entry("single"))
    with pytest.raises(StoreError, match=r"damaged entry: KeyError: 'cells'"):
        read_entry(replace(record, meta={k: v for k, v in record.meta.items() if k != "cells"}))
    with pytest.raises(StoreError, match="A newer groupbench may have written it"):
        read_entry(replace(record, meta={**record.meta, "schema": "groupbench/entry/9"}))


def test_tasks_that_are_not_open_are_published_as_scores_only(tmp_path: Path) -> None:
    desk = closed_desk()
    entry = desk.entry("single", 0.8, warnings=["cannot tokenise 'Mrs Miller'"])
    lost = replace(entry.cells[2], status=Status.FAILED, reason="at 'Mrs Miller'", predictions={})
    entry = replace(entry, status=Status.PARTIAL, cells=(*entry.cells[:2], lost))
    record = publish(Store.open(tmp_path), desk.facts, entry, desk.metrics)
    names = sorted(path.name for path in record.folder.iterdir())
    assert names == ["acceptable.parquet", "record.json"]
    assert "Miller" not in (record.folder / "record.json").read_text(encoding="utf-8")
    judged = read_entry(record).judged[0, 0]
    assert list(judged) == ["my-notes"]
    expected = ShareRight().score(entry.cells[0].predictions["my-notes"], desk.tasks[1])
    assert judged["my-notes"].score == pytest.approx(expected)


def test_published_scores_rank_as_predictions_do_with_weaker_tests(tmp_path: Path) -> None:
    desk = closed_desk()
    entries = [desk.entry("single", 0.6), desk.entry("all", 0.9), desk.entry("pvi", 0.88)]
    store = Store.open(tmp_path)
    stored = [read_entry(publish(store, desk.facts, e, desk.metrics)) for e in entries]
    published = Leaderboard.of(
        desk.facts,
        [each.entry for each in stored],
        metrics=desk.metrics,
        published={each.entry.key: each.judged for each in stored},
    )
    direct = desk.board(entries)
    for mine, theirs in zip(direct.rows, published.rows, strict=True):
        assert mine.entry.grouping == theirs.entry.grouping
        assert mine.rank == theirs.rank
        assert mine.average == pytest.approx(theirs.average)
        # Which seeds err on the same examples is not known; the worst is assumed.
        (low, high), (lower, higher) = mine.scores["my-notes"].ci, theirs.scores["my-notes"].ci
        assert lower - 0.005 < low < high < higher + 0.005
        assert higher - lower < 2 * (high - low)
    assert [row.tier for row in published.rows] == [1, 1, 2]


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    desk = closed_desk()
    entry = desk.entry("single")
    store = Store.open(tmp_path)
    folder = publish(store, desk.facts, entry, desk.metrics).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = publish(store, desk.facts, replace(entry, runner="x"), desk.metrics)
    assert again.folder == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    desk = closed_desk()
    store = Store.open(tmp_path)
    with pytest.raises((OSError, StoreError), match="No space left on device"):
        publish(store, desk.facts, desk.entry("single"), desk.metrics)
    assert list(store.records("entries")) == []
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_published_task_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    desk = closed_desk()
    record = publish(Store.open(tmp_path), desk.facts, desk.entry("single"), desk.metrics)
    text = json.dumps(dict(record.meta)).replace('"name": "acceptable"', '"name": "../other"')
    with pytest.raises(StoreError, match=r"'\.\./other' is not the name of a task"):
        read_entry(replace(record, meta=json.loads(text)))


def test_a_published_folder_is_shown_as_one_leaderboard(tmp_path: Path) -> None:
    desk = closed_desk()
    store = Store.open(tmp_path)
    for entry in (desk.entry("single", 0.6), desk.entry("all", 0.9)):
        publish(store, desk.facts, entry, desk.metrics)
    board = read_board(store)
    assert board.suite == desk.facts
    assert {entry.grouping for entry in board.entries} == {"single", "all"}
    assert all("my-notes" in cells[0, 0] for cells in board.published.values())


def test_suites_that_disagree_are_refused() -> None:
    one = Desk(tasks=(make_task("acceptable"),)).facts
    other = Desk(tasks=(make_task("acceptable", n_test=50),)).facts
    foreign = Desk(tasks=(make_task("entails", kind=Kind.PAIR),)).facts
    assert SuiteFacts.agreed([one, one]) == one
    with pytest.raises(StoreError, match="different versions of task acceptable"):
        SuiteFacts.agreed([one, other])
    with pytest.raises(StoreError, match="mixes suites"):
        SuiteFacts.agreed([one, foreign])
    with pytest.raises(StoreError, match="holds no entries"):
        SuiteFacts.agreed([], where="leaderboards/x")


def test_a_result_made_anew_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    desk, folder = Desk(), tmp_path / "board"
    folder.mkdir()
    (folder / "experiment.toml").write_text('suite = "calibration"\n')
    old, new = desk.entry("single", 0.7), desk.entry("single", 0.8)
    new = replace(new, key="f" * len(new.key))
    for entry, added, superseded in ((old, 1, 0), (new, 1, 1)):
        store = Store.open(folder)
        done = update(folder, store, Board(desk.facts, (entry,), "single", {}), metric)
        assert (len(done.added), len(done.superseded)) == (added, superseded)
        assert [record.key for record in store.records("entries")] == [entry.key]


def test_unfinished_entries_are_not_published(tmp_path: Path) -> None:
    desk = Desk()
    (tmp_path / "experiment.toml").write_text('suite = "calibration"\n')
    entries = tuple(some_entries(desk))
    done = update(tmp_path, Store.open(tmp_path), Board(desk.facts, entries, "single", {}), metric)
    assert set(done.left_out) == {"all/encoder", "tag/encoder"}
    assert len(done.added) == len(entries) - 2


def metric(_name: str) -> Metric:
    return ShareRight()
