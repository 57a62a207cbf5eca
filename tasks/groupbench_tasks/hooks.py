"""Offers the calibration suites and their tasks, and the cards of public and credentialed data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.hookspecs import hookimpl
from groupbench_tasks.calibration.suites import Calibration, CalibrationAgree
from groupbench_tasks.restricted.loader import Restricted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.suite import SuiteSpec
    from groupbench.task import Task

CARDS = Path(__file__).parent / "cards"


@hookimpl
def groupbench_register_suites() -> Iterable[type[SuiteSpec]]:
    return [Calibration, CalibrationAgree]


@hookimpl
def groupbench_register_tasks() -> Iterable[Task | Path]:
    return [CARDS, *Calibration().build(), *CalibrationAgree().build()]


@hookimpl
def groupbench_register_loaders() -> Iterable[type]:
    return [Restricted]
