"""Collecting what nothing needs: orphaned drafts, locks of the dead, and what the user lets go."""

from __future__ import annotations

import shutil
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.errors import StoreError
from groupbench.store.check import drafts
from groupbench.store.files import tree_bytes
from groupbench.store.layout import KINDS, LOCKS, QUARANTINE, TEMPORARY
from groupbench.store.lock import KeyLock, is_held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.store import Store

DAY_SECONDS = 86400.0


@dataclass(frozen=True)
class GcReport:
    """What was collected, and what remains."""

    store: str
    dry_run: bool
    """Nothing was removed: the counts say what would be."""
    orphans: int
    living: int
    """Drafts that were left alone: of a living process, or too young."""
    locks: int
    weights: int
    quarantined: int
    freed_bytes: int
    remaining: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Records and bytes, by kind and for the quarantine."""

    def to_json(self) -> dict[str, Json]:
        """Return the document of ``store gc --json``."""
        return {
            "schema": "groupbench/store-gc/1",
            "store": self.store,
            "dry_run": self.dry_run,
            "removed": {
                "orphans": self.orphans,
                "locks": self.locks,
                "weights": self.weights,
                "quarantined": self.quarantined,
                "bytes": self.freed_bytes,
            },
            "living_drafts": self.living,
            "remaining": {
                kind: {"records": records, "bytes": size}
                for kind, (records, size) in self.remaining.items()
            },
        }


def collect(
    store: Store,
    *,
    older_than_seconds: float = DAY_SECONDS,
    weights: bool = False,
    quarantined: bool = False,
    dry_run: bool = False,
) -> GcReport:
    """Remove what nothing needs, and report what remains.

    A draft is an orphan if no living process of this machine holds it and nothing in it was
    touched for ``older_than_seconds``; the age speaks for writers on other machines.

    Args:
        store: what to clean.
        older_than_seconds: youngest age of an orphan.
        weights: remove kept weights as well; probes, serving and export train them again.
        quarantined: remove what checks set aside as well.
        dry_run: only say what would be removed.

    Raises:
        StoreError: the store cannot be written.
    """
    if not store.writable and not dry_run:
        raise StoreError(f"store {store.root} cannot be written: only --dry-run works on it.")
    oldest = time.time() - older_than_seconds
    found = list(drafts(store))
    orphans = [folder for folder in found if _is_orphan(folder, oldest)]
    kept = [record.folder for record in store.records("weights")] if weights else []
    aside = sorted((store.root / QUARANTINE).glob("*")) if quarantined else []
    n_aside = sum(1 for path in aside if path.is_dir())
    freed = sum(map(_bytes, (*orphans, *kept, *aside)))
    if not dry_run:
        for path in (*orphans, *kept, *aside):
            _remove(path)
    return GcReport(
        store=str(store.root),
        dry_run=dry_run,
        orphans=len(orphans),
        living=len(found) - len(orphans),
        locks=_collect_locks(store, dry_run=dry_run),
        weights=len(kept),
        quarantined=n_aside,
        freed_bytes=freed,
        remaining=dict(_remaining(store)),
    )


def _is_orphan(folder: Path, oldest: float) -> bool:
    try:
        return not is_held(folder) and _touched(folder) < oldest
    except FileNotFoundError:
        return False  # committed or discarded meanwhile


def _touched(folder: Path) -> float:
    """Return when anything in a folder was last touched, in seconds since the epoch."""
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _remove(path: Path) -> None:
    """Remove a file, or a folder in one step for whoever reads it."""
    if path.is_file():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        path.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


def _collect_locks(store: Store, *, dry_run: bool) -> int:
    """Remove the lock files of processes that died; return how many."""
    n_collected = 0
    for path in sorted((store.root / LOCKS).glob("*.lock")):
        try:
            if is_held(path):
                continue
        except FileNotFoundError:
            continue
        if not dry_run:
            lock = KeyLock(path)
            if not lock.acquire(blocking=False):
                continue
            lock.release()
        n_collected += 1
    return n_collected


def _remaining(store: Store) -> Iterator[tuple[str, tuple[int, int]]]:
    for kind in KINDS:
        folders = [store.folder(kind, key) for key in store.keys(kind)]
        if folders:
            yield kind, (len(folders), sum(map(tree_bytes, folders)))
    aside = [path for path in (store.root / QUARANTINE).glob("*") if path.is_dir()]
    if aside:
        yield QUARANTINE, (len(aside), sum(map(tree_bytes, aside)))


def _bytes(path: Path) -> int:
    return tree_bytes(path) if path.is_dir() else path.stat().st_size
