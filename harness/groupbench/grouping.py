"""Groups, groupings, and the strategies that propose them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from groupbench.errors import GroupingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from groupbench.runner import Probe
    from groupbench.suite import Suite
    from groupbench.variants import Variant
    from groupbench.workbench import Workbench


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Tasks trained in one model, and those whose predictions are taken from it.

    Names are kept sorted, so that equal groups are equal however they were written.

    >>> Group(trains=("rte", "mnli"), serves=("rte",))
    Group(trains=('mnli', 'rte'), serves=('rte',))
    """

    trains: tuple[str, ...]
    serves: tuple[str, ...]
    """A subset of ``trains``: smaller where other tasks only help."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "trains", tuple(sorted(self.trains)))
        object.__setattr__(self, "serves", tuple(sorted(self.serves)))
        for names in (self.trains, self.serves):
            if not names:
                raise GroupingError("A group trains and serves at least one task.")
            if len(set(names)) != len(names):
                raise GroupingError(f"A group names a task twice: {', '.join(names)}.")
        if untrained := sorted(set(self.serves) - set(self.trains)):
            raise GroupingError(f"Served but not trained: {', '.join(untrained)}.")

    @classmethod
    def of(cls, tasks: Iterable[str]) -> Group:
        """Return the group that trains and serves ``tasks``."""
        names = tuple(tasks)
        return cls(trains=names, serves=names)

    def __len__(self) -> int:
        return len(self.trains)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups whose ``serves`` partition a suite.

    A partition, overlapping groups and per-target source sets are all this one type. Groups are
    kept in sorted order, and one that serves nobody cannot exist.
    """

    groups: tuple[Group, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What the decision rests on, as JSON; ``affinity`` is shown as a matrix."""
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(sorted(self.groups)))
        served = [task for group in self.groups for task in group.serves]
        if twice := sorted({task for task in served if served.count(task) > 1}):
            raise GroupingError(f"Served by more than one group: {', '.join(twice)}.")
        if unserved := sorted({t for g in self.groups for t in g.trains} - set(served)):
            raise GroupingError(f"Trained but served by no group: {', '.join(unserved)}.")

    @classmethod
    def partition(
        cls,
        blocks: Iterable[Iterable[str]],
        *,
        evidence: Mapping[str, Any] | None = None,
        warnings: Sequence[str] = (),
    ) -> Grouping:
        """Return the grouping in which each block is trained together and serves itself.

        >>> Grouping.partition([["b"], ["c", "a"]]).groups
        (Group(trains=('a', 'c'), serves=('a', 'c')), Group(trains=('b',), serves=('b',)))
        """
        groups = tuple(Group.of(block) for block in blocks)
        return cls(groups, evidence=evidence or {}, warnings=tuple(warnings))

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def serving(self, task: str) -> Group:
        """Return the group whose model predicts ``task``."""
        for group in self.groups:
            if task in group.serves:
                return group
        raise GroupingError(f"No group serves {task}.")

    def check(self, suite: Suite) -> None:
        """Raise `GroupingError` unless every task of ``suite``, and no other, is served."""
        served = {task for group in self.groups for task in group.serves}
        if missing := sorted(set(suite.names) - served):
            raise GroupingError(f"No group serves {', '.join(missing)}.")
        if foreign := sorted(served - set(suite.names)):
            raise GroupingError(f"Not in suite {suite.name}: {', '.join(foreign)}.")


@dataclass(frozen=True, slots=True)
class PlannedFits:
    """Fits that a strategy will ask its workbench for, each for every seed."""

    groups: tuple[Group, ...]
    variant: Variant | None = None
    """How the tasks' data are changed first: a fold, blank inputs."""
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a strategy will ask for before it can decide: for ``--dry-run`` and for the schedule."""

    fits: tuple[PlannedFits, ...] = ()


class GroupingStrategy(Protocol):
    """Proposes which tasks of a suite share a model. Implemented by plugins.

    A strategy is a frozen dataclass: its fields are its settings, and an instance is one
    configuration. Optional, looked up with a default:

    - ``deciding_modules: ClassVar[tuple[str, ...]]``: engine modules whose code decides its answer;
      its own package always does.
    - ``oracle: ClassVar[bool]``: it is handed the planted truth and marked as an oracle.
    - fields ``draws: int`` and ``draw: int``: it is random; it is proposed ``draws`` times, with
      ``draw`` from 0, and all draws make one entry of the leaderboard.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        """Return the fits and probes that `propose` will ask for."""
        ...

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        """Return a grouping of ``suite``.

        Evidence comes from ``workbench``, which holds back the test split.
        """
        ...
