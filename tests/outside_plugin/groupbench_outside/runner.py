"""A runner: averaged word vectors, trained on a group of tasks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from groupbench import Costs, FitResult, Kind, Output, Place, Resources, SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench import FitRequest, Group, Suite
    from groupbench_outside.model import AveragedModel


@dataclass(frozen=True)
class Averaged:
    """Averaged word vectors that the tasks of a group share, one linear head for each task."""

    name: ClassVar[str] = "averaged"
    summary: ClassVar[str] = "averaged word vectors shared by a group's tasks; single and pair"
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = True
    seeded: ClassVar[bool] = True
    preload: ClassVar[tuple[str, ...]] = ("groupbench_outside.model",)
    deciding_modules: ClassVar[tuple[str, ...]] = ()

    epochs: int = 10
    """Times that every example is seen."""
    rate: float = 2.0
    """Step size of gradient descent."""
    width: int = 256
    """Length of a word vector."""
    n_words: int = 4096
    """Rows that words are hashed into."""
    batch: int = 16
    """Examples of one task in a step."""

    def __post_init__(self) -> None:
        for name in ("epochs", "width", "n_words", "batch"):
            if getattr(self, name) < 1:
                raise SettingError(f"averaged: {name} = {getattr(self, name)} must be 1 or more.")

    def availability(self) -> str | None:
        return None if find_spec("numpy") else "numpy is not installed: pip install numpy"

    def place(self) -> Place:
        return Place.LOCAL

    def resources(self, group: Group, suite: Suite) -> Resources:  # noqa: ARG002 - of the protocol
        return Resources(cpus=1, memory_bytes=8 * self.n_words * self.width)

    def identity(self) -> Mapping[str, Any]:
        return {}  # there are no weights to start from, and one device

    def fit(self, request: FitRequest) -> FitResult:
        from groupbench_outside.model import AveragedModel

        for item in request.tasks:
            if item.task.kind not in {Kind.SINGLE, Kind.PAIR}:
                raise SettingError(
                    f"averaged: task {item.task.name} is of kind {item.task.kind}; "
                    f"it can do single and pair."
                )
        started = time.perf_counter()
        n_steps = self.epochs * sum(-(-len(item.train) // self.batch) for item in request.tasks)
        model: Any = AveragedModel(
            request.tasks,
            n_words=self.n_words,
            width=self.width,
            n_steps=n_steps,
            seed=request.seed,
        )
        for probe in request.probes:
            probe.before_training(model)
        losses = self._train(model, request)
        trained = time.perf_counter()
        outputs = {
            item.task.name: {
                split: _predict(model, item.task.name, examples)
                for split, examples in item.predict.items()
            }
            for item in request.tasks
        }
        return FitResult(
            outputs=outputs,
            costs=Costs(
                train_seconds=trained - started,
                predict_seconds=time.perf_counter() - trained,
                n_predicted=sum(len(e) for item in request.tasks for e in item.predict.values()),
                example_steps=self.epochs * sum(len(item.train) for item in request.tasks),
                n_parameters=model.vectors.size + sum(head.size for head in model.heads.values()),
            ),
            arrays={probe.name: probe.finish(model) for probe in request.probes},
            training={"losses": losses},
        )

    def _train(self, model: AveragedModel, request: FitRequest) -> list[float]:
        """Visit the tasks' batches in random order; return the mean loss of each epoch, in nats."""
        import numpy as np

        rng = np.random.default_rng([request.seed, 1])
        step, losses = 0, []
        for _ in range(self.epochs):
            batches = []
            for item in request.tasks:
                order = rng.permutation(len(item.train))
                for start in range(0, len(order), self.batch):
                    rows = [item.train[i] for i in order[start : start + self.batch]]
                    gold = np.array([row.gold for row in rows], dtype=np.int64)
                    batches.append((model.encode(item.task.name, rows), gold))
            seen = []
            for i in rng.permutation(len(batches)):
                batch, gold = batches[i]
                seen.append(model.step(batch, gold, self.rate))
                step += 1
                for probe in request.probes:
                    if probe.acts_during_training:
                        offered: Any = model
                        probe.after_step(offered, step)
            losses.append(round(float(np.mean(seen)), 6))
        return losses


def _predict(model: AveragedModel, task: str, examples: Any) -> Output:
    import numpy as np

    if not examples:
        n_labels = model.heads[task].shape[1]
        return Output(np.zeros(0, dtype=np.int64), np.zeros((0, n_labels)))
    log_probs = model.log_probs(model.encode(task, examples))
    return Output(log_probs.argmax(axis=1), log_probs)
