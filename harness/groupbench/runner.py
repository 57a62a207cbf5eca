"""Runners: what turns a group of tasks and a seed into predictions; and the probes they host."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias

from groupbench.calls import Calls
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import torch

    from groupbench.canonical import Json
    from groupbench.estimates import Estimate
    from groupbench.grouping import Group
    from groupbench.llm.prices import Prices
    from groupbench.predictions import Output
    from groupbench.suite import Suite
    from groupbench.task import Example, Task

Arrays: TypeAlias = "Mapping[str, np.typing.NDArray[Any]]"

PREDICTED = (Split.DEV_A, Split.DEV_B, Split.TEST)
"""What a model that was trained predicts at once, so that no later question costs a fit."""


class Place(StrEnum):
    """Where a runner sends text."""

    LOCAL = "local"
    """This process, or a loopback server we started."""
    ENDPOINT = "endpoint"
    """A URL the user named."""
    EXTERNAL = "external"
    """A provider's API."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one fit needs, for executors to place it."""

    cpus: int = 1
    gpus: float = 0
    memory_bytes: int = 0
    """0: not known."""
    lane: str = ""
    """Fits of one lane run one after the other: they share a server, a rate limit, a budget."""


@dataclass(frozen=True, slots=True)
class TaskInput:
    """What a runner gets of one task: golds of train and dev-A, and inputs to predict."""

    task: Task
    """Without data of its own: use the fields below."""
    train: tuple[Example, ...]
    """Without the rows whose text occurs in another of the group's test splits."""
    dev_a: tuple[Example, ...]
    """Picks the checkpoint."""
    predict: Mapping[Split, tuple[Example, ...]]
    """Examples to predict, by split; ``gold`` is ``None`` in dev-B and test."""


@dataclass(frozen=True, slots=True)
class FitRequest:
    """One group to train once with one seed. A fit is a pure function of this and the runner."""

    tasks: tuple[TaskInput, ...]
    """Of ``group.trains``, sorted by name."""
    seed: int
    probes: tuple[Probe, ...] = ()
    keep_weights: Path | None = None
    """An empty folder to write the weights into, where they were asked for."""
    batch_divisor: int = 1
    """2 after the fit ran out of memory: half the batch, gradients accumulated to the same one."""
    last_attempt: bool = False
    """A loss that stays at the prior is believed now, not raised as `Diverged`."""
    service: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The address of the runner's service, as its `Service.start` returned it."""
    max_usd: float | None = None
    """What this fit may spend. Before it passes that it raises `PolicyError`."""
    claimed_usd: float = 0.0
    """What fits of this run spent that had claimed it in the run's ledger, which holds it too:
    ``max_usd`` is less by that already."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a fit took."""

    train_seconds: float = 0.0
    predict_seconds: float = 0.0
    n_predicted: int = 0
    example_steps: int = 0
    """Training examples seen, counting repeats."""
    tokens: int = 0
    """Tokens trained on, padding excluded."""
    n_parameters: int = 0
    """Of the model that serves, heads included."""
    usd: float = 0.0
    """Paid at most, the hours of a machine included."""
    machine_usd: float = 0.0
    """Of ``usd``: the hours of a machine that is paid whether it is asked or not."""
    calls: Calls | None = None
    """What asking a model took, of runners that ask one."""

    @property
    def billed_usd(self) -> float:
        """Dollars that left with requests: what ``max_usd`` holds against."""
        return self.usd - self.machine_usd

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Costs:
        """Return what `groupbench.canonical.to_json` made of costs, by an older version too."""
        names = {f.name for f in fields(cls)}
        known = {name: value for name, value in document.items() if name in names}
        return cls(**{**known, "calls": Calls.from_json(document.get("calls"))})


@dataclass(frozen=True, slots=True)
class FitResult:
    """What came out of a fit."""

    outputs: Mapping[str, Mapping[Split, Output]]
    """By task, then by split, for every task and split of ``TaskInput.predict``."""
    costs: Costs = field(default_factory=Costs)
    arrays: Mapping[str, Arrays] = field(default_factory=dict)
    """What each probe measured, by the probe's name; and what the runner itself keeps."""
    training: Mapping[str, Json] = field(default_factory=dict)
    """The course of training as JSON: losses, the checkpoint picked, sampling, devices."""
    warnings: tuple[str, ...] = ()


