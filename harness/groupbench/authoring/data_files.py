"""The files that a new task is made of: which is which split, and the columns they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.cards.formats import SUFFIXES, Table, read_table
from groupbench.cards.paths import CARD, OTHER_NAMES, SPLITS
from groupbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class DataFiles:
    """Files by split. What has no file is cut from ``train``."""

    files: Mapping[str, Path]
    folder: Path | None = None
    """The folder that was named; ``None`` where files were."""
    passed_over: tuple[str, ...] = ()
    """Names of data files that lie there and are no split."""
    quotes: bool = True
    """Whether ``"`` quotes fields of CSV and TSV."""
    tables: Mapping[str, Table] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, paths: Sequence[Path]) -> DataFiles:
        """Find the files of ``paths``, one folder or some files, and read all their columns.

        Raises:
            DataError: something is not there or cannot be read, or splits cannot be told apart.
        """
        found = _found(paths)
        quotes = _quoted([path for path in found.files.values() if _delimited(path)])
        tables = {split: _read(path, quotes=quotes) for split, path in found.files.items()}
        for split, table in tables.items():
            if not table.n_rows:
                raise DataError(f"{table.where}: the {split} split has no rows; a task needs some.")
        return cls(found.files, found.folder, found.passed_over, quotes, tables)

    @property
    def name(self) -> str:
        """What the folder or the file is called, without its suffix."""
        if self.folder is not None:
            return self.folder.resolve().name
        stem = self.files["train"].stem
        if len(self.files) == 1:
            return stem
        kept = [part for part in re.split(r"[^A-Za-z0-9]+", stem) if _split_word(part) is None]
        return "-".join(kept) or self.files["train"].resolve().parent.name


def split_of(stem: str) -> str | None:
    """Return the split that a file is named by, if it is one.

    >>> split_of("reviews_dev"), split_of("reviews"), split_of("train-vs-test")
    ('validation', None, None)
    """
    words = (_split_word(word) for word in re.split(r"[^A-Za-z]+", stem))
    named = {word for word in words if word is not None}
    return named.pop() if len(named) == 1 else None


def _split_word(word: str) -> str | None:
    for split in SPLITS:
        if word.lower() in (split, *OTHER_NAMES[split]):
            return split
    return None


def _found(paths: Sequence[Path]) -> DataFiles:
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder.")
    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        raise DataError(
            f"{folders[0]}: is a folder and not all that was named; a task is made of one folder,"
            " or of files, one for each split."
        )
    if folders:
        return _in_folder(folders[0])
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(
                f"{path}: cannot read '{path.suffix}' files; save it as {', '.join(SUFFIXES)}."
            )
    if len(paths) == 1:
        beside = [p.name for p in _data_files(paths[0].resolve().parent) if split_of(p.stem)]
        named = split_of(paths[0].stem) is not None
        others = [name for name in beside if name != paths[0].name] if named else []
        return DataFiles({"train": paths[0]}, passed_over=tuple(others))
    return DataFiles(_by_split(paths, str(paths[0].parent)))


def _in_folder(folder: Path) -> DataFiles:
    files = _data_files(folder)
    if not files:
        raise DataError(f"{folder}: holds no file that ends in {', '.join(SUFFIXES)}.")
    named = [path for path in files if split_of(path.stem) is not None]
    if not named and len(files) == 1:
        return DataFiles({"train": files[0]}, folder)
    if not named:
        raise DataError(
            f"{folder}: holds {_few(p.name for p in files)}, none named by a split; call them"
            " train, validation and test, or name one file."
        )
    chosen = _by_split(named, str(folder))
    left = tuple(path.name for path in files if path not in chosen.values())
    return DataFiles(chosen, folder, left)


def _by_split(paths: Iterable[Path], where: str) -> dict[str, Path]:
    """Return one file for each split that has some; ``train.csv`` goes before ``a_train.csv``."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        split = split_of(path.stem)
        if split is None:
            raise DataError(
                f"{path}: its name tells no split; with several files each is named by its own:"
                " train, validation (or dev), test."
            )
        named.setdefault(split, []).append(path)
    chosen = {}
    for split in SPLITS:
        rivals = named.get(split, [])
        exact = [path for path in rivals if path.stem == split]
        rivals = exact or rivals
        if len(rivals) > 1:
            raise DataError(
                f"{where}: the {split} split could be {_few(p.name for p in rivals)}; name the"
                " files you mean one by one, or join them."
            )
        if rivals:
            chosen[split] = rivals[0]
    if "train" not in chosen:
        raise DataError(
            f"{where}: there is a file of {' and '.join(chosen)}, but none of train; name it so, or"
            " name one file and its splits are cut for you."
        )
    return chosen


def _data_files(folder: Path) -> list[Path]:
    try:
        there = sorted(folder.iterdir())
    except OSError as problem:
        raise DataError(f"{folder}: cannot be read ({problem.strerror}).") from None
    return [
        path
        for path in there
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
        and path.name != CARD
    ]


def _read(path: Path, *, quotes: bool) -> Table:
    table = read_table(path, None, quotes=quotes)
    only = next(iter(table.columns), "")
    if path.suffix.lower() == ".csv" and len(table.columns) == 1 and ";" in only:
        raise DataError(
            f"{path}: its first line is the one column {only!r}; the fields seem to be separated by"
            " ';': save the file with commas, or as TSV."
        )
    return table


def _delimited(path: Path) -> bool:
    return path.suffix.lower() in {".csv", ".tsv"}


def _quoted(paths: Sequence[Path]) -> bool:
    """Return whether quotes quote: not where the files only make sense, row by row, without."""
    if not paths:
        return True
    counts: dict[bool, int | None] = {}
    for quotes in (True, False):
        try:
            counts[quotes] = sum(read_table(path, None, quotes=quotes).n_rows for path in paths)
        except DataError:
            counts[quotes] = None
    if counts[True] is None:
        return counts[False] is None  # neither: the error for quotes says what to do
    # Lines that are whole without quotes, but are swallowed by them, are rows.
    return counts[False] is None or counts[False] == counts[True]


def _few(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"  # noqa: PLR2004 - a line
