"""Strategies that need evidence, peek, or raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groupbench.errors import IncompatibleError
from groupbench.grouping import Group, Grouping, Plan, PlannedFits
from groupbench.task import Split

if TYPE_CHECKING:
    from groupbench.suite import Suite
    from groupbench.workbench import Workbench


@dataclass(frozen=True)
class HalvesStrategy:
    """Halves the suite by dev-B accuracy of single fits."""

    name: ClassVar[str] = "halves"
    summary: ClassVar[str] = "Needs every single fit; for tests."

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del workbench
        return Plan((PlannedFits(tuple(Group.of([name]) for name in suite.names)),))

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        fits = workbench.fits([Group.of([name]) for name in suite.names])
        right = dict.fromkeys(suite.names, 0.0)
        for (group, _), fit in fits.items():
            predictions = fit.predictions(group.trains[0], Split.DEV_B)
            right[group.trains[0]] += float((predictions.gold == predictions.predicted).mean())
        order = sorted(suite.names, key=lambda name: (right[name], name))
        middle = len(order) // 2
        blocks = [block for block in (order[:middle], order[middle:]) if block]
        return Grouping.partition(blocks, evidence={"right": right})


@dataclass(frozen=True)
class PeekingStrategy(HalvesStrategy):
    """Reaches for what it must not see."""

    name: ClassVar[str] = "peeking"
    summary: ClassVar[str] = "Peeks; for tests."
    at: str = "suite"
    """suite or fits."""

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        if self.at == "suite":
            suite.tasks[0].examples(Split.TEST)
        else:
            group = Group.of(suite.names[:1])
            fit = workbench.fits([group])[group, workbench.seeds[0]]
            fit.predictions(group.trains[0], Split.TEST)
        return Grouping.partition([suite.names])


@dataclass(frozen=True)
class UnfitStrategy(HalvesStrategy):
    """Goes together with nothing."""

    name: ClassVar[str] = "unfit"
    summary: ClassVar[str] = "Fits no runner; for tests."

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del suite, workbench
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        raise IncompatibleError(f"unfit needs what {suite.names[0]} lacks.")


@dataclass(frozen=True)
class RaisingStrategy:
    """Raises."""

    name: ClassVar[str] = "raising"
    summary: ClassVar[str] = "Raises; for tests."

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del suite, workbench
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del suite, workbench
        raise KeyError("a plugin may raise anything")
