"""The content-addressed, crash-safe home of fits, measurements, decisions and entries.

A record is a folder ``<kind>/<key[:2]>/<key>`` whose ``record.json`` lists every other file with
its size and SHA-256. It is written aside, synced, and renamed to its place: what is visible is
complete, the first writer wins, and folders of two stores merge by copying. There is no database.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from groupbench.errors import StoreError
from groupbench.store.draft import Draft
from groupbench.store.files import (
    RECORD,
    DamagedError,
    StoredFile,
    read_document,
    to_disk,
    write_document,
)
from groupbench.store.layout import (
    KEY,
    KINDS,
    LOCKS,
    QUARANTINE,
    SCHEMA_FILE,
    VERSION,
    check_schema,
    check_version,
    unwritable,
)
from groupbench.store.lock import KeyLock
from groupbench.store.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KINDS", "Draft", "KeyLock", "Record", "Store", "StoredFile"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Store:
    """Records by kind and key. Any number of processes may use one at once."""

    root: Path
    writable: bool
    _verified: set[tuple[str, int, int, int]] = field(default_factory=set, repr=False)
    _warned: set[tuple[str, str]] = field(default_factory=set, repr=False)

    @classmethod
    def open(cls, location: str | Path, *, create: bool = True) -> Store:
        """Open the store in a folder.

        Args:
            location: the folder.
            create: make it if it is not there, and see to it that it can be written. Without, a
                store that cannot be written is served for reading.

        Raises:
            StoreError: it cannot be written (``create``), is missing (without ``create``), is not
                a folder, or belongs to a newer groupbench.
        """
        if "://" in str(location):
            raise StoreError(f"store {location}: only folders of this machine can be stores here.")
        root = Path(location).expanduser()
        if not create:
            if not root.is_dir():
                what = "is not a folder" if root.exists() else "does not exist"
                raise StoreError(f"store {root} {what}: name another with --store.")
            check_schema(root)
            return cls(root, os.access(root, os.W_OK | os.X_OK))
        try:
            root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise StoreError(f"store {root} is a file or lies below one: name a folder.") from None
        except OSError as problem:
            raise unwritable(root, problem) from None
        check_schema(root)
        try:
            # The probe is what becomes the schema file: it must be written through to the disk.
            probe = root / f".{SCHEMA_FILE}-{uuid.uuid4().hex}"
            try:
                probe.write_text(f'{{"schema": "groupbench/store/{VERSION}"}}\n', encoding="ascii")
                to_disk(probe)
                if not (root / SCHEMA_FILE).exists():
                    probe.rename(root / SCHEMA_FILE)
                    to_disk(root)
            finally:
                probe.unlink(missing_ok=True)
        except OSError as problem:
            raise unwritable(root, problem) from None
        return cls(root, writable=True)

    def get(self, kind: str, key: str) -> Record | None:
        """Return a record if it is there and complete.

        Sizes are looked at here, contents in `Record.path`. A damaged record is never served: it
        is warned of once, counts as absent, and whoever writes it anew sets it aside.

        Raises:
            StoreError: a newer groupbench wrote it, or it cannot be read.
        """
        try:
            return self.read(kind, key)
        except FileNotFoundError:
            return None
        except DamagedError as damage:
            if (kind, key) not in self._warned:
                self._warned.add((kind, key))
                where = self.folder(kind, key)
                _log.warning("%s is damaged and not used: %s.", where, damage)
            return None
        except OSError as problem:
            where = self.folder(kind, key)
            raise StoreError(f"{where} cannot be read: {problem.strerror}.") from None

    def read(self, kind: str, key: str) -> Record:
        """Return a record, or say what is wrong with it.

        Raises:
            FileNotFoundError: there is none.
            DamagedError: it is not complete.
            StoreError: a newer groupbench wrote it.
        """
        folder = self.folder(kind, key)
        path = f"{folder}/{RECORD}"
        try:
            document = read_document(path)
        except NotADirectoryError:
            raise DamagedError("it is not a folder") from None
        check_version(path, document.get("schema"), "record")
        if (document["kind"], document["key"]) != (kind, key):
            raise DamagedError(f"it is the record of {document['kind']} {document['key']}")
        files = {name: StoredFile(**facts) for name, facts in document["files"].items()}
        for name, facts in files.items():
            try:
                size = os.stat(f"{folder}/{name}").st_size  # noqa: PTH116 - thousands in a scan
            except (FileNotFoundError, NotADirectoryError):
                if not (folder / RECORD).exists():
                    raise FileNotFoundError(folder) from None  # it was taken away meanwhile
                raise DamagedError(f"{name} is missing") from None
            if size != facts.size:
                raise DamagedError(f"{name} has {size} bytes instead of {facts.size}")
        return Record(
            kind,
            key,
            folder,
            MappingProxyType(document["meta"]),
            MappingProxyType(files),
            self._verified,
        )

    def draft(self, kind: str, key: str) -> Draft:
        """Return a new folder to write a record into. A context manager.

        Raises:
            StoreError: the store cannot be written.
        """
        return Draft(self, kind, key)

    def lock(self, kind: str, key: str) -> KeyLock:
        """Return the lock of a record, to compute it once on this machine. It is not yet taken."""
        self.folder(kind, key)
        return KeyLock(self.root / LOCKS / f"{kind}-{key}.lock")

    def records(self, kind: str) -> Iterator[Record]:
        """Yield all complete records of a kind, by key."""
        return self._scan(kind, "")

    def find(self, kind: str, prefix: str) -> list[Record]:
        """Return the complete records whose key begins with ``prefix``, by key."""
        return list(self._scan(kind, prefix))

    def folder(self, kind: str, key: str) -> Path:
        """Return where a record is, or would be."""
        if kind not in KINDS:
            raise ValueError(f"no kind of record is named {kind!r}; known: {', '.join(KINDS)}")
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a key: 8 to 64 hexadecimal digits, lower case")
        return Path(f"{self.root}/{kind}/{key[:2]}/{key}")

    def keys(self, kind: str, prefix: str = "") -> Iterator[str]:
        """Yield the keys of everything at a record's place, complete or not, sorted."""
        home = self.root / kind
        for shard in sorted(_names(home)):
            if shard.startswith(prefix[:2]):
                for key in sorted(_names(home / shard)):
                    if KEY.fullmatch(key) and key[:2] == shard and key.startswith(prefix):
                        yield key

    def maintenance(self) -> KeyLock:
        """Return the lock under which records are moved out of their place."""
        return KeyLock(self.root / LOCKS / "maintenance.lock")

    def set_aside(self, kind: str, key: str, reason: str) -> Path:
        """Move what is at a record's place to the quarantine; return where it went.

        Hold `maintenance` and look again before.
        """
        home = self.root / QUARANTINE
        home.mkdir(exist_ok=True)
        aside = home / f"{kind}-{key}-{uuid.uuid4().hex[:8]}"
        self.folder(kind, key).rename(aside)
        note = {"kind": kind, "key": key, "reason": reason}
        write_document(aside.with_name(f"{aside.name}.json"), note)
        return aside

    def _scan(self, kind: str, prefix: str) -> Iterator[Record]:
        for key in self.keys(kind, prefix):
            record = self.get(kind, key)
            if record is not None:
                yield record


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all a scan needs
    except (FileNotFoundError, NotADirectoryError):
        return []
