"""The store: its eleven invariants, and what else is relied on."""

from __future__ import annotations

import logging
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.canonical import digest
from groupbench.errors import StoreError
from groupbench.store.check import check_store
from groupbench.store.gc import collect
from groupbench.store.store import KINDS, Store
from groupbench.testing.store import CHECKS, OPENER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = digest("a key")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def put(store: Store, key: str = KEY, kind: str = "fits", one: bytes = b"1", n: int = 1) -> None:
    with store.draft(kind, key) as draft:
        for name, content in [("one", one), *((f"more{i}", one) for i in range(1, n))]:
            (draft.folder / name).write_bytes(content)
        draft.commit({"key": key})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_invariant(check: Callable[[str, Path], None], tmp_path: Path) -> None:
    check(OPENER, tmp_path / "store")


def test_there_are_eleven_invariants() -> None:
    assert len({check.__name__ for check in CHECKS}) == 11


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.text()),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60)
@given(
    meta=st.dictionaries(st.text(st.characters()), JSON_VALUES, max_size=5),
    key=st.text("0123456789abcdef", min_size=8, max_size=64),
    kind=st.sampled_from(KINDS),
)
def test_meta_data_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, meta: dict[str, Any], key: str, kind: str
) -> None:
    store = Store.open(tmp_path_factory.mktemp("store"))
    with store.draft(kind, key) as draft:
        committed = draft.commit(meta)
    again = Store.open(store.root, create=False).get(kind, key)
    assert again == committed
    assert dict(committed.meta) == meta
    assert not check_store(store).damaged


@given(st.text().filter(lambda text: not set(text) <= set("0123456789abcdef") or len(text) < 8))
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        Store(root=None, writable=True).get("fits", key)  # type: ignore[arg-type] # not reached


def test_a_draft_that_is_not_committed_leaves_nothing(store: Store) -> None:
    with store.draft("fits", KEY) as draft:
        (draft.folder / "half").write_bytes(b"half")
        assert store.get("fits", KEY) is None
    assert not draft.folder.exists()
    assert store.get("fits", KEY) is None


def test_files_in_folders_are_kept(store: Store) -> None:
    with store.draft("weights", KEY) as draft:
        (draft.folder / "weights" / "deep").mkdir(parents=True)
        (draft.folder / "weights" / "deep" / "model.safetensors").write_bytes(b"w" * 100)
        record = draft.commit({})
    assert list(record.files) == ["weights/deep/model.safetensors"]
    assert record.path("weights/deep/model.safetensors").read_bytes() == b"w" * 100


def test_a_link_is_not_stored(store: Store, tmp_path: Path) -> None:
    with store.draft("fits", KEY) as draft:
        (draft.folder / "link").symlink_to(tmp_path / "secret")
        with pytest.raises(StoreError, match="link is neither a file nor a folder"):
            draft.commit({})
    assert store.get("fits", KEY) is None


def test_the_second_writer_gets_the_first_record(store: Store) -> None:
    with store.draft("fits", KEY) as first, store.draft("fits", KEY) as second:
        (first.folder / "who").write_text("first")
        (second.folder / "who").write_text("second")
        first.commit({"who": "first"})
        record = second.commit({"who": "second"})
    assert record.meta["who"] == "first"
    assert record.path("who").read_text() == "first"


def test_records_are_found_by_prefix(store: Store) -> None:
    keys = sorted(digest(n) for n in range(40))
    for key in keys:
        put(store, key)
    assert [record.key for record in store.records("fits")] == keys
    for prefix in ("", keys[0][:1], keys[0][:2], keys[7][:9], keys[7], "zz"):
        found = [record.key for record in store.find("fits", prefix)]
        assert found == [key for key in keys if key.startswith(prefix)]
    assert not list(store.records("entries"))


def test_a_file_that_changed_is_not_read(store: Store) -> None:
    put(store, one=b"right")
    record = store.get("fits", KEY)
    assert record is not None
    path = record.path("one")
    path.write_bytes(b"wrong")
    with pytest.raises(StoreError, match=r"one does not hold what was written: .*store check"):
        record.path("one")
    with pytest.raises(StoreError, match="no file 'two' in it; it holds one"):
        record.path("two")


