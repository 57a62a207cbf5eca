"""The two ends: each task alone, and all tasks together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groupbench.grouping import Grouping, Plan

if TYPE_CHECKING:
    from groupbench.suite import Suite
    from groupbench.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Single:
    """Each task alone: the denominator of all gains."""

    name: ClassVar[str] = "single"
    summary: ClassVar[str] = "each task alone: the single-task learners"

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del suite, workbench
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        return Grouping.partition([name] for name in suite.names)


@dataclass(frozen=True, slots=True)
class All:
    """All tasks in one group: naive multi-task learning."""

    name: ClassVar[str] = "all"
    summary: ClassVar[str] = "all tasks in one model"

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del suite, workbench
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        return Grouping.partition([suite.names])
