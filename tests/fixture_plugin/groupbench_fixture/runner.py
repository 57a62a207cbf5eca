"""A runner that guesses from hashes: quick, deterministic, and seeded."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from groupbench.canonical import digest
from groupbench.errors import Diverged
from groupbench.predictions import Output
from groupbench.runner import Costs, FitResult, Place, Resources

if TYPE_CHECKING:
    from groupbench.runner import FitRequest
    from groupbench.task import Split


@dataclass(frozen=True)
class CountingRunner:
    """Predicts from hashes, and writes a line to a file whenever it starts a fit."""

    name: ClassVar[str] = "counting"
    summary: ClassVar[str] = "Guesses; for tests."
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = True
    seeded: ClassVar[bool] = True
    preload: ClassVar[tuple[str, ...]] = ()
    deciding_modules: ClassVar[tuple[str, ...]] = ()

    log: str = ""
    """The file that gets a line for each fit; the variable FIXTURE_LOG names one without a key."""
    seconds: float = 0.0
    """How long a fit sleeps."""
    fails_on: str = ""
    """A task whose fits fail."""
    manner: str = "raise"
    """How: raise, die, diverge, once (dies the first time), nan."""
    skill: float = 0.8
    """The share of right answers."""

    def availability(self) -> str | None:
        return None

    def place(self) -> Place:
        return Place.LOCAL

    def resources(self, *_: object) -> Resources:
        return Resources()

    def identity(self) -> dict[str, str]:
        return {}

    def fit(self, request: FitRequest) -> FitResult:
        import numpy as np

        names = "+".join(item.task.name for item in request.tasks)
        if log := self.log or os.environ.get("FIXTURE_LOG"):
            with Path(log).open("a") as file:
                file.write(f"{names} {request.seed}\n")
        time.sleep(self.seconds)
        if self.fails_on and self.fails_on in names.split("+"):
            self._fail(request)
        outputs: dict[str, dict[Split, Output]] = {}
        for item in request.tasks:
            outputs[item.task.name] = {}
            for split, examples in item.predict.items():
                n_labels = len(item.task.labels)
                log_probs = np.full((len(examples), n_labels), np.log(0.2 / max(n_labels - 1, 1)))
                guesses = [
                    int(digest([names, request.seed, e.id])[:8], 16) % n_labels for e in examples
                ]
                log_probs[np.arange(len(examples)), guesses] = np.log(0.8)
                outputs[item.task.name][split] = Output(np.asarray(guesses), log_probs)
        n_rows = sum(len(item.train) for item in request.tasks)
        return FitResult(
            outputs,
            Costs(train_seconds=self.seconds, example_steps=n_rows, n_parameters=10),
        )

    def _fail(self, request: FitRequest) -> None:
        if self.manner == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.manner == "diverge":
            raise Diverged(f"NaN with seed {request.seed}")
        if self.manner == "once":
            marker = Path(f"{self.log}.died")
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return
        raise RuntimeError("told to fail\nwith a second line")


@dataclass(frozen=True)
class AbsentRunner(CountingRunner):
    """Cannot run here."""

    name: ClassVar[str] = "absent"
    summary: ClassVar[str] = "Never available; for tests."

    def availability(self) -> str | None:
        return "its engine is not installed: pip install 'nothing'"


@dataclass(frozen=True)
class CloudRunner(CountingRunner):
    """Sends text away; it must never be asked to with private tasks."""

    name: ClassVar[str] = "cloud"
    summary: ClassVar[str] = "Says that it sends text away; for tests."
    trains: ClassVar[bool] = False
    shares: ClassVar[bool] = False

    def place(self) -> Place:
        return Place.EXTERNAL
