"""The TOML of a new card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.authoring import toml
from groupbench.errors import CardError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.cards.card import TaskCard


def card_text(card: TaskCard, why: Mapping[str, str]) -> str:
    """Return a card as TOML, with comments that say how things were decided.

    Args:
        card: what it shall say; it is read back equal.
        why: by role of a column, and ``kind``, ``metrics``, ``splits``.

    Raises:
        CardError: a name holds half a surrogate pair, which no TOML can hold.
    """
    metrics = f"the first ranks; {why['metrics']}"
    try:
        lines = [
            toml.comment(
                "Written by `groupbench tasks new`. What follows a # was guessed: have a look."
            ),
            f"name = {toml.text(card.name)}",
            f"kind = {toml.text(card.kind)}  {toml.comment(why['kind'])}",
            *([] if card.domain == "unstated" else [f"domain = {toml.text(card.domain)}"]),
            f"data_class = {toml.text(card.data_class)}",
            f"labels = {toml.texts(card.labels, indent=9)}",
            f"metrics = {toml.texts(card.metrics)}  {toml.comment(metrics)}",
        ]
        if card.positive_label is not None:
            lines.append(f"positive_label = {toml.text(card.positive_label)}")
        for role, column in (("id", card.id_column), ("cluster", card.cluster_column)):
            if column is not None:
                lines.append(f"{role}_column = {toml.text(column)}  {toml.comment(why[role])}")
        if card.columns:
            lines += ["", "[columns]"]
            lines += [
                f"{role} = {toml.text(column)}"
                + (f"  {toml.comment(why[role])}" if role in why else "")
                for role, column in card.columns.items()
            ]
        lines += ["", "[files]"]
        for split, name in card.files.items():
            lines.append(f"{split} = {toml.text(name) if isinstance(name, str) else 'false'}")
        if card.divide:
            lines += ["", f"[divide]  {toml.comment(why['splits'])}"]
            lines += [f"{split} = {share}" for split, share in card.divide.items()]
    except ValueError:
        raise CardError(
            f"{card.path}: a label or the name of a column or file is not valid Unicode; rename it."
        ) from None
    return "\n".join(lines) + "\n"
