"""Checking a store: every byte of every record against what was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.errors import StoreError
from groupbench.store.files import RECORD, DamagedError, regular_files, sha256_of
from groupbench.store.layout import KINDS, TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.store import Store


@dataclass(frozen=True, slots=True)
class Damage:
    """A record that does not hold what was written."""

    kind: str
    key: str
    reason: str
    moved_to: Path | None
    """In the quarantine; ``None`` where the store cannot be written."""


@dataclass(frozen=True)
class CheckReport:
    """What a check found."""

    store: str
    n_records: int = 0
    """That are whole."""
    n_files: int = 0
    n_bytes: int = 0
    n_drafts: int = 0
    """Records being written, or left by a process that was killed."""
    damaged: tuple[Damage, ...] = ()
    notes: tuple[str, ...] = ()
    """What is odd but harms nothing: files that no record lists, records of a newer groupbench."""

    def to_json(self) -> dict[str, Json]:
        """Return the document of ``store check --json``."""
        return {
            "schema": "groupbench/store-check/1",
            "store": self.store,
            "records": self.n_records,
            "files": self.n_files,
            "bytes": self.n_bytes,
            "drafts": self.n_drafts,
            "damaged": [
                {
                    "kind": damage.kind,
                    "key": damage.key,
                    "reason": damage.reason,
                    "moved_to": None if damage.moved_to is None else str(damage.moved_to),
                }
                for damage in self.damaged
            ],
            "notes": list(self.notes),
        }


@dataclass
class _Tally:
    records: int = 0
    files: int = 0
    size: int = 0
    damaged: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_store(store: Store) -> CheckReport:
    """Read every record of a store; move damaged ones to its quarantine, deleting nothing."""
    tally = _Tally()
    for kind in KINDS:
        for key in store.keys(kind):
            _check_record(store, kind, key, tally)
        tally.notes += _strangers(store, kind)
    return CheckReport(
        store=str(store.root),
        n_records=tally.records,
        n_files=tally.files,
        n_bytes=tally.size,
        n_drafts=sum(1 for _ in drafts(store)),
        damaged=tuple(tally.damaged),
        notes=tuple(tally.notes),
    )


def drafts(store: Store) -> Iterator[Path]:
    """Yield the folders of drafts, living and orphaned."""
    for kind in KINDS:
        yield from sorted((store.root / kind).glob(f"*/{TEMPORARY}*"))


def _check_record(store: Store, kind: str, key: str, tally: _Tally) -> None:
    try:
        problem = _problem(store, kind, key, tally)
        if problem is None:
            return
        moved_to = None
        if store.writable:
            with store.maintenance():
                # Meanwhile another process may have put a whole record there.
                problem = _problem(store, kind, key, tally)
                if problem is None:
                    return
                moved_to = store.set_aside(kind, key, problem)
    except FileNotFoundError:
        return  # taken away meanwhile
    except StoreError as newer:
        tally.notes.append(str(newer))
        return
    except OSError as failure:
        raise StoreError(f"{failure.filename}: {failure.strerror}.") from None
    tally.damaged.append(Damage(kind, key, problem, moved_to))


def _problem(store: Store, kind: str, key: str, tally: _Tally) -> str | None:
    """Return what is wrong with a record, or count it as whole."""
    folder = store.folder(kind, key)
    try:
        record = store.read(kind, key)
    except FileNotFoundError:
        if not folder.exists():
            raise
        return f"there is no {RECORD}"
    except DamagedError as damage:
        return str(damage)
    for name, facts in record.files.items():
        if sha256_of(folder / name) != facts.sha256:
            return f"the content of {name} is not what was written"
    tally.records += 1
    tally.files += len(record.files)
    tally.size += sum(facts.size for facts in record.files.values())
    for name in regular_files(folder):
        if name not in record.files:
            tally.notes.append(f"{folder / name} belongs to no record")
    return None


def _strangers(store: Store, kind: str) -> list[str]:
    """Return notes about what is where a record would be and is not named like one."""
    notes: list[str] = []
    for shard in sorted((store.root / kind).glob("*")):
        inside = sorted(shard.glob("*")) if shard.is_dir() else [shard]
        known = {store.folder(kind, key) for key in store.keys(kind, shard.name[:2])}
        notes += [
            f"{path} belongs to no record"
            for path in inside
            if path not in known and not path.name.startswith(".")
        ]
    return notes
