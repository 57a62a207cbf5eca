"""The i2b2/VA 2010 corpus as its portal hands it out: texts, concepts and assertions.

Uzuner, South, Shen and DuVall, "2010 i2b2/VA challenge on concepts, assertions, and relations in
clinical text" (JAMIA 18, 2011). A line of an annotation names its words by line (from 1) and word
(from 0): ``c="chest pain" 12:3 12:4||t="problem"||a="absent"``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.errors import DataError
from groupbench_tasks.restricted.files import by_name, columns, demand, divided, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Splits = dict[str, dict[str, list[object]]]

TRAIN = "concept_assertion_relation_training_data"
TEST = "reference_standard_for_test_data"
TEST_TEXTS = "test_data"
VALIDATION_SHARE = 8
"""One of so many training documents is validation; the challenge has none."""

_LINE = re.compile(
    r'c="(?P<words>.*)" (?P<line>\d+):(?P<first>\d+) (?P<to_line>\d+):(?P<last>\d+)'
    r'\|\|t="(?P<type>[^"]+)"(?:\|\|a="(?P<assertion>[^"]+)")?'
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A concept: words ``first`` to ``last`` (included) of one line, all counted from 0."""

    line: int
    first: int
    last: int
    type: str
    assertion: str | None


def read_assertions(folder: Path) -> Splits:
    """Return the line of each medical problem, marked ``[E1] ... [/E1]``, and its assertion.

    Raises:
        DataError: a document has no text, or an annotation fits no line of it.
    """
    return {
        split: columns(rows, ("text", "label", "document"))
        for split, rows in _by_split(folder, "ast", _assertions).items()
    }


def read_concepts(folder: Path) -> Splits:
    """Return the words of each line and their BIO tags: problem, test and treatment.

    Raises:
        DataError: a document has no text, or an annotation fits no line of it.
    """
    return {
        split: columns(rows, ("tokens", "tags", "document"))
        for split, rows in _by_split(folder, "con", _tagged).items()
    }


def _by_split(
    folder: Path, suffix: str, rows_of: _RowsOf
) -> dict[str, Iterator[dict[str, object]]]:
    annotated = by_name(folder / TRAIN, f"*.{suffix}")
    texts = by_name(folder / TRAIN, "*.txt")
    train, validation = divided(annotated, VALIDATION_SHARE)
    test, test_texts = (
        by_name(folder / TEST, f"*.{suffix}"),
        by_name(folder / TEST_TEXTS, "*.txt"),
    )

    def rows(
        names: list[str], paths: dict[str, Path], texts: dict[str, Path]
    ) -> Iterator[dict[str, object]]:
        for name in names:
            text = text_of(demand(texts.get(name), name, folder))
            lines = [line.split() for line in text.split("\n")]
            for row in rows_of(lines, list(_mentions(paths[name], lines))):
                yield {**row, "document": name}

    return {
        "train": rows(train, annotated, texts),
        "validation": rows(validation, annotated, texts),
        "test": rows(sorted(test), test, test_texts),
    }


def _mentions(path: Path, lines: list[list[str]]) -> Iterator[Mention]:
    for number, written in enumerate(text_of(path).splitlines(), 1):
        if not written.strip():
            continue
        where = f"{path}, line {number}"
        found = _LINE.fullmatch(written.strip())
        if found is None:
            raise DataError(f'{where}: is not like c="..." 1:0 1:2||t="problem"||a="present".')
        line, first, last = int(found["line"]) - 1, int(found["first"]), int(found["last"])
        if found["to_line"] != found["line"]:
            continue  # a mention that runs over a line's end has no line of its own
        if not (0 <= line < len(lines) and first <= last < len(lines[line])):
            raise DataError(f"{where}: words {first} to {last} of line {line + 1} are not there.")
        yield Mention(line, first, last, found["type"], found["assertion"])


def _assertions(lines: list[list[str]], mentions: list[Mention]) -> Iterator[dict[str, object]]:
    for mention in mentions:
        if mention.assertion is None:
            continue
        words = lines[mention.line]
        marked = [
            *words[: mention.first],
            "[E1]",
            *words[mention.first : mention.last + 1],
            "[/E1]",
            *words[mention.last + 1 :],
        ]
        yield {"text": " ".join(marked), "label": mention.assertion}


def _tagged(lines: list[list[str]], mentions: list[Mention]) -> Iterator[dict[str, object]]:
    tags = [["O"] * len(line) for line in lines]
    for mention in mentions:
        for word in range(mention.first, mention.last + 1):
            tags[mention.line][word] = f"{'B' if word == mention.first else 'I'}-{mention.type}"
    for words, row in zip(lines, tags, strict=True):
        if words:
            yield {"tokens": words, "tags": row}


if TYPE_CHECKING:
    from collections.abc import Callable

    _RowsOf = Callable[[list[list[str]], list[Mention]], Iterator[dict[str, object]]]
