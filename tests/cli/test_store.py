"""``groupbench store``: what it prints and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from groupbench.canonical import digest
from groupbench.cli.store import store as command
from groupbench.errors import StoreError
from groupbench.store import Store

if TYPE_CHECKING:
    from pathlib import Path

KEY = digest("a key")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "store")
    for n in range(2):
        with store.draft("fits", digest(n)) as draft:
            (draft.folder / "one").write_bytes(b"x" * 1000)
            draft.commit({})
    return store


def test_a_sound_store_is_said_to_be_sound(store: Store) -> None:
    done = CliRunner().invoke(command, ["check", str(store.root)])
    assert done.exit_code == 0
    assert done.stdout == f"{store.root}: 2 records with 2 files, 2.0 kB, all as written.\n"
    assert done.stderr == ""


def test_damage_ends_with_4_once(store: Store) -> None:
    (store.folder("fits", digest(0)) / "one").write_bytes(b"y" * 1000)
    done = CliRunner().invoke(command, ["check", "--store", str(store.root), "--json"])
    assert done.exit_code == 4
    report = json.loads(done.stdout)
    assert report["schema"] == "groupbench/store-check/1"
    assert report["records"] == 1
    (damage,) = report["damaged"]
    assert (damage["kind"], damage["key"]) == ("fits", digest(0))
    assert damage["reason"] == "the content of one is not what was written"
    again = CliRunner().invoke(command, ["check", str(store.root)])
    assert again.exit_code == 0


def test_gc_shows_what_remains(store: Store) -> None:
    (store.folder("fits", digest(0)) / "one").unlink()
    CliRunner().invoke(command, ["check", str(store.root)])
    done = CliRunner().invoke(command, ["gc", str(store.root)])
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{store.root}: removed 0 orphaned drafts, 0 stale locks: 0 B.\n")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["fits", "1"],
        ["quarantine", "1"],
    ]
    cleaned = CliRunner().invoke(command, ["gc", str(store.root), "--quarantined", "--json"])
    report = json.loads(cleaned.stdout)
    assert report["removed"]["quarantined"] == 1
    assert list(report["remaining"]) == ["fits"]


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for verb in ("check", "gc"):
        done = CliRunner().invoke(command, [verb, str(tmp_path / "none")])
        assert isinstance(done.exception, StoreError)
        assert "does not exist" in str(done.exception)
    assert not (tmp_path / "none").exists()
