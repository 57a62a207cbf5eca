"""What is written down of a batch before it is waited for, so that no request is sent twice."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from groupbench.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class BatchNote:
    """A batch that was sent, or is about to be."""

    url: str
    keys: tuple[str, ...]
    """Of its requests, sorted."""
    file_id: str = ""
    batch_id: str = ""
    """Empty: whether it was sent is not known. The endpoint is asked, by `name`."""
    written: float = 0.0
    """When, in seconds since 1970; a batch is never older than its note. 0: not known."""

    @property
    def name(self) -> str:
        """What the batch is called at the endpoint, and the note here."""
        return digest([self.url, list(self.keys)])


class BatchNotes:
    """A folder with a note for each batch whose replies are not stored yet."""

    def __init__(self, folder: Path) -> None:
        """Take note of the folder; it is made when something is written."""
        self._folder = folder

    def write(self, note: BatchNote) -> None:
        """Keep a note, in place of what was said of the same batch before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = self._folder / f".{note.name}.{os.getpid()}"
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(file, "w", encoding="utf-8") as written:
            json.dump(asdict(note), written)
            written.flush()
            os.fsync(written.fileno())
        aside.replace(self._folder / f"{note.name}.json")

    def forget(self, note: BatchNote) -> None:
        """Remove a note: what its batch answered is stored."""
        (self._folder / f"{note.name}.json").unlink(missing_ok=True)

    def about(self, url: str, keys: Collection[str]) -> Iterator[BatchNote]:
        """Yield the notes of batches at ``url`` that hold any of these requests."""
        wanted = set(keys)
        for path in sorted(self._folder.glob("*.json")):
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                note = BatchNote(**{**told, "keys": tuple(told["keys"])})
            except (OSError, ValueError, KeyError, TypeError):
                continue  # another process removed it, or it is of another version
            if note.url == url and wanted.intersection(note.keys):
                yield note
