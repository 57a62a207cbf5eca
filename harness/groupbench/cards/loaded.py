"""Whether the data of a card that come from elsewhere were ever read here, and fitted the card.

A card can be wrong about data that nobody has read yet. So what a loader gave and the card accepted
is noted in the cache, and listings call a card without such a note *unverified*.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from groupbench.cache import cache_folder
from groupbench.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from groupbench.cards.card import TaskCard
    from groupbench.task import Task


@dataclass(frozen=True, slots=True)
class Loaded:
    """That every row was read and fitted the card."""

    date: str
    """``YYYY-MM-DD``, of Greenwich."""
    sizes: Mapping[str, int]
    """Examples by split."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """What the loader says of where it read them, such as the ``revision``."""


def card_of(task: Task) -> TaskCard | None:
    """Return the card that declares a task, if one does."""
    loader = getattr(task.loader, "load", None)
    return cast("TaskCard | None", getattr(loader, "card", None))


def source_key(card: TaskCard) -> str | None:
    """Return what a note is filed under: all that decides whether data fit, and nothing else.

    ``None`` for a card whose data lie beside it.
    """
    if card.source is None:
        return None
    layout = card.layout
    divide = [card.divide] if card.divide else []
    return digest([card.name, card.kind, card.labels, layout.columns, card.source, *divide])


def note_loaded(card: TaskCard, sizes: Mapping[str, int], provenance: Mapping[str, str]) -> None:
    """Note that a card's data were read. Where the cache cannot be written, nothing is noted."""
    key = source_key(card)
    if key is None:
        return
    loaded = Loaded(datetime.now(UTC).date().isoformat(), dict(sizes), dict(provenance))
    path = _path(key)
    aside = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(asdict(loaded)), encoding="utf-8")
        aside.replace(path)


def loaded_before(key: str) -> Loaded | None:
    """Return the note filed under ``key``, if there is a readable one."""
    try:
        document: dict[str, Any] = json.loads(_path(key).read_text(encoding="utf-8"))
        return Loaded(**document)
    except (OSError, ValueError, TypeError):
        return None


def _path(key: str) -> Path:
    return cache_folder("cards") / f"{key}.json"
