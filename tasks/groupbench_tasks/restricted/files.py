"""What the readers of corpora share: files by name, text with errors that name the file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from groupbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def by_name(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the files below ``folder`` that fit ``pattern``, by what precedes their first dot.

    Raises:
        DataError: two files have one name, so that it is not clear which is meant.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(pattern)):
        name = path.name.partition(".")[0]
        if path.name.startswith(".") or not path.is_file():
            continue
        if name in found:
            raise DataError(f"{path} and {found[name]} have one name; keep one.")
        found[name] = path
    return found


def text_of(path: Path) -> str:
    """Return a file's text.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")  # line breaks as they are: offsets count them
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror}).") from None
    except UnicodeDecodeError as problem:
        raise DataError(
            f"{path}: byte {problem.start} is not UTF-8; save the file as UTF-8."
        ) from None


def demand(path: Path | None, name: str, where: Path) -> Path:
    """Return ``path``; raise `DataError` where a document has no text."""
    if path is None:
        raise DataError(f"{where}: there is no text of document {name}; unpack the texts as well.")
    return path


def divided(documents: Iterable[str], share: int) -> tuple[list[str], list[str]]:
    """Return documents in two: all but one of ``share``, and those; at least two of those."""
    ranked = sorted(documents, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    n_fewer = min(max(2, len(ranked) // share), max(len(ranked) - 1, 0))  # validation is halved
    return sorted(ranked[n_fewer:]), sorted(ranked[:n_fewer])


def columns(rows: Iterable[Mapping[str, object]], names: Iterable[str]) -> dict[str, list[object]]:
    """Return rows as columns."""
    listed = list(rows)
    return {name: [row[name] for row in listed] for name in names}
