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


_MANY = 8
"""Names that are listed before the rest is counted."""


class FitsFailedError(GroupbenchError):
    """Fits that a strategy needs could not be had."""

    def __init__(self, failures: Mapping[str, str], shown: str) -> None:
        self.failures = failures
        n = f"{len(failures)} fit{'' if len(failures) == 1 else 's'}"
        super().__init__(f"{n} that the strategy needs failed: {shown}")


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
    """Return the error that names the fits and why they failed."""
    return FitsFailedError(
        {order.label: reason for order, reason in failures}, why_failed(failures)
    )


def why_failed(failures: Sequence[tuple[FitOrder, str]]) -> str:
    """Return why fits of one runner failed: each reason once, after what it is the reason of."""
    same: dict[str, list[FitOrder]] = {}
    for order, reason in failures:
        same.setdefault(reason.strip(), []).append(order)
    told = [f"{_called(orders)}: {reason}" for reason, orders in same.items()]
    return "; ".join([*(each.removesuffix(".") for each in told[:-1]), *told[-1:]])


def _called(orders: Sequence[FitOrder]) -> str:
    """Return a fit's label; of several, whose runner is one, the tasks that they train."""
    if len(orders) == 1:
        return orders[0].label
    names = list(dict.fromkeys("+".join(order.group.trains) for order in orders))
    alone = all(len(order.tasks) == 1 for order in orders)
    what = f"{len(names)} {'task' if alone else 'group'}{'' if len(names) == 1 else 's'}"
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return f"{what}: {', '.join(names[:_MANY])}{more}"
