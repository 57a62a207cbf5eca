"""Where task cards lie, and which files beside a card are its data."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from groupbench.cards.formats import SUFFIXES
from groupbench.errors import CardError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CARD = "card.toml"
SPLITS = ("train", "validation", "test")
"""The files of a task, without their suffix."""

OTHER_NAMES = {
    "train": ("training",),
    "validation": ("valid", "val", "dev", "development", "devel"),
    "test": ("testing", "eval", "heldout"),
}
"""What people call the splits."""


def find_cards(folder: str | Path) -> list[Path]:
    """Return every ``card.toml`` in ``folder`` and below, sorted.

    Links are followed, each real folder is visited once, hidden folders are passed over.

    Raises:
        CardError: there is no such folder, or one below cannot be read.
    """
    root = Path(folder)
    if not _is(root, "dir"):
        there = "is a file" if _is(root, "file") else "there is no such folder"
        raise CardError(f"{root}: {there}; name a folder that holds folders with a {CARD}.")

    def refuse(problem: OSError) -> None:
        raise CardError(f"{problem.filename}: cannot be read ({problem.strerror}).")

    cards: list[Path] = []
    visited: set[str] = set()
    for here, below, files in os.walk(root, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        if real in visited:
            below.clear()
            continue
        visited.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        if CARD in files:
            cards.append(Path(here) / CARD)
    return sorted(cards)


def split_files(
    card: Path, names: Mapping[str, str], splits: Iterable[str] = SPLITS
) -> dict[str, Path]:
    """Return the file of each split: as the card names it, else ``<split>.<suffix>`` beside it.

    Args:
        card: its path.
        names: file names by split, where the card gives them.
        splits: those that have a file of their own.

    Raises:
        CardError: a name leaves the card's folder, or two files could be meant.
        DataError: a split has no file.
    """
    return {
        split: inside(card, names[split], f"[files] {split}")
        if split in names
        else _beside(card, split)
        for split in splits
    }


def inside(card: Path, name: str, field: str) -> Path:
    """Return the path ``name`` of a card, which must stay in the card's folder.

    Raises:
        CardError: it is absolute, climbs with ``..``, is a URL, holds NUL, or is a link that leads
            out of the folder.
    """
    wrong = f"{card}: {field} = {name!r}"
    mend = "name a file in the card's own folder, or copy it there"
    if not name or "\0" in name or "\\" in name or "://" in name or name.startswith("~"):
        raise CardError(f"{wrong} is not a plain relative path; {mend}.")
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise CardError(f"{wrong} leaves the card's folder; {mend}.")
    path = card.parent / name
    try:
        real, home = path.resolve(), card.parent.resolve()
    except (OSError, RuntimeError) as problem:  # RuntimeError: links that lead in a circle
        raise CardError(f"{wrong} cannot be followed ({problem}); {mend}.") from None
    if not real.is_relative_to(home):
        raise CardError(f"{wrong} is a link that leaves the card's folder; {mend}.")
    return path


def _beside(card: Path, split: str) -> Path:
    found = [f"{split}{suffix}" for suffix in SUFFIXES if _exists(card.parent / f"{split}{suffix}")]
    if len(found) == 1:
        return inside(card, found[0], f"the file of {split}")
    if found:
        raise CardError(
            f"{card}: {split} could be {' or '.join(found)}; keep one, or choose with"
            f' [files] {split} = "{found[0]}".'
        )
    near = _near(card.parent, split)
    mend = (
        f'To use {near}, write [files] {split} = "{near}" in the card.'
        if near
        else f"Put {split}.parquet, .jsonl, .csv or .tsv beside the card."
    )
    raise DataError(f"{card}: there is no file of the {split} split. {mend}")


def _near(folder: Path, split: str) -> str | None:
    """Return a file that may be the split under another name."""
    try:
        there = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    except OSError:
        return None
    free = [name for name in there if Path(name).stem not in SPLITS]
    for name in free:
        if Path(name).stem.lower() in (split, *OTHER_NAMES[split]):
            return name
    stems = {Path(name).stem.lower(): name for name in free}
    near = get_close_matches(split, stems, n=1)
    return stems[near[0]] if near else None


def _exists(path: Path) -> bool:
    """Return whether something has this name, a link that leads nowhere included."""
    return os.path.lexists(path)


def _is(path: Path, what: str) -> bool:
    try:
        return path.is_dir() if what == "dir" else path.is_file()
    except (OSError, ValueError):  # a name with NUL
        return False
