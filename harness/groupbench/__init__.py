"""Decide which NLP tasks to fine-tune together.

Everything in ``__all__`` is the public Python API. Names are imported when they are first used, so
that ``import groupbench`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groupbench.cell import Cell, Entry, Spent, Status
    from groupbench.errors import (
        CardError,
        DataError,
        Diverged,
        ExperimentError,
        GroupbenchError,
        GroupingError,
        HeldBackError,
        NothingToRunError,
        PluginError,
        PolicyError,
        SettingError,
        StoreError,
        UnknownNameError,
    )
    from groupbench.execute import Ending, Executor, Job, JobEnd, Session, perform
    from groupbench.experiment import Experiment
    from groupbench.grouping import Group, Grouping, GroupingStrategy, Plan, PlannedFits
    from groupbench.hookspecs import hookimpl
    from groupbench.leaderboard import Leaderboard
    from groupbench.metrics import Metric
    from groupbench.plugins import Plugins
    from groupbench.predictions import NO_ANSWER, Outcome, Output, Predictions
    from groupbench.runner import (
        Batch,
        Costs,
        FitRequest,
        FitResult,
        Place,
        Probe,
        Resources,
        Restorable,
        Runner,
        TaskInput,
        TrainableModel,
    )
    from groupbench.settings import Spec
    from groupbench.store import Store
    from groupbench.suite import Suite, SuiteSpec
    from groupbench.task import DataClass, Example, Kind, Loader, Planted, Split, Task
    from groupbench.variants import Blank, Fold, Variant
    from groupbench.workbench import FitEvidence, Workbench

    __version__: str

API = 1
"""Version of the contract with plugins; a plugin's ``GROUPBENCH_API`` is compared with it."""

__all__ = [
    "API",
    "NO_ANSWER",
    "Batch",
    "Blank",
    "CardError",
    "Cell",
    "Costs",
    "DataClass",
    "DataError",
    "Diverged",
    "Ending",
    "Entry",
    "Example",
    "Executor",
    "Experiment",
    "ExperimentError",
    "FitEvidence",
    "FitRequest",
    "FitResult",
    "Fold",
    "Group",
    "GroupbenchError",
    "Grouping",
    "GroupingError",
    "GroupingStrategy",
    "HeldBackError",
    "Job",
    "JobEnd",
    "Kind",
    "Leaderboard",
    "Loader",
    "Metric",
    "NothingToRunError",
    "Outcome",
    "Output",
    "Place",
    "Plan",
    "PlannedFits",
    "Planted",
    "PluginError",
    "Plugins",
    "PolicyError",
    "Predictions",
    "Probe",
    "Resources",
    "Restorable",
    "Runner",
    "Session",
    "SettingError",
    "Spec",
    "Spent",
    "Split",
    "Status",
    "Store",
    "StoreError",
    "Suite",
    "SuiteSpec",
    "Task",
    "TaskInput",
    "TrainableModel",
    "UnknownNameError",
    "Variant",
    "Workbench",
    "__version__",
    "hookimpl",
    "perform",
]

_HOMES = {
    "cell": ("Cell", "Entry", "Spent", "Status"),
    "errors": (
        "CardError",
        "DataError",
        "Diverged",
        "ExperimentError",
        "GroupbenchError",
        "GroupingError",
        "HeldBackError",
        "NothingToRunError",
        "PluginError",
        "PolicyError",
        "SettingError",
        "StoreError",
        "UnknownNameError",
    ),
    "execute": ("Ending", "Executor", "Job", "JobEnd", "Session", "perform"),
    "experiment": ("Experiment",),
    "grouping": ("Group", "Grouping", "GroupingStrategy", "Plan", "PlannedFits"),
    "hookspecs": ("hookimpl",),
    "leaderboard": ("Leaderboard",),
    "metrics": ("Metric",),
    "plugins": ("Plugins",),
    "predictions": ("NO_ANSWER", "Outcome", "Output", "Predictions"),
    "runner": (
        "Batch",
        "Costs",
        "FitRequest",
        "FitResult",
        "Place",
        "Probe",
        "Resources",
        "Restorable",
        "Runner",
        "TaskInput",
        "TrainableModel",
    ),
    "settings": ("Spec",),
    "store": ("Store",),
    "suite": ("Suite", "SuiteSpec"),
    "task": (
        "DataClass",
        "Example",
        "Kind",
        "Loader",
        "Planted",
        "Split",
        "Task",
    ),
    "variants": ("Blank", "Fold", "Variant"),
    "workbench": ("FitEvidence", "Workbench"),
}
"""Where each public name lives."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    from importlib import import_module

    if name == "__version__":
        value: object = _version()
    else:
        home = next((module for module, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module 'groupbench' has no attribute {name!r}")
        value = getattr(import_module(f"groupbench.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("groupbench")
    except metadata.PackageNotFoundError:  # run from a source tree that nobody installed
        return "0+unknown"
