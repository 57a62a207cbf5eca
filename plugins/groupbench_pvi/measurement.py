"""PVI of every task of a suite, from a workbench's single-task fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.errors import DataError, IncompatibleError
from groupbench.grouping import Group, PlannedFits
from groupbench.information import (
    Aggregate,
    Pointwise,
    Prior,
    mean_over_seeds,
    pointwise,
    surprisal_bits,
)
from groupbench.task import Kind, Split
from groupbench.temperature import fit_temperature
from groupbench.variants import Blank, Fold
from groupbench_pvi.in_context import prompt_facts, prompt_null

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.predictions import FloatArray, Predictions
    from groupbench.suite import Suite
    from groupbench.task import Task
    from groupbench.variants import Variant
    from groupbench.workbench import FitEvidence, Workbench


@dataclass(frozen=True, slots=True)
class Measuring:
    """How PVI is measured."""

    trained_null: bool = False
    prompt_null: bool = False
    """The null of in-context PVI, which is read when the fit is made (`in_context`)."""
    calibrate: bool = True
    """Not of in-context PVI, where both sides are as the model says them."""
    aggregate: Aggregate = Aggregate.SENTENCE_MEAN
    cross_fit: int = 0
    """Folds; 0: dev-B is measured by models of the whole of train."""

    @property
    def closed_form(self) -> bool:
        """Whether the null is the frequencies of training labels."""
        return not self.trained_null and not self.prompt_null

    @property
    def variants(self) -> tuple[Variant | None, ...]:
        """What the models that see the input are trained on."""
        return tuple(Fold(i, self.cross_fit) for i in range(self.cross_fit)) or (None,)

    @property
    def null_variants(self) -> tuple[Variant, ...]:
        """What the trained nulls are trained on, one for each of `variants`."""
        folds = tuple(BlankFold(i, self.cross_fit) for i in range(self.cross_fit))
        return folds or (Blank(),)

    def plan(self, tasks: Sequence[str]) -> tuple[PlannedFits, ...]:
        """Return the fits that measuring ``tasks`` needs."""
        groups = tuple(Group.of([task]) for task in tasks)
        variants = self.variants + (self.null_variants if self.trained_null else ())
        return tuple(PlannedFits(groups, variant) for variant in variants)


@dataclass(frozen=True, slots=True)
class BlankFold:
    """One fold for cross-fitting, with every input blank."""

    index: int
    n_folds: int

    def __call__(self, task: Task) -> Task:
        return Blank()(Fold(self.index, self.n_folds)(task))


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One fit's predictions on held-out examples, and their PVI."""

    seed: int
    predictions: Predictions
    pointwise: Pointwise
    temperature: float


@dataclass(frozen=True, slots=True, eq=False)
class TaskInformation:
    """What a family of models can use of one task's inputs, in bits."""

    task: Task
    parts: tuple[Measured, ...]
    """One for each seed; cross-fitting: one for each seed and fold, by seed."""
    label_entropy_bits: float
    """Entropy of the training labels, H_V(Y). Multilabel: the mean over labels."""
    smoothing: float
    """What was added to the null's counts because a declared label does not occur."""
    asked: Mapping[str, Any] | None = None
    """In-context PVI: what the runner recorded of its prompts."""

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """In the order of the workbench."""
        return tuple(dict.fromkeys(part.seed for part in self.parts))

    @property
    def by_seed(self) -> tuple[Pointwise, ...]:
        """PVI of each seed, over all folds."""
        return tuple(
            _joined([part.pointwise for part in self.parts if part.seed == seed])
            for seed in self.seeds
        )

    @property
    def mean(self) -> Pointwise:
        """PVI of each example, averaged over seeds first."""
        return mean_over_seeds(self.by_seed)

    @property
    def normalised(self) -> float | None:
        """The share of the label entropy that the input removes; ``None`` without entropy."""
        if self.label_entropy_bits == 0:
            return None
        return self.mean.v_information_bits / self.label_entropy_bits


