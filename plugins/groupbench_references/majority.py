"""The runner that knows only how often labels occur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groupbench.runner import Costs, FitResult, Place, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.canonical import Json
    from groupbench.grouping import Group
    from groupbench.runner import FitRequest
    from groupbench.suite import Suite


@dataclass(frozen=True, slots=True)
class MajorityRunner:
    """Says the commonest label of train about everything, with the labels' frequencies."""

    name: ClassVar[str] = "majority"
    summary: ClassVar[str] = "the commonest label of train: what a model without input can do"
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    preload: ClassVar[tuple[str, ...]] = ()
    deciding_modules: ClassVar[tuple[str, ...]] = ("groupbench.predictions",)

    def availability(self) -> str | None:
        return None

    def place(self) -> Place:
        return Place.LOCAL

    def resources(self, group: Group, suite: Suite) -> Resources:
        del group, suite
        return Resources(cpus=1)

    def identity(self) -> Mapping[str, Json]:
        return {}

    def fit(self, request: FitRequest) -> FitResult:
        """Count the labels of train; each task is fitted on its own."""
        import time

        from groupbench_references.priors import label_counts, prior_output

        started = time.perf_counter()
        counts = {given.task.name: label_counts(given.task, given.train) for given in request.tasks}
        trained = time.perf_counter()
        outputs = {
            given.task.name: {
                split: prior_output(given.task, counts[given.task.name], examples)
                for split, examples in given.predict.items()
            }
            for given in request.tasks
        }
        return FitResult(
            outputs,
            Costs(
                train_seconds=trained - started,
                predict_seconds=time.perf_counter() - trained,
                n_predicted=sum(len(e) for g in request.tasks for e in g.predict.values()),
                example_steps=sum(len(given.train) for given in request.tasks),
                n_parameters=sum(len(given.task.labels) for given in request.tasks),
            ),
        )
