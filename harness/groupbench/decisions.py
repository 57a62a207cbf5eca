"""Groupings in the store: decided once, with the evidence they rest on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from groupbench.grouping import Group, Grouping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.store import Record, Store


def grouping_json(grouping: Grouping) -> dict[str, Any]:
    """Return a grouping as JSON: groups, evidence, warnings."""
    return {
        "groups": [{"trains": list(g.trains), "serves": list(g.serves)} for g in grouping],
        "evidence": dict(grouping.evidence),
        "warnings": list(grouping.warnings),
    }


def grouping_of(document: Mapping[str, Any]) -> Grouping:
    """Return the grouping that `grouping_json` wrote."""
    return Grouping(
        tuple(Group(tuple(g["trains"]), tuple(g["serves"])) for g in document["groups"]),
        evidence=document["evidence"],
        warnings=tuple(document["warnings"]),
    )


def write_grouping(store: Store, key: str, grouping: Grouping, strategy: str) -> None:
    """Store a decision under its key."""
    with store.draft("groupings", key) as draft:
        text = json.dumps(grouping_json(grouping), allow_nan=False, ensure_ascii=False)
        (draft.folder / "grouping.json").write_text(text, encoding="utf-8")
        draft.commit({"strategy": strategy})


def read_grouping(record: Record) -> Grouping:
    """Return a stored decision."""
    return grouping_of(json.loads(record.path("grouping.json").read_text(encoding="utf-8")))
