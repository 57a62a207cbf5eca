"""Predictions: what a runner said about the examples of one split of one task."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from groupbench.task import Example, Task

IntArray: TypeAlias = "np.typing.NDArray[np.integer[Any]]"
FloatArray: TypeAlias = "np.typing.NDArray[np.floating[Any]]"

NO_ANSWER = -1
"""Where a predicted label would be and there is no valid answer."""


ROUNDING = 1e-4
"""How far above 0 a log-probability may be, in nats, and still be a rounding error."""


class Outcome(StrEnum):
    """What became of one example. All but ``ok`` and ``infra`` count as wrong answers."""

    OK = "ok"
    INVALID = "invalid"
    """The answer could not be read."""
    REFUSED = "refused"
    TRUNCATED = "truncated"
    """The output was cut, or the input could not be made to fit."""
    INFRA = "infra"
    """The server failed. Never a score: tried again, or the cell fails."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a runner returns for the examples of one split of one task, in their order.

    Shapes, with n examples, K labels, W words over all examples:

    ========== =============== ===================================================
    kind       predicted       log_probs
    ========== =============== ===================================================
    single     ``[n]``         ``[n, K]``, natural log; each row sums to 1
    pair       ``[n]``         ``[n, K]``
    multilabel ``[n, K]`` 0/1  ``[n, K]``, log-probability that the label is there
    token      ``[W]``         ``[W, K]``
    ========== =============== ===================================================
    """

    predicted: IntArray
    """Label indices; `NO_ANSWER` where there is none (multilabel: the whole row)."""
    log_probs: FloatArray | None = None
    outcomes: tuple[Outcome, ...] | None = None
    """``None``: all `Outcome.OK`."""
    input_cut: tuple[bool, ...] | None = None
    """Whether an example's input was shortened to fit. ``None``: none was."""
    raw: tuple[str, ...] | None = None
    """Text that a language model answered."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A runner's answers beside the gold labels. Shapes are those of `Output`."""

    task: str
    kind: Kind
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    gold: IntArray
    predicted: IntArray
    log_probs: FloatArray | None
    outcomes: tuple[Outcome, ...]
    input_cut: tuple[bool, ...]
    clusters: tuple[str | None, ...]
    offsets: IntArray
    """Token tasks: words of example ``i`` are rows ``offsets[i]:offsets[i + 1]``. ``[n + 1]``."""
    raw: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def assemble(cls, task: Task, examples: Sequence[Example], output: Output) -> Predictions:
        """Put a runner's output beside the gold labels of ``examples``.

        Raises:
            ValueError: the output's shape or values do not fit the examples; the message names
                the task and the field.
        """
        n, n_labels = len(examples), len(task.labels)
        gold, offsets = gold_array(task.kind, n_labels, examples)
        predicted = np.asarray(output.predicted)
        _demand(predicted.shape == gold.shape, task, "predicted", gold.shape, predicted.shape)
        if not np.issubdtype(predicted.dtype, np.integer):
            raise ValueError(f"task {task.name}: predicted must be integers, not {predicted.dtype}")
        highest = 1 if task.kind is Kind.MULTILABEL else n_labels - 1
        if predicted.size and (predicted.min() < NO_ANSWER or predicted.max() > highest):
            raise ValueError(f"task {task.name}: predicted holds an index outside the labels")
        log_probs = output.log_probs
        if log_probs is not None:
            log_probs = np.asarray(log_probs)
            shape = gold.shape if task.kind is Kind.MULTILABEL else (*gold.shape, n_labels)
            _demand(log_probs.shape == shape, task, "log_probs", shape, log_probs.shape)
            if np.isnan(log_probs).any() or (log_probs > ROUNDING).any():
                raise ValueError(f"task {task.name}: log_probs holds NaN or a probability over 1")
            log_probs = log_probs.astype(np.float32)
        outcomes = output.outcomes or (Outcome.OK,) * n
        input_cut = output.input_cut or (False,) * n
        for name, column in (("outcomes", outcomes), ("input_cut", input_cut)):
            _demand(len(column) == n, task, name, (n,), (len(column),))
        return cls(
            task=task.name,
            kind=task.kind,
            labels=task.labels,
            ids=tuple(e.id for e in examples),
            gold=gold,
            predicted=predicted.astype(gold.dtype),
            log_probs=log_probs,
            outcomes=tuple(outcomes),
            input_cut=tuple(bool(cut) for cut in input_cut),
            clusters=tuple(e.cluster for e in examples),
            offsets=offsets,
            raw=output.raw,
        )

    def write(self, path: Path, *, publish: bool = False) -> None:
        """Write Parquet: one row an example. ``publish`` leaves out probabilities and raw text."""
        import pyarrow.parquet as pq

        from groupbench.predictions_table import to_table

        pq.write_table(to_table(self, publish=publish), path, compression="zstd")

    @classmethod
    def read(cls, path: Path, *, log_probs: bool = True) -> Predictions:
        """Read what `write` wrote.

        Args:
            path: a Parquet file.
            log_probs: read probabilities, where there are some. Scores do without, and faster.

        Raises:
            ValueError: the file does not hold predictions.
        """
        import pyarrow.parquet as pq

        from groupbench.predictions_table import from_table

        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if log_probs or name != "log_probs"]
            return from_table(file.read(names, use_threads=False))


def gold_array(kind: Kind, n_labels: int, examples: Sequence[Example]) -> tuple[IntArray, IntArray]:
    """Return gold labels in the shape of `Output.predicted`, and the offsets of examples."""
    n = len(examples)
    golds = [e.gold for e in examples]
    if kind is Kind.MULTILABEL:
        matrix = np.zeros((n, n_labels), dtype=np.int32)
        for row, gold in enumerate(golds):
            matrix[row, list(gold)] = 1  # type: ignore[arg-type] # multilabel golds are tuples
        return matrix, np.arange(n + 1)
    if kind is Kind.TOKEN:
        lengths = [len(gold) for gold in golds]  # type: ignore[arg-type] # token golds are tuples
        flat = [tag for gold in golds for tag in gold]  # type: ignore[union-attr]
        return np.asarray(flat, dtype=np.int32), np.concatenate(
            [[0], np.cumsum(lengths, dtype=int)]
        )
    return np.asarray(golds, dtype=np.int32), np.arange(n + 1)


def _demand(
    ok: bool,  # noqa: FBT001 - the condition of a demand
    task: Task,
    name: str,
    wanted: tuple[int, ...],
    got: tuple[int, ...],
) -> None:
    if not ok:
        raise ValueError(f"task {task.name}: {name} has shape {got}, wanted {wanted}")