def test_a_damaged_record_is_warned_of_once_and_written_anew(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, one=b"first")
    damaged = store.folder("fits", KEY) / "one"
    damaged.write_bytes(b"longer than it was")
    with caplog.at_level(logging.WARNING):
        assert store.get("fits", KEY) is None
        assert store.get("fits", KEY) is None
    assert [r.getMessage() for r in caplog.records] == [
        f"{damaged.parent} is damaged and not used: one has 18 bytes instead of 5."
    ]
    put(store, one=b"again")
    record = store.get("fits", KEY)
    assert record is not None
    assert record.path("one").read_bytes() == b"again"
    aside = list((store.root / "quarantine").glob("fits-*/one"))
    assert [path.read_bytes() for path in aside] == [b"longer than it was"]


def test_what_cannot_be_a_store_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "store.json").write_text("[1, 2]")
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "store.json").write_bytes(b"\xff{")
    wrong: list[tuple[Path | str, bool, str]] = [
        (tmp_path / "file", True, "is a file or lies below one"),
        (tmp_path / "file" / "below", True, "is a file or lies below one"),
        (tmp_path / "file", False, "is not a folder"),
        (tmp_path / "missing", False, "does not exist"),
        (foreign, True, "schema is None"),
        (torn, False, "cannot be read"),
        ("s3://bucket/store", True, "only folders"),
    ]
    for location, create, message in wrong:
        with pytest.raises(StoreError, match=message) as refusal:
            Store.open(location, create=create)
        assert str(location) in str(refusal.value)
        assert refusal.value.exit_code == 2
    assert not (tmp_path / "missing").exists()


def test_a_committed_leaderboard_passes_the_check(store: Store, tmp_path: Path) -> None:
    put(store, kind="entries")
    board = tmp_path / "board"
    shutil.copytree(store.root / "entries", board / "entries")
    (board / "experiment.toml").write_text('schema = "groupbench/experiment/1"\n')
    report = check_store(Store.open(board, create=False))
    assert (report.n_records, report.damaged, report.notes) == (1, (), ())
    assert sorted(path.name for path in board.iterdir()) == ["entries", "experiment.toml"]


def test_what_belongs_to_no_record_is_noted_and_left(store: Store) -> None:
    put(store)
    stray = store.folder("fits", KEY) / "notes.txt"
    stray.write_text("mine")
    (store.root / "fits" / "README").write_text("mine")
    report = check_store(store)
    assert not report.damaged
    assert len(report.notes) == 2
    assert stray.exists()


def test_a_folder_without_a_record_is_set_aside(store: Store) -> None:
    half = store.folder("fits", KEY)
    half.mkdir(parents=True)
    (half / "one").write_bytes(b"1")
    (damage,) = check_store(store).damaged
    assert damage.reason == "there is no record.json"
    assert damage.moved_to is not None
    assert (damage.moved_to / "one").read_bytes() == b"1"


def test_weights_go_when_asked_and_fits_stay(store: Store) -> None:
    put(store)
    put(store, kind="weights", one=b"w" * 5000)
    dry = collect(store, weights=True, dry_run=True)
    assert dry.weights == 1
    assert store.get("weights", KEY) is not None
    report = collect(store, weights=True)
    assert report.freed_bytes == dry.freed_bytes > 5000
    assert store.get("weights", KEY) is None
    assert store.get("fits", KEY) is not None
    assert list(report.remaining) == ["fits"]


def test_scanning_300_records_takes_a_fraction_of_a_second(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # writing is not what is measured
    for n in range(300):
        put(store, digest(n), one=b"x" * 100, n=6)
    fresh = Store.open(store.root, create=False)
    began = time.process_time()
    for record in fresh.records("fits"):
        for name in record.files:
            record.path(name)
    assert time.process_time() - began < 0.5  # about 0.1 on one idle core
