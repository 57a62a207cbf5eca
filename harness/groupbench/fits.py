"""Finished fits as the engine reads them back from the store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from groupbench.errors import GroupbenchError, HeldBackError
from groupbench.predictions import Predictions
from groupbench.runner import Costs
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.grouping import Group
    from groupbench.keys import FitOrder
    from groupbench.runner import Arrays
    from groupbench.store import Record, Store


class FitsFailedError(GroupbenchError):
    """Fits that a strategy needs could not be had."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        self.failures = failures
        shown = "; ".join(f"{label}: {reason}" for label, reason in failures.items())
        super().__init__(f"{len(failures)} fits that the strategy needs failed: {shown}")


@dataclass(frozen=True)
class Fit:
    """One finished fit in the store."""

    order: FitOrder
    record: Record
    store: Store

    @property
    def key(self) -> str:
        """Its content address."""
        return self.record.key

    @cached_property
    def result(self) -> Mapping[str, Any]:
        """What the fit wrote about itself: costs, course of training, attempts, environment."""
        document: dict[str, Any] = json.loads(
            self.record.path("result.json").read_text(encoding="utf-8")
        )
        return document

    @cached_property
    def costs(self) -> Costs:
        """What it took."""
        return Costs.from_json(self.result["costs"])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the runner warned of, and seeds that were tried in vain."""
        tried = tuple(
            f"seed {attempt['seed']} diverged ({attempt['reason']}), another was tried"
            for attempt in self.result["attempts"]
        )
        return (*tried, *self.result["warnings"])

    def predictions(self, task: str, split: Split) -> Predictions:
        """Return its predictions on one split of one of its tasks."""
        return Predictions.read(self.record.path(f"{task}.{split}.parquet"))

    def arrays(self, probe: str) -> Arrays:
        """Return what a probe measured."""
        from safetensors.numpy import load_file

        name = f"probe-{probe}.safetensors"
        for asked in self.order.probes:
            if asked.name == probe and not asked.acts_during_training:
                measured = self.store.get("measurements", self.order.measurement_key(asked))
                if measured is not None:
                    return dict(load_file(measured.path(name)))
        return dict(load_file(self.record.path(name)))


@dataclass(frozen=True)
class BlindFit:
    """A fit as strategies see it: its test split is held back."""

    fit: Fit

    @property
    def group(self) -> Group:
        """What it trained."""
        return self.fit.order.group

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.fit.order.seed

    @property
    def costs(self) -> Costs:
        """What it took."""
        return self.fit.costs

    def predictions(self, task: str, split: Split) -> Predictions:
        """Return predictions on dev-A or dev-B."""
        if split is Split.TEST:
            raise HeldBackError(
                "A grouping strategy asked for test predictions: groupings are decided on dev-B."
            )
        return self.fit.predictions(task, split)

    def arrays(self, probe: str) -> Arrays:
        """Return what a probe measured, by the probe's name."""
        return self.fit.arrays(probe)

    def training(self) -> Mapping[str, object]:
        """Return the course of training."""
        course: Mapping[str, object] = self.fit.result["training"]
        return course


def failed(failures: Sequence[tuple[FitOrder, str]]) -> FitsFailedError:
    """Return the error that names each fit and why it failed."""
    return FitsFailedError({order.label: reason for order, reason in failures})
