"""THYME as its owners hand it out: notes, and Anafora XML with the spans of events.

Styler et al., "Temporal Annotation in the Clinical Domain" (TACL 2, 2014). Patients are divided as
in Clinical TempEval: by the number in a document's name modulo 8, 0 to 3 train, 4 and 5
development, 6 and 7 test.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from groupbench.errors import DataError
from groupbench_tasks.restricted.files import by_name, columns, demand, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANNOTATIONS = "*.Temporal-Relation.gold.completed.xml"
_DOCUMENT = re.compile(r"ID(\d+)_.+")
_SPLITS = ("train", "train", "train", "train", "validation", "validation", "test", "test")


def read_doctimerel(folder: Path) -> dict[str, dict[str, list[object]]]:
    """Return the line of each event, marked ``[E1] ... [/E1]``, and when it was to the note.

    Raises:
        DataError: a document has no note, or a span lies outside of it.
    """
    annotated = by_name(folder, ANNOTATIONS)
    notes = {
        path.name.removesuffix(".txt"): path
        for path in sorted(folder.rglob("ID*"))
        if path.is_file() and path.suffix in {"", ".txt"}
    }
    rows: dict[str, list[dict[str, object]]] = {split: [] for split in dict.fromkeys(_SPLITS)}
    for name, path in annotated.items():
        if (document := _DOCUMENT.fullmatch(name)) is None:
            raise DataError(f"{path}: its name does not begin like ID001_clinic_001.")
        patient = int(document[1])
        note = text_of(demand(notes.get(name), name, folder))
        rows[_SPLITS[patient % 8]] += [
            {**row, "patient": f"ID{document[1]}"} for row in _events(path, note)
        ]
    return {split: columns(found, ("text", "label", "patient")) for split, found in rows.items()}


def _events(path: Path, note: str) -> Iterator[dict[str, object]]:
    try:
        root = ET.fromstring(text_of(path))  # noqa: S314 - the user's own file; nothing is fetched
    except ET.ParseError as problem:
        raise DataError(f"{path}: is not XML ({problem}).") from None
    for entity in root.iter("entity"):
        relation = (entity.findtext("properties/DocTimeRel") or "").strip()
        if (entity.findtext("type") or "").strip() != "EVENT" or not relation:
            continue
        span = (entity.findtext("span") or "").strip()
        pieces = [piece.split(",") for piece in span.split(";")]
        try:
            start, end = min(int(a) for a, _ in pieces), max(int(b) for _, b in pieces)
        except ValueError:
            raise DataError(f"{path}: span {span!r} is not like 12,17.") from None
        if not 0 <= start < end <= len(note):
            raise DataError(f"{path}: span {span!r} lies outside of the note.")
        begin = note.rfind("\n", 0, start) + 1
        stop = note.find("\n", end)
        after = note[end : stop if stop >= 0 else len(note)]
        marked = f"{note[begin:start]}[E1] {note[start:end]} [/E1]{after}"
        yield {"text": " ".join(marked.split()), "label": relation}