def measure(suite: Suite, workbench: Workbench, how: Measuring) -> list[TaskInformation]:
    """Return the PVI of every task of ``suite``, in its order.

    Raises:
        DataError: a task has too few held-out examples.
        IncompatibleError: the runner gives no probabilities of a task's labels.
        FitsFailedError: a fit could not be had.
    """
    groups = {task.name: Group.of([task.name]) for task in suite}
    asked: dict[str, Mapping[str, Any]] = {}
    parts: dict[str, list[Measured]] = {task.name: [] for task in suite}
    priors: dict[str, list[Prior]] = {task.name: [] for task in suite}
    for variant, null_variant in zip(how.variants, how.null_variants, strict=True):
        fits = workbench.fits(list(groups.values()), variant=variant)
        nulls = (
            workbench.fits(list(groups.values()), variant=null_variant)
            if how.trained_null
            else None
        )
        for task in suite:
            seen = task if variant is None else variant(task)
            prior = Prior.of(task.kind, len(task.labels), seen.examples(Split.TRAIN))
            priors[task.name].append(prior)
            for seed in workbench.seeds:
                which = (groups[task.name], seed)
                null = _trained_null(nulls[which], task, how) if nulls is not None else prior
                held_out = _held_out(fits[which], task, workbench.runner_name)
                if how.prompt_null:
                    null = prompt_null(fits[which], task, held_out, workbench.runner_name)
                    asked[task.name] = prompt_facts(fits[which], task)
                temperature = _temperature(fits[which], task, how)
                values = pointwise(held_out, null, temperature=temperature, aggregate=how.aggregate)
                parts[task.name].append(Measured(seed, held_out, values, temperature))
    found = [
        TaskInformation(
            task=task,
            parts=tuple(sorted(parts[task.name], key=lambda p: workbench.seeds.index(p.seed))),
            label_entropy_bits=float(np.mean([p.entropy_bits for p in priors[task.name]])),
            smoothing=max(p.smoothing for p in priors[task.name]) if how.closed_form else 0.0,
            asked=asked.get(task.name),
        )
        for task in suite
    ]
    for information in found:
        _check_size(information, how)
    return found


def rescaled(sample: Pointwise, entropy_bits: float) -> Pointwise:
    """Return a sample in shares of a task's label entropy instead of bits."""
    return replace(sample, h_0=sample.h_0 / entropy_bits, h_x=sample.h_x / entropy_bits)


def _held_out(fit: FitEvidence, task: Task, runner: str) -> Predictions:
    predictions = fit.predictions(task.name, Split.DEV_B)
    if predictions.log_probs is None:
        raise IncompatibleError(
            f"Runner {runner} gives no probabilities of labels (task {task.name}), and PVI is made "
            "of them. Choose one that does, for example encoder, or leave the task out."
        )
    return predictions


def _trained_null(fit: FitEvidence, task: Task, how: Measuring) -> FloatArray:
    predictions = fit.predictions(task.name, Split.DEV_B)
    return surprisal_bits(predictions, _temperature(fit, task, how))


def _temperature(fit: FitEvidence, task: Task, how: Measuring) -> float:
    if not how.calibrate or how.prompt_null or not task.examples(Split.DEV_A):
        return 1.0
    return fit_temperature(fit.predictions(task.name, Split.DEV_A))


def _joined(samples: Sequence[Pointwise]) -> Pointwise:
    if len(samples) == 1:
        return samples[0]
    return Pointwise(
        ids=tuple(i for sample in samples for i in sample.ids),
        clusters=tuple(c for sample in samples for c in sample.clusters),
        h_0=np.concatenate([sample.h_0 for sample in samples]),
        h_x=np.concatenate([sample.h_x for sample in samples]),
    )


def _check_size(information: TaskInformation, how: Measuring) -> None:
    n = len(information.by_seed[0].ids)
    if n > 1:
        return
    what = "example"
    if information.task.kind is Kind.TOKEN:
        what = "sentence with an entity" if how.aggregate is Aggregate.ENTITY_ONLY else "sentence"
    raise DataError(
        f"{information.task.where}: dev-B has {n} {what}{'' if n == 1 else 's'} to measure PVI on, "
        "and needs 2 or more. Add validation rows, or set cross_fit=5."
    )
