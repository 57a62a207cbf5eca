"""What a run would compute, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from groupbench.report.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping


def plan_table(document: Mapping[str, Any]) -> Text:
    """Return a ``plan`` document as text."""
    fits = document["fits"]
    missing = fits["distinct"] - fits["cached"]
    lines = [
        f"Fits to compute: {missing} of {fits['distinct']} distinct ({fits['cached']} stored). "
        f"Without sharing it would be {fits['naive']}.",
        f"Training examples to see, repeats included: {document['example_steps']:,}.",
    ]
    seconds = document["seconds"]
    if seconds is not None:
        lines.append(f"About {seconds / 60:.1f} minutes of one process, judged by stored fits.")
    elif missing:
        lines.append("How long that takes is not known: no fit of these runners is stored.")
    if document["undecided"]:
        lines.append(
            f"Not decided yet, counted as groups of one: {', '.join(document['undecided'])}."
        )
    for row in (*document["refused"], *document["skipped"]):
        which = "/".join(filter(None, [row["grouping"], row["runner"]]))
        lines.append(f"{row['status']}: {which}: {row['reason']}")
    return Text("\n".join(map(plain, lines)))
