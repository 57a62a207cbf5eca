"""Offers the calibration suites and their tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.hookspecs import hookimpl
from groupbench_tasks.calibration.suites import Calibration, CalibrationAgree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.suite import SuiteSpec
    from groupbench.task import Task


@hookimpl
def groupbench_register_suites() -> Iterable[type[SuiteSpec]]:
    return [Calibration, CalibrationAgree]


@hookimpl
def groupbench_register_tasks() -> Iterable[Task]:
    return [*Calibration().build(), *CalibrationAgree().build()]
