"""What this plugin offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.hookspecs import hookimpl
from groupbench_groupings.ends import All, Single
from groupbench_groupings.fixed import Fixed
from groupbench_groupings.metadata import ByDomain, ByFamily, ByKind
from groupbench_groupings.random_grouping import Random

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.grouping import GroupingStrategy


@hookimpl
def groupbench_register_groupings() -> Iterable[type[GroupingStrategy]]:
    return Single, All, Random, ByDomain, ByKind, ByFamily, Fixed