class Runner(Protocol):
    """Turns a group and a seed into predictions. Implemented by plugins.

    A runner is a frozen dataclass: its fields are its settings (typed, defaulted, each with a
    docstring), and an instance is one configuration. It is pickled to the fit's process.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    trains: ClassVar[bool]
    """Needs a fit; else it only predicts (prompted LLMs)."""
    shares: ClassVar[bool]
    """Can train a group of several tasks. If not, it gets one entry, whatever the grouping."""
    seeded: ClassVar[bool]
    """Whether seeds change anything. If not, one seed stands for all."""
    preload: ClassVar[tuple[str, ...]]
    """Modules worth importing before a fit's process is forked."""
    deciding_modules: ClassVar[tuple[str, ...]]
    """Engine modules whose code decides its results; its own package always does."""

    def availability(self) -> str | None:
        """Return why it cannot run here, with the mend; ``None`` if it can."""
        ...

    def place(self) -> Place:
        """Return where its settings send text."""
        ...

    def resources(self, group: Group, suite: Suite) -> Resources:
        """Return what one fit of ``group`` needs."""
        ...

    def identity(self) -> Mapping[str, Json]:
        """Return what else decides its results: the weights' hash, device class, dtype, attention.

        Settings, seed, data and code are in a fit's key already. Imports nothing heavy.
        """
        ...

    def fit(self, request: FitRequest) -> FitResult:
        """Train on the request's tasks and predict the splits it asks for.

        Raises:
            Diverged: training failed; the engine tries another seed.
        """
        ...


class Probe(Protocol):
    """What a strategy wants measured on a model. It belongs to the strategy's plugin.

    A frozen, picklable dataclass. Its fields, and the code of its package, are part of the key.
    """

    name: ClassVar[str]
    acts_during_training: ClassVar[bool]
    """If so it is part of the fit's key; if not it is computed from kept weights where there are
    some."""

    def before_training(self, model: TrainableModel) -> None:
        """Called once, before the first step."""
        ...

    def after_step(self, model: TrainableModel, step: int) -> None:
        """Called after each optimiser step, counted from 1."""
        ...

    def finish(self, model: TrainableModel) -> Arrays:
        """Return what was measured, by name. Called on the picked checkpoint."""
        ...


class Batch(Protocol):
    """Examples of one task, encoded by the runner; opaque to probes."""

    task: str

    def __len__(self) -> int: ...


class TrainableModel(Protocol):
    """A model as probes see it, while it trains and after. Losses are in nats."""

    tasks: tuple[str, ...]
    n_steps: int
    """Optimiser steps planned."""

    def batches(self, task: str, split: Split, n: int, seed: int) -> Iterator[Batch]:
        """Yield batches of at most ``n`` examples: all of train or dev-A, in seeded order."""
        ...

    def losses(self, batch: Batch) -> torch.Tensor:
        """Return each example's loss, shape ``[len(batch)]``, with its graph, dropout off."""
        ...

    def log_probs(self, batch: Batch) -> torch.Tensor:
        """Return log-probabilities in the shapes of `Output`, dropout off."""
        ...

    def shared_parameters(self) -> Mapping[str, torch.nn.Parameter]:
        """Return the parameters that all tasks share, by name."""
        ...

    def head_parameters(self, task: str) -> Mapping[str, torch.nn.Parameter]:
        """Return the parameters of one task's head, by name."""
        ...

    def pooled(self, batch: Batch) -> torch.Tensor:
        """Return the pooled output, shape ``[len(batch), hidden]``, with its graph."""
        ...

    def layers(self, batch: Batch) -> Sequence[torch.Tensor]:
        """Return each layer's output, ``[len(batch), length, hidden]``, embeddings first."""
        ...

    def mask(self, batch: Batch) -> torch.Tensor:
        """Return which positions are not padding, shape ``[len(batch), length]``."""
        ...


class Telling(Protocol):
    """A runner that reads more of a task than its fingerprint holds, such as its wording."""

    def task_identity(self, task: Task) -> Json:
        """Return what else of ``task`` decides its results; it becomes part of the fit's key.

        Raises:
            GroupbenchError: this runner cannot be asked about the task; nothing was computed.
        """
        ...


class Estimating(Protocol):
    """A runner that asks a model, and can say beforehand what a fit sends and costs."""

    def estimate(self, tasks: Sequence[TaskInput], seed: int) -> Estimate:
        """Return about what a fit of ``tasks`` takes. Sends nothing and loads no weights.

        Raises:
            GroupbenchError: it cannot be known here; the message says why.
        """
        ...


class Priced(Protocol):
    """A runner that is told what models cost. Prices decide no result, so no key holds them."""

    def priced(self, prices: Prices) -> Self:
        """Return this runner with ``prices``, which go along to its fits' processes."""
        ...


class Keeping(Protocol):
    """A runner whose fits write to more than their results, such as a store of answers."""

    def demand_writable(self) -> None:
        """Make sure of it, before the first of its fits is computed.

        Raises:
            StoreError: that cannot be written; nothing is computed.
        """
        ...


class Restorable(Protocol):
    """A runner whose kept weights can be loaded again, so that probes need no new training."""

    def restore(self, request: FitRequest, weights: Path) -> TrainableModel:
        """Return the model of ``request`` with the weights that a fit kept."""
        ...
