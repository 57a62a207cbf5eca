"""What a fit is made of, and the key of that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from groupbench.canonical import digest
from groupbench.code import deciding_code
from groupbench.grouping import Group
from groupbench.runner import PREDICTED
from groupbench.settings import deciding_settings, label, settings_of

if TYPE_CHECKING:
    from groupbench.canonical import Json
    from groupbench.runner import Probe, Runner
    from groupbench.task import Split, Task

ENGINE_MODULES = ("groupbench.execute", "groupbench.predictions")
"""Engine code that decides every fit: leak rule, retries, how outputs meet golds."""


@dataclass(frozen=True)
class RunnerIdentity:
    """Everything about a configured runner that decides its results, computed once a run."""

    runner: Runner

    @cached_property
    def ingredients(self) -> dict[str, Json]:
        """Name, settings, weights and device, and deciding code."""
        cls = type(self.runner)
        return {
            "runner": self.runner.name,
            "settings": deciding_settings(self.runner),
            "identity": dict(self.runner.identity()),
            "code": deciding_code(cls, (*ENGINE_MODULES, *cls.deciding_modules)),
        }

    @cached_property
    def label(self) -> str:
        """The spec that makes the runner."""
        return label(self.runner)


@dataclass(frozen=True, eq=False)
class FitOrder:
    """One group to train once with one seed, over these very tasks. A fit's key is made of this.

    Paths, the order of tasks, the experiment and metrics are no part of it.
    """

    identity: RunnerIdentity
    tasks: tuple[Task, ...]
    """With all their data, sorted by name."""
    seed: int
    probes: tuple[Probe, ...] = ()
    keep_weights: bool = False
    splits: tuple[Split, ...] = PREDICTED
    """What is predicted: everything by a model that was trained, else what was asked for."""

    def __post_init__(self) -> None:
        if self.runner.trains:
            object.__setattr__(self, "splits", PREDICTED)
        object.__setattr__(self, "tasks", tuple(sorted(self.tasks, key=lambda t: t.name)))
        if not self.runner.seeded:
            object.__setattr__(self, "seed", 0)

    @property
    def runner(self) -> Runner:
        """The configured runner."""
        return self.identity.runner

    @property
    def group(self) -> Group:
        """The group that this trains."""
        return Group.of(task.name for task in self.tasks)

    @property
    def label(self) -> str:
        """What progress and messages call this fit."""
        return f"{self.identity.label} {'+'.join(t.name for t in self.tasks)} seed {self.seed}"

    @cached_property
    def ingredients(self) -> dict[str, Json]:
        """What the key is made of; `groupbench explain` prints it.

        Library versions, threads and hardware are provenance, kept in the record, not here.
        """
        acting = [probe_identity(p) for p in self.probes if p.acts_during_training]
        return {
            **self.identity.ingredients,
            "tasks": {task.name: task.fingerprint for task in self.tasks},
            "seed": self.seed,
            "probes": acting,
            **_told(self.runner, self.tasks),
            **({} if self.runner.trains else {"splits": [str(split) for split in self.splits]}),
        }

    @cached_property
    def key(self) -> str:
        """The fit's content address."""
        return digest(self.ingredients)

    def measurement_key(self, probe: Probe) -> str:
        """Return the content address of what ``probe`` measures on this fit at its end."""
        return digest({"fit": self.key, "probe": probe_identity(probe)})

    def materialised(self) -> tuple[Task, ...]:
        """Return the tasks as they travel to the fit's process: with data, without the truth."""
        return tuple(task.with_data(dict(task.data)) for task in self.tasks)


def _told(runner: Runner, tasks: tuple[Task, ...]) -> dict[str, Json]:
    """Return what decides a fit beyond the fingerprints of its tasks, if the runner says so."""
    tell = getattr(runner, "task_identity", None)
    return {} if tell is None else {"task_identity": {task.name: tell(task) for task in tasks}}


def probe_identity(probe: Probe) -> dict[str, Json]:
    """Return what decides a probe's arrays: its class, settings and package."""
    cls = type(probe)
    return {
        "probe": f"{cls.__module__}.{cls.__qualname__}",
        "settings": settings_of(probe),
        "code": deciding_code(cls),
    }
