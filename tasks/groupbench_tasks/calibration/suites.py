"""The calibration suites as the engine sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groupbench.suite import Suite
from groupbench.task import DataClass, Task
from groupbench_tasks.calibration.design import AGREE, CALIBRATION, METRICS
from groupbench_tasks.calibration.truth import planted
from groupbench_tasks.calibration.world import world_of

if TYPE_CHECKING:
    from groupbench.task import TaskData
    from groupbench_tasks.calibration.design import SuiteDesign

DESIGNS = {design.name: design for design in (CALIBRATION, AGREE)}


@dataclass(frozen=True)
class CalibrationLoader:
    """Draws one task of one world. It holds names only, never the truth."""

    suite: str
    world: int
    task: str

    def __call__(self) -> TaskData:
        drawn = world_of(DESIGNS[self.suite], self.world).draw(self.task)
        return {split: part.examples for split, part in drawn.items()}


def build_suite(design: SuiteDesign, world: int) -> Suite:
    """Return a suite of one world; its data are drawn when a task is asked for them."""
    tasks = tuple(
        Task(
            name=task.name,
            kind=task.rule.kind,
            labels=task.rule.labels,
            metrics=METRICS[task.rule.kind],
            loader=CalibrationLoader(design.name, world, task.name),
            domain=task.domain,
            data_class=DataClass.OPEN,
            source=f"suite {design.name}",
            planted=planted(task),
        )
        for task in design.tasks
    )
    return Suite(design.name, tasks, note=design.note)


def _check_world(world: int) -> None:
    if world < 0:
        raise ValueError(f"world = {world} must be 0 or more.")


@dataclass(frozen=True)
class Calibration:
    """Difficulty, family and domain are three different answers."""

    name: ClassVar[str] = "calibration"
    summary: ClassVar[str] = "nine generated tasks; difficulty, family and domain disagree"
    note: ClassVar[str] = CALIBRATION.note

    world: int = 1
    """Seed of the words, the truth, the sentences and the noise; 1 to 4 are measured."""

    def __post_init__(self) -> None:
        _check_world(self.world)

    def build(self) -> Suite:
        """Return the suite of this world."""
        return build_suite(CALIBRATION, self.world)


@dataclass(frozen=True)
class CalibrationAgree:
    """Difficulty and family are one answer; domain is another."""

    name: ClassVar[str] = "calibration-agree"
    summary: ClassVar[str] = "nine generated tasks; difficulty and family agree"
    note: ClassVar[str] = AGREE.note

    world: int = 1
    """Seed of the words, the truth, the sentences and the noise."""

    def __post_init__(self) -> None:
        _check_world(self.world)

    def build(self) -> Suite:
        """Return the suite of this world."""
        return build_suite(AGREE, self.world)
