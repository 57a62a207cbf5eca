"""Files of a record: written so that a crash cannot tear them, read so that damage shows."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupbench.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORD = "record.json"
CHUNK_BYTES = 1 << 20
_HEAD = b'{"checksum": "'
_NECK = b'",\n'


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a record says of one of its files."""

    sha256: str
    size: int
    """In bytes."""


class DamagedError(Exception):
    """A record that does not hold what was written; the message names the file."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    hashed = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):  # `hashlib.file_digest` is slow on small files
            hashed.update(chunk)
    return hashed.hexdigest()


def to_disk(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync alone stops at the drive's cache
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    finally:
        os.close(descriptor)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON whose first member is the checksum of all bytes after it."""
    body = json.dumps(document, sort_keys=True, indent=1, allow_nan=False)[1:].lstrip("\n") + "\n"
    rest = body.encode("ascii")
    path.write_bytes(_HEAD + hashlib.sha256(rest).hexdigest().encode() + _NECK + rest)


def read_document(path: str | Path) -> dict[str, Any]:
    """Read what `write_document` wrote.

    Raises:
        DamagedError: any byte is other than it was written.
        OSError: the file cannot be read.
    """
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - thousands in a scan
        raw = file.read()
    end = len(_HEAD) + 64
    rest = raw[end + len(_NECK) :]
    checksum = hashlib.sha256(rest).hexdigest().encode()
    if raw[: end + len(_NECK)] != _HEAD + checksum + _NECK:
        raise DamagedError(f"{Path(path).name} does not match its checksum")
    document: dict[str, Any] = json.loads(b"{" + rest)
    return document


def regular_files(folder: Path) -> Iterator[str]:
    """Yield the files below a folder as sorted relative paths; `RECORD` at the top is left out.

    Raises:
        StoreError: something is neither a file nor a folder, for example a link.
    """
    names = []
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                names.append(path.relative_to(folder).as_posix())
            elif not stat.S_ISDIR(mode):
                raise StoreError(f"{path} is neither a file nor a folder: it cannot be stored.")
    yield from sorted(name for name in names if name != RECORD)


def folders_below(folder: Path) -> list[Path]:
    """Return a folder and those below it, deepest first."""
    found = [Path(parent) for parent, _, _ in os.walk(folder)]
    return sorted(found, key=lambda path: -len(path.parts))


def tree_bytes(folder: Path) -> int:
    """Return the size of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += Path(parent, name).lstat().st_size
            except FileNotFoundError:
                continue
    return total
