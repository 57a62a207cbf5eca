"""Checks inside one task: copies, contradictions, documents in two splits, labels, sizes."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

from groupbench.authoring.findings import PARTS, Finding, Level, first, label_counts
from groupbench.execute import comparable
from groupbench.task import DataClass, Kind, Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from groupbench.authoring.lengths import Length
    from groupbench.task import Example, Task

MIN_DEV_B = 100
"""With fewer, mean PVI (spread about 1 bit) is not known to 0.25 bits."""
MIN_TEST = 100
MIN_TRAIN = 5
"""Train rows of a label."""
OFTEN_CUT = 0.1


def inside_task(
    task: Task, parts: Mapping[str, Sequence[Example]], length: Length
) -> Iterator[Finding]:
    """Yield what is to be said of one task's data."""
    if task.data_class is DataClass.UNSTATED:
        text = "data_class is not stated, so the task is treated as private; say it in the card."
        yield Finding(Level.NOTE, "data-class", task.name, text)
    yield from _copies(task, parts)
    yield from _clusters(task, parts)
    yield from _labels(task, parts)
    if task.kind is Kind.TOKEN:
        yield from _tags(task, parts)
    yield from _sizes(task)
    yield from _lengths(task, parts, length)


def _copies(task: Task, parts: Mapping[str, Sequence[Example]]) -> Iterator[Finding]:
    same: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for split, rows in parts.items():
        for row in rows:
            # Without letters and digits there is only the text itself to compare.
            same[comparable(row.text) or row.text][split].append(row)
    groups = [by_split for by_split in same.values() if sum(map(len, by_split.values())) > 1]
    for split, rows in parts.items():
        again = [row for group in groups for row in group.get(split, [])[1:]]
        if again:
            text = "Rows whose text was in the split before (but for case, punctuation, spacing)."
            yield _finding(Level.NOTE, "duplicate", task, text, split, rows=_in_order(again, rows))
    for one, other in combinations(PARTS, 2):
        shared = [row for group in groups if one in group for row in group.get(other, ())]
        if shared:
            shared = _in_order(shared, parts[other])
            text = f"Rows whose text is in {one} too: {_harm(one, other)}. Keep them in one."
            code = f"duplicate-{one}-{other}"
            yield _finding(Level.WARNING, code, task, text, other, rows=shared)
    torn = []
    for group in groups:
        copies = [row for members in group.values() for row in members]
        if len({row.gold for row in copies}) > 1:
            torn += copies
    if torn:
        text = "Rows with equal texts and different labels: nobody can be right about all of them."
        yield _finding(Level.WARNING, "conflicting-labels", task, text, None, rows=torn)


def _in_order(some: Sequence[Example], rows: Sequence[Example]) -> list[Example]:
    """Return ``some`` of ``rows`` as they follow each other there."""
    ids = {row.id for row in some}
    return [row for row in rows if row.id in ids]


def _harm(one: str, other: str) -> str:
    if one == "validation":
        return "what was tuned on is judged again"
    if other == "validation":
        return "checkpoints and groupings are decided on rows that were learned by heart"
    return "test rows that were learned by heart are no test"


def _clusters(task: Task, parts: Mapping[str, Sequence[Example]]) -> Iterator[Finding]:
    there = {
        split: {row.cluster for row in rows if row.cluster is not None}
        for split, rows in parts.items()
    }
    for one, other in combinations(PARTS, 2):
        both = there[one] & there[other]
        rows = [row for row in parts[other] if row.cluster in both]
        if rows:
            text = f"Rows of {len(both)} documents or patients that are in {one} too:"
            text += " rows of one are alike, so scores are too good."
            yield _finding(Level.WARNING, f"cluster-{one}-{other}", task, text, other, rows=rows)


