"""A draft: a record being written, aside from its place until it is complete."""

from __future__ import annotations

import errno
import os
import uuid
from typing import TYPE_CHECKING, Self

from groupbench.canonical import to_json
from groupbench.errors import StoreError
from groupbench.store.files import (
    RECORD,
    folders_below,
    regular_files,
    sha256_of,
    to_disk,
    write_document,
)
from groupbench.store.layout import TEMPORARY, VERSION, unwritable
from groupbench.store.lock import hold_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from groupbench.canonical import Json
    from groupbench.store import Store
    from groupbench.store.record import Record


class Draft:
    """A record being written: a folder of its own until it is committed.

    Its folder is locked as long as its process lives, so that ``store gc`` knows an orphan.
    """

    def __init__(self, store: Store, kind: str, key: str) -> None:
        self.store, self.kind, self.key = store, kind, key
        place = store.folder(kind, key)
        self.folder = place.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir()
            self._hold = hold_folder(self.folder)
        except OSError as problem:
            raise unwritable(store.root, problem) from None

    def commit(self, meta: Mapping[str, Json]) -> Record:
        """Make the folder's files a record, durably; return it, or the one that was first.

        Raises:
            StoreError: it could not be written; nothing became visible.
        """
        document = {
            "schema": f"groupbench/record/{VERSION}",
            "kind": self.kind,
            "key": self.key,
            "meta": to_json(meta),
        }
        try:
            files = {}
            for name in regular_files(self.folder):
                path = self.folder / name
                to_disk(path)
                files[name] = {"sha256": sha256_of(path), "size": path.stat().st_size}
            write_document(self.folder / RECORD, document | {"files": files})
            to_disk(self.folder / RECORD)
            for folder in folders_below(self.folder):
                to_disk(folder)
            place = self._move()
            for folder in (place.parent, place.parent.parent, self.store.root):
                to_disk(folder)
        except OSError as problem:
            raise StoreError(
                f"store {self.store.root}: {self.kind} {self.key[:12]} could not be written: "
                f"{problem.strerror}. Mend that and run again; what was stored before is unharmed."
            ) from None
        finally:
            self.discard()
        record = self.store.get(self.kind, self.key)
        if record is None:
            raise StoreError(f"{place} was damaged or removed the moment it was written.")
        return record

    def discard(self) -> None:
        """Remove what was not committed. Safe to call twice."""
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None
        if self.folder.exists():
            import shutil

            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def _move(self) -> Path:
        """Rename the folder to its place, unless a complete record is there already."""
        place = self.store.folder(self.kind, self.key)
        while True:
            try:
                self.folder.rename(place)
            except OSError as problem:
                if problem.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
            else:
                return place
            if self.store.get(self.kind, self.key) is not None:
                return place
            with self.store.maintenance():
                if self.store.get(self.kind, self.key) is None and place.exists():
                    self.store.set_aside(self.kind, self.key, "it was damaged and written anew")
