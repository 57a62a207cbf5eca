"""Groupings that a task's description alone decides."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groupbench.errors import GroupingError
from groupbench.grouping import Grouping, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.suite import Suite
    from groupbench.task import Task
    from groupbench.workbench import Workbench


@dataclass(frozen=True, slots=True)
class ByDomain:
    """One group for each domain that cards name."""

    name: ClassVar[str] = "by-domain"
    summary: ClassVar[str] = "one group a domain: an expert's guess"

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del suite, workbench
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        return _by("domain", {task.name: task.domain for task in suite})


@dataclass(frozen=True, slots=True)
class ByKind:
    """One group for each kind of task."""

    name: ClassVar[str] = "by-kind"
    summary: ClassVar[str] = "one group a kind: single, pair, multilabel, token"

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del suite, workbench
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        return _by("kind", {task.name: str(task.kind) for task in suite})


@dataclass(frozen=True, slots=True)
class ByFamily:
    """One group for each planted family: the truth of generated tasks, so no competitor."""

    name: ClassVar[str] = "by-family"
    summary: ClassVar[str] = "one group a planted family: the truth, where tasks are generated"
    oracle: ClassVar[bool] = True

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del workbench
        for task in suite:
            _family(task)
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        """Return the planted families.

        Raises:
            GroupingError: a task has none.
        """
        del workbench
        return _by("family", {task.name: _family(task) for task in suite})


def _family(task: Task) -> str:
    family = task.planted.family if task.planted else None
    if family is None:
        raise GroupingError(
            f"by-family: {task.where} has no planted family. Only generated suites have one, such "
            "as calibration; leave by-family out for others."
        )
    return family


def _by(what: str, values: Mapping[str, str]) -> Grouping:
    blocks = defaultdict(list)
    for task, value in sorted(values.items()):
        blocks[value].append(task)
    return Grouping.partition(blocks.values(), evidence={what: dict(sorted(values.items()))})
