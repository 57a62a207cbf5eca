"""The store's checks fail for stores that break what they check."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from groupbench.testing import store as checks
from groupbench.testing.checks import CheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BAD_STORES = '''
"""Stores as others have made them."""
import shutil
from contextlib import contextmanager
from groupbench.store import Draft, Store
from groupbench.store.files import read_document

class InPlaceDraft(Draft):
    """Writes under the final name: readers and crashes see half of it."""
    def __init__(self, store, kind, key):
        super().__init__(store, kind, key)
        place = store.folder(kind, key)
        self.folder.rename(place)
        self.folder = place
    def _move(self):
        self.folder.rename(self.folder.with_name("aside"))
        self.folder.with_name("aside").rename(self.folder)
        return self.folder
    def discard(self):
        pass

class OverwritingDraft(Draft):
    """The last writer wins."""
    def _move(self):
        place = self.store.folder(self.kind, self.key)
        shutil.rmtree(place, ignore_errors=True)
        return super()._move()

class LyingDraft(Draft):
    """Says that all is stored before it is."""
    def commit(self, meta):
        from groupbench.store import Record
        return Record(self.kind, self.key, self.folder, {}, {})

class InPlace(Store):
    def draft(self, kind, key):
        return InPlaceDraft(self, kind, key)

class Overwriting(Store):
    def draft(self, kind, key):
        return OverwritingDraft(self, kind, key)

class Lying(Store):
    def draft(self, kind, key):
        return LyingDraft(self, kind, key)

class Trusting(Store):
    """Serves what is there, whole or not."""
    def read(self, kind, key):
        from types import MappingProxyType
        from groupbench.store.store import Record, StoredFile
        folder = self.folder(kind, key)
        document = read_document(folder / "record.json")
        files = {n: StoredFile(**f) for n, f in document["files"].items()}
        return Record(kind, key, folder, document["meta"], files)
'''


@pytest.fixture(autouse=True)
def _bad_stores(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "bad_stores.py").write_text(BAD_STORES)
    sys.path.insert(0, str(tmp_path))
    yield
    sys.path.remove(str(tmp_path))
    sys.modules.pop("bad_stores", None)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("InPlace", checks.check_full_disk),
        ("InPlace", checks.check_orphans_are_collected),
        ("Overwriting", checks.check_one_winner),
        ("Lying", checks.check_acknowledged_is_durable),
        ("Lying", checks.check_read_only_stores_serve),
        ("Trusting", checks.check_newer_schemas_are_refused),
        ("Trusting", checks.check_flipped_bytes_are_found),
    ],
)
def test_a_bad_store_is_found_out(
    name: str, check: Callable[[str, Path], None], tmp_path: Path
) -> None:
    with pytest.raises(CheckError):
        check(f"bad_stores:{name}.open", tmp_path / "store")
