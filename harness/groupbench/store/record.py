"""A record: something stored, complete, its content checked before it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from groupbench.errors import StoreError
from groupbench.store.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from groupbench.store.files import StoredFile


@dataclass(frozen=True)
class Record:
    """Something stored, complete."""

    kind: str
    key: str
    folder: Path
    meta: Mapping[str, Any]
    files: Mapping[str, StoredFile]
    """By path below `folder`, with forward slashes."""
    _verified: set[tuple[str, int, int, int]] = field(
        default_factory=set, repr=False, compare=False
    )

    def path(self, name: str) -> Path:
        """Return the path of a file, its content checked once per process.

        Raises:
            StoreError: there is no such file, or it does not hold what was written.
        """
        if name not in self.files:
            held = ", ".join(self.files) or "nothing"
            raise StoreError(f"{self.folder}: there is no file '{name}' in it; it holds {held}.")
        path = self.folder / name
        try:
            state = path.stat()
            seen = (str(path), state.st_ino, state.st_size, state.st_mtime_ns)
            if seen not in self._verified:
                if (
                    state.st_size != self.files[name].size
                    or sha256_of(path) != self.files[name].sha256
                ):
                    raise StoreError(
                        f"{path} does not hold what was written: run 'groupbench store check', "
                        "which sets the record aside, and then the experiment again."
                    )
                self._verified.add(seen)
        except OSError as problem:
            raise StoreError(
                f"{path} cannot be read ({problem.strerror}): run 'groupbench store check'."
            ) from None
        return path
