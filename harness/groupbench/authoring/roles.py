"""What the columns of a task are for: as the user says, and as it was found out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.authoring.doubts import Doubt
    from groupbench.task import Kind


@dataclass(frozen=True)
class Asked:
    """What the user said of the columns; ``None`` and empty: find out."""

    kind: Kind | None = None
    texts: tuple[str, ...] = ()
    label: str | None = None
    id: str | None = None
    cluster: str | None = None


@dataclass
class Guess:
    """The kind, the column of each role, the labels; why, and what is in doubt."""

    kind: Kind
    columns: dict[str, str]
    """By role: those of `groupbench.cards.data.ROLES`, and ``id`` and ``cluster``."""
    labels: tuple[str, ...]
    counts: Mapping[str, int]
    """How often each label occurs, over all splits; in words of token tasks."""
    why: dict[str, str] = field(default_factory=dict)
    """By role, and ``kind``: how it was found."""
    doubts: list[Doubt] = field(default_factory=list)
