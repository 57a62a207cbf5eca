"""What the data of a new task do not tell, and what the user may do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.authoring.columns import NUMBER
from groupbench.cards.formats import short
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from groupbench.authoring.columns import Column

SCALE = 3
"""So many numbers or more may be a scale."""
LONG_NAME = 60
"""A column whose name is longer may have no name at all, but a first row."""
SPLIT_WORDS = frozenset({"dev", "val", "valid", "validation", "test"})


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that the data do not tell."""

    code: str
    text: str


def column_doubts(columns: Mapping[str, Column], used: Collection[str]) -> list[Doubt]:
    """Return what columns may be beside what they are used for."""
    doubts = []
    odd = (name for name in used if len(name) > LONG_NAME or name in columns[name].filled)
    if (value := next(odd, None)) is not None:
        doubts.append(
            Doubt(
                "header",
                f"The first line was read as the names of columns, but {short(value)} may be a"
                " value. If the file has no such line, give it one.",
            )
        )
    for name, column in columns.items():
        if name in used or len(column.distinct) > len(SPLIT_WORDS):
            continue
        values = {str(value).lower() for value in column.distinct}
        if "train" in values and values & SPLIT_WORDS:
            doubts.append(
                Doubt(
                    "split-column",
                    f"The column {name} says which split a row is of, and was not heeded: write a"
                    " file for each split and name their folder.",
                )
            )
    return doubts


def label_doubts(kind: Kind, labels: Sequence[str], counts: Mapping[str, int]) -> list[Doubt]:
    """Return what labels may be other than names that differ."""
    doubts = []
    numbers = all(map(NUMBER.fullmatch, labels))
    if numbers and len(labels) >= SCALE and kind in {Kind.SINGLE, Kind.PAIR}:
        doubts.append(
            Doubt(
                "scale",
                f"The labels are numbers, {labels[0]} to {labels[-1]}. Where they are steps of a"
                " scale, know that they are judged as names: one step off is as wrong as four.",
            )
        )
    elif numbers:
        doubts.append(
            Doubt(
                "numbers",
                f"The labels are numbers ({', '.join(labels[:6])}): what do they mean? Names in"
                " the data read better in tables.",
            )
        )
    rare = [label for label in labels if counts[label] == 1]
    if rare:
        doubts.append(Doubt("rare", f"Seen once only: {_few(rare)}. A typo, or too few to learn."))
    folded: dict[str, list[str]] = {}
    for label in labels:
        folded.setdefault("".join(label.casefold().split()), []).append(label)
    alike = [" and ".join(map(repr, same)) for same in folded.values() if len(same) > 1]
    if alike:
        doubts.append(Doubt("alike", f"Two labels, or one written twice? {_few(alike)}."))
    if len(labels) == 1:
        doubts.append(Doubt("one-label", f"There is one label only, {labels[0]!r}."))
    return doubts


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004 - a line
