"""What this plugin registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.grouping import GroupingStrategy


@hookimpl
def groupbench_register_groupings() -> Iterable[type[GroupingStrategy]]:
    """Return ``pvi`` and ``pvi-paper``."""
    from groupbench_pvi.strategy import Pvi, PviPaper

    return [Pvi, PviPaper]