def _labels(task: Task, parts: Mapping[str, Sequence[Example]]) -> Iterator[Finding]:
    counts = {split: label_counts(rows) for split, rows in parts.items()}
    seen = [index for index in range(len(task.labels)) if counts["train"][index]]
    for split in ("validation", "test"):
        unseen = [i for i in counts[split] if not counts["train"][i]]
        if unseen:
            rows = [row for row in parts[split] if not set(unseen).isdisjoint(_golds(row))]
            text = f"Rows of labels that train never shows: {_named(task, sorted(unseen))}."
            yield _finding(Level.WARNING, "label-unseen", task, text, split, rows=rows)
    unused = [i for i in range(len(task.labels)) if not any(c[i] for c in counts.values())]
    if unused:
        text = f"The card lists labels that no row has: {_named(task, unused)}."
        yield Finding(Level.NOTE, "label-unused", task.name, text, None, len(unused))
    rare = [i for i in seen if counts["train"][i] < MIN_TRAIN]
    if rare:
        text = f"Labels with fewer than {MIN_TRAIN} train rows: {_named(task, rare)}."
        yield Finding(Level.NOTE, "label-rare", task.name, text, "train", len(rare))
    untested = [i for i in seen if not counts["test"][i]]
    if untested:
        text = f"Labels that test never asks for: {_named(task, untested)}."
        yield Finding(Level.NOTE, "label-untested", task.name, text, "test", len(untested))
    if len(seen) == 1 and task.kind is not Kind.MULTILABEL:
        text = f"Train has one label only, {task.labels[seen[0]]!r}: there is nothing to learn."
        yield Finding(Level.WARNING, "one-label", task.name, text, "train", 1)


def _tags(task: Task, parts: Mapping[str, Sequence[Example]]) -> Iterator[Finding]:
    for split, rows in parts.items():
        odd = [row for row in rows if _irregular([task.labels[i] for i in _golds(row)])]
        if odd:
            text = "Rows with an I- tag that follows no tag of its type; it is read as a B-."
            yield _finding(Level.NOTE, "tag-irregular", task, text, split, rows=odd)


def _irregular(tags: Sequence[str]) -> bool:
    before = ["O", *tags]
    return any(
        tag.startswith("I-") and last[2:] != tag[2:]
        for last, tag in zip(before, tags, strict=False)
    )


def _sizes(task: Task) -> Iterator[Finding]:
    dev_b, test = _units(task.examples(Split.DEV_B)), _units(task.examples(Split.TEST))
    if dev_b < MIN_DEV_B:
        text = f"Half of validation decides groupings, {dev_b} rows (or documents). Mean PVI is"
        text += f" known to about ±{1.96 / math.sqrt(dev_b):.2f} bits then, and the margin of pvi"
        text += f" is 0.25; {2 * MIN_DEV_B} in validation would do."
        yield Finding(Level.WARNING, "small-validation", task.name, text, "validation", dev_b)
    if test < MIN_TEST:
        text = f"An accuracy over {test} rows (or documents) is known to"
        text += f" about ±{98 / math.sqrt(test):.0f} points."
        yield Finding(Level.NOTE, "small-test", task.name, text, "test", test)


def _units(rows: Sequence[Example]) -> int:
    """Return how many rows are independent: clusters count once."""
    return len(
        {("row", row.id) if row.cluster is None else ("cluster", row.cluster) for row in rows}
    )


def _lengths(
    task: Task, parts: Mapping[str, Sequence[Example]], length: Length
) -> Iterator[Finding]:
    for split, rows in parts.items():
        cut = length.cut(rows)
        if cut:
            share = len(cut) / len(rows)
            text = f"Rows of more than {length.most} sub-words ({length.how}), {share:.1%}: an"
            text += " encoder cuts them."
            level = Level.WARNING if share > OFTEN_CUT else Level.NOTE
            yield _finding(level, "too-long", task, text, split, rows=cut)


def _golds(row: Example) -> tuple[int, ...]:
    return (row.gold,) if isinstance(row.gold, int) else row.gold or ()


def _named(task: Task, indices: Sequence[int]) -> str:
    names = [task.labels[i] for i in indices]
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"  # noqa: PLR2004 - a line


def _finding(  # noqa: PLR0913 - a finding has as many parts
    level: Level, code: str, task: Task, text: str, split: str | None, *, rows: Sequence[Example]
) -> Finding:
    return Finding(level, code, task.name, text, split, len(rows), first(rows))
