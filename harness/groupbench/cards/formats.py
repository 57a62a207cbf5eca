"""Reading Parquet, JSONL, CSV and TSV files into columns, with errors that name the line.

CSV and TSV are read with the standard library: pandas and ``datasets`` turn the texts ``null``,
``NA`` and ``None`` into missing values.
"""

from __future__ import annotations

import csv
import io
import stat
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from groupbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

SUFFIXES = (".parquet", ".jsonl", ".csv", ".tsv")
"""Of the files that can be read."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one split, and how messages call the rows."""

    where: str
    columns: Mapping[str, Sequence[Any]]
    n_rows: int
    lines: Sequence[int] | None = None
    """The line on which each row begins, from 1; ``None`` where a file has no lines."""

    def row(self, index: int) -> str:
        """Return how a message calls a row: by line, else by number, the first being 0."""
        if self.lines is None:
            return f"{self.where}, row {index} (the first is 0)"
        return f"{self.where}, line {self.lines[index]}"


def read_table(path: Path, wanted: Collection[str] | None, *, quotes: bool = True) -> Table:
    """Read the columns ``wanted`` of a file, by its suffix.

    Args:
        path: a file that ends in one of `SUFFIXES`.
        wanted: names of columns; the others are passed over. ``None``: all that have a name of
            their own; what a line of JSONL lacks is ``None``.
        quotes: whether ``"`` quotes a field in CSV and TSV; else it is a character like any other.

    Raises:
        DataError: the file cannot be read, is not what its suffix says, or lacks a column.
    """
    where = str(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{where}: cannot read '{suffix}' files; use {', '.join(SUFFIXES)}.")
    data = read_bytes(path)
    if suffix == ".parquet":
        return _parquet(data, where, wanted)
    text = decode(data, where)
    if suffix == ".jsonl":
        return _jsonl(text, where, wanted)
    return _delimited(text, where, wanted, "," if suffix == ".csv" else "\t", quotes=quotes)


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        DataError: it is not there, not a regular file (a pipe would wait forever), or not readable.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.read_bytes()
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise DataError(f"{path}: cannot be read ({reason}).") from None
    raise DataError(f"{path}: is {kind}; a file is wanted.")


def decode(data: bytes, where: str) -> str:
    """Return UTF-8 text, with or without a byte order mark.

    Raises:
        DataError: it is not UTF-8; the message names the byte.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{where}: is UTF-16 (byte 0 is 0x{data[0]:02x}); save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        # Python counts from behind the mark.
        byte = problem.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, byte) + 1
        raise DataError(
            f"{where}, line {line}: byte {byte} (0x{data[byte]:02x}) is not UTF-8;"
            " save the file as UTF-8."
        ) from None


def select(columns: Mapping[str, Sequence[Any]], wanted: Collection[str], where: str) -> Table:
    """Return the columns ``wanted`` of a loader that gives columns and no file.

    Raises:
        DataError: one is missing, or their lengths differ.
    """
    for name in wanted:
        if name not in columns:
            raise missing_column(name, columns, where)
    picked = {name: columns[name] for name in wanted}
    lengths = {name: len(column) for name, column in picked.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{where}: columns have different lengths: {lengths}.")
    return Table(where, picked, max(lengths.values(), default=0))


def missing_column(name: str, there: Collection[str], where: str) -> DataError:
    """Return the error for a column that is not there, with the nearest one that is."""
    names = [str(column) for column in there]
    same = [column for column in names if column.strip().lower() == name.lower()]
    near = same or get_close_matches(name, names, n=1)
    mend = f"Did you mean '{near[0]}'? " if near else ""
    return DataError(
        f"{where}: there is no column '{name}', only {', '.join(map(repr, names)) or 'none'}."
        f" {mend}The card's [columns] table can name other columns."
    )


def short(value: object) -> str:
    """Return how messages show a value."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 60


def from_arrow(table: Any, wanted: Collection[str], where: str) -> Table:  # noqa: ANN401 - a pyarrow.Table; pyarrow has no types
    """Return the columns ``wanted`` of a ``pyarrow.Table``.

    Raises:
        DataError: a column is missing or there twice, or holds bytes that are not UTF-8.
    """
    columns: dict[str, Sequence[Any]] = {}
    for name in wanted:
        found = table.column_names.count(name)
        if not found:
            raise missing_column(name, table.column_names, where)
        if found > 1:
            raise DataError(f"{where}: column '{name}' is there {found} times; keep one.")
        try:
            columns[name] = table.column(name).to_pylist()
        except UnicodeDecodeError as problem:
            raise DataError(
                f"{where}: column '{name}' holds text that is not UTF-8 ({problem.reason});"
                " write the file again."
            ) from None
    return Table(where, columns, table.num_rows)


def _parquet(data: bytes, where: str, wanted: Collection[str] | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        there = file.schema_arrow.names
        wanted = _named_once(there) if wanted is None else wanted
        for name in wanted:
            if name not in there:
                raise missing_column(name, there, where)
        # `columns` takes a name as a prefix of nested ones: more may come than was asked for.
        table = file.read(columns=list(wanted), use_threads=False)
    except (pa.ArrowException, OSError, ValueError, EOFError) as problem:
        reason = str(problem).splitlines()[0].rstrip(".") if str(problem) else "it is damaged"
        raise DataError(f"{where}: cannot be read as Parquet ({reason}); write it again.") from None
    return from_arrow(table, wanted, where)


def _jsonl(text: str, where: str, wanted: Collection[str] | None) -> Table:
    import msgspec

    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    decoder = msgspec.json.Decoder()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip(" \t\r"):
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError) as problem:
            reason = "nested too deeply" if isinstance(problem, RecursionError) else problem
            raise DataError(
                f"{where}, line {number}: not JSON ({reason}); each line is one object."
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"{where}, line {number}: holds a {type(row).__name__};"
                ' each line is one object, like {"text": "...", "label": "..."}.'
            )
        rows.append(row)
        lines.append(number)
    if wanted is None:
        names = dict.fromkeys(name for row in rows for name in row)
        return Table(
            where, {name: [row.get(name) for row in rows] for name in names}, len(rows), lines
        )
    columns: dict[str, Sequence[Any]] = {}
    for name in wanted:
        column = [row.get(name, _ABSENT) for row in rows]
        if _ABSENT in column:
            first = column.index(_ABSENT)
            raise missing_column(name, rows[first], f"{where}, line {lines[first]}")
        columns[name] = column
    return Table(where, columns, len(rows), lines)


_ABSENT = object()


def _delimited(
    text: str, where: str, wanted: Collection[str] | None, delimiter: str, *, quotes: bool
) -> Table:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    limit = csv.field_size_limit(sys.maxsize)  # a text may be longer than the default of 128 KiB
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 1
    try:
        for row in reader:
            if row:  # an empty line is no row
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as problem:
        mend = (
            'double the quotes inside a field and quote it as a whole, or set "quotes = false" in'
            " the card's [files] if quotes are plain characters"
        )
        raise DataError(
            f"{where}, line {line}: not {_NAMES[delimiter]} ({problem}); {mend}."
        ) from None
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise DataError(f"{where}: is empty; the first line names the columns.")
    header, rows, lines = rows[0], rows[1:], lines[1:]
    wanted = _named_once(header) if wanted is None else wanted
    for name in wanted:
        if header.count(name) > 1:
            raise DataError(f"{where}, line 1: column '{name}' is there twice; rename one.")
        if name not in header:
            raise missing_column(name, header, where)
    for row, number in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise DataError(
                f"{where}, line {number}: has {len(row)} fields, the header has {len(header)};"
                f" quote fields that hold a {_DELIMITERS[delimiter]} or a line break."
            )
    columns = {}
    for name in wanted:
        at = header.index(name)
        columns[name] = [row[at] for row in rows]
    return Table(where, columns, len(rows), lines)


def _named_once(names: Sequence[str]) -> list[str]:
    return [name for name in names if name and names.count(name) == 1]


_NAMES = {",": "CSV", "\t": "TSV"}
_DELIMITERS = {",": "comma", "\t": "tab"}
