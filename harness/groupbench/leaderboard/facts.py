"""What a leaderboard knows of a suite: enough to score stored predictions without the tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.canonical import digest
from groupbench.errors import StoreError
from groupbench.predictions import gold_array
from groupbench.task import NAME, DataClass, Kind, Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.predictions import IntArray
    from groupbench.suite import Suite
    from groupbench.task import Task


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task without its data. Fits `groupbench.metrics.MetricTask`."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    domain: str
    metric: str
    """The one that the leaderboard ranks by."""
    data_class: DataClass
    fingerprint: str
    n_test: int
    test_key: str
    """A hash of the test examples' ids and gold labels: all entries are judged on the same ones."""
    positive_label: str | None = None
    excluded_labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: Task) -> TaskFacts:
        """Return the facts of ``task``, loading its data.

        Raises:
            DataError: the data do not fit the card.
        """
        examples = sorted(task.examples(Split.TEST), key=lambda e: e.id)
        gold, _ = gold_array(task.kind, len(task.labels), examples)
        return cls(
            name=task.name,
            kind=task.kind,
            labels=task.labels,
            domain=task.domain,
            metric=task.primary_metric,
            data_class=task.data_class,
            fingerprint=task.fingerprint,
            n_test=len(examples),
            test_key=examples_key([e.id for e in examples], gold),
            positive_label=task.positive_label,
            excluded_labels=task.excluded_labels,
        )

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TaskFacts:
        """Return what `to_json` wrote; fields of newer versions are ignored.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or is not what it should be.
        """
        if not NAME.fullmatch(document["name"]):  # it becomes the name of a file
            raise ValueError(f"{document['name']!r} is not the name of a task")
        return cls(
            name=document["name"],
            kind=Kind(document["kind"]),
            labels=tuple(document["labels"]),
            domain=document["domain"],
            metric=document["metric"],
            data_class=DataClass(document["data_class"]),
            fingerprint=document["fingerprint"],
            n_test=document["n_test"],
            test_key=document["test_key"],
            positive_label=document["positive_label"],
            excluded_labels=tuple(document["excluded_labels"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "labels": list(self.labels),
            "domain": self.domain,
            "metric": self.metric,
            "data_class": str(self.data_class),
            "fingerprint": self.fingerprint,
            "n_test": self.n_test,
            "test_key": self.test_key,
            "positive_label": self.positive_label,
            "excluded_labels": list(self.excluded_labels),
        }


@dataclass(frozen=True, slots=True)
class SuiteFacts:
    """A suite without its tasks' data."""

    name: str
    tasks: tuple[TaskFacts, ...]
    note: str = ""
    """A line that every leaderboard of this suite shows."""

    @classmethod
    def of(cls, suite: Suite) -> SuiteFacts:
        """Return the facts of ``suite``, loading its tasks' data.

        Raises:
            DataError: the data of a task do not fit its card.
        """
        return cls(suite.name, tuple(TaskFacts.of(task) for task in suite), suite.note)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SuiteFacts:
        """Return what `to_json` wrote."""
        tasks = tuple(TaskFacts.from_json(task) for task in document["tasks"])
        return cls(document["name"], tasks, document["note"])

    @classmethod
    def agreed(cls, facts: Sequence[SuiteFacts], *, where: str = "the leaderboard") -> SuiteFacts:
        """Return the one suite that several stored entries were judged on.

        Args:
            facts: of each entry.
            where: how the message calls the place they come from.

        Raises:
            StoreError: there are none, or two entries were judged on different tasks or data.
        """
        if not facts:
            raise StoreError(f"{where} holds no entries: run an experiment first.")
        first = facts[0]
        for other in facts[1:]:
            if other.names != first.names:
                raise StoreError(
                    f"{where} mixes suites: {first.name} ({', '.join(first.names)}) and "
                    f"{other.name} ({', '.join(other.names)}). Keep each in a folder of its own."
                )
            for one, two in zip(first.tasks, other.tasks, strict=True):
                if (one.test_key, one.metric) != (two.test_key, two.metric):
                    raise StoreError(
                        f"{where}: entries were judged on different versions of task {one.name}: "
                        f"data {one.fingerprint[:8]} with {one.metric}, "
                        f"and {two.fingerprint[:8]} with {two.metric}. "
                        "Run the older entries again, or keep them in another folder."
                    )
        return first

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks' names, in the suite's order."""
        return tuple(task.name for task in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON."""
        return {
            "name": self.name,
            "note": self.note,
            "tasks": [task.to_json() for task in self.tasks],
        }


def examples_key(ids: Sequence[str], gold: IntArray) -> str:
    """Return the hash of test examples that are sorted by id.

    Args:
        ids: sorted.
        gold: in the shape that `groupbench.predictions.gold_array` gives.
    """
    content = np.ascontiguousarray(gold, dtype="<i4").tobytes().hex()
    return digest([list(ids), content, list(gold.shape)])
