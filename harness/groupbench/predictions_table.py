"""Predictions as a Parquet table: one row an example; task, kind and labels in the metadata.

=========== ============================== =====================================================
column      type                           holds
=========== ============================== =====================================================
id          string                         the example's id
gold        int32, or a list of them       single, pair: a label's index; multilabel: 0 or 1 for
                                           each label; token: a tag's index for each word
predicted   as gold                        the same; -1 where there is no valid answer
outcome     dictionary of strings          `groupbench.predictions.Outcome`
input_cut   bool                           whether the input was shortened to fit
cluster     string or null                 document or patient
log_probs   list of float32                natural log; token: words x tags, row by row
raw         string                         what a language model answered
=========== ============================== =====================================================

``log_probs`` and ``raw`` are there where the runner has them, and never in what is published.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.predictions import Outcome, Predictions
from groupbench.task import Kind

if TYPE_CHECKING:
    import pyarrow as pa

    from groupbench.predictions import FloatArray, IntArray

SCHEMA = "groupbench/predictions/1"
_LISTS = (Kind.MULTILABEL, Kind.TOKEN)
_OUTCOMES = tuple(Outcome)


def to_table(predictions: Predictions, *, publish: bool = False) -> pa.Table:
    """Return predictions as a table. ``publish`` leaves out probabilities and raw text."""
    import pyarrow as pa

    n = len(predictions)
    offsets = predictions.offsets
    if predictions.kind is Kind.MULTILABEL:
        offsets = np.arange(n + 1) * len(predictions.labels)

    def labels(array: IntArray) -> pa.Array:
        flat = pa.array(np.ascontiguousarray(array, dtype=np.int32).reshape(-1))
        return _lists(offsets, flat) if predictions.kind in _LISTS else flat

    codes = np.fromiter(map(_OUTCOMES.index, predictions.outcomes), np.int8, n)
    columns = {
        "id": pa.array(predictions.ids, pa.string()),
        "gold": labels(predictions.gold),
        "predicted": labels(predictions.predicted),
        "outcome": pa.DictionaryArray.from_arrays(
            pa.array(codes), pa.array([str(outcome) for outcome in _OUTCOMES])
        ),
        "input_cut": pa.array(predictions.input_cut, pa.bool_()),
        "cluster": pa.array(predictions.clusters, pa.string()),
    }
    if predictions.log_probs is not None and not publish:
        flat = np.ascontiguousarray(predictions.log_probs, dtype=np.float32).reshape(-1)
        columns["log_probs"] = _lists(predictions.offsets * len(predictions.labels), pa.array(flat))
    if predictions.raw is not None and not publish:
        columns["raw"] = pa.array(predictions.raw, pa.string())
    metadata = {
        "schema": SCHEMA,
        "task": predictions.task,
        "kind": str(predictions.kind),
        "labels": json.dumps(predictions.labels, ensure_ascii=False),
    }
    return pa.table(columns, metadata=metadata)


def from_table(table: pa.Table) -> Predictions:
    """Return the predictions that `to_table` made a table of.

    Raises:
        ValueError: the table does not hold predictions; the message says what is missing.
    """
    metadata = table.schema.metadata or {}
    if metadata.get(b"schema") != SCHEMA.encode():
        found = metadata.get(b"schema", b"none").decode(errors="replace")
        raise ValueError(f"not a table of predictions: schema {found}, wanted {SCHEMA}.")
    names = ("id", "gold", "predicted", "outcome", "input_cut", "cluster")
    if missing := [name for name in names if name not in table.column_names]:
        raise ValueError(f"a table of predictions without column {', '.join(missing)}.")
    kind = Kind(metadata[b"kind"].decode())
    labels = tuple(json.loads(metadata[b"labels"]))
    n = table.num_rows
    gold, offsets = _labels(table, "gold", kind)
    predicted, predicted_offsets = _labels(table, "predicted", kind)
    if not np.array_equal(offsets, predicted_offsets):
        raise ValueError("gold and predicted differ in length.")
    if kind is Kind.MULTILABEL:
        offsets = np.arange(n + 1)
        gold, predicted = (array.reshape(n, len(labels)) for array in (gold, predicted))
    ids, clusters = (column_of(table, name).to_pylist() for name in ("id", "cluster"))
    return Predictions(
        task=metadata[b"task"].decode(),
        kind=kind,
        labels=labels,
        ids=tuple(ids),
        gold=gold,
        predicted=predicted,
        log_probs=_log_probs(table, kind, gold, len(labels)),
        outcomes=_outcomes(table),
        input_cut=tuple(column_of(table, "input_cut").to_pylist()),
        clusters=tuple(clusters),
        offsets=offsets,
        raw=tuple(column_of(table, "raw").to_pylist()) if "raw" in table.column_names else None,
    )


def _lists(offsets: IntArray, values: pa.Array) -> pa.Array:
    import pyarrow as pa

    if len(values) > np.iinfo(np.int32).max:
        return pa.LargeListArray.from_arrays(pa.array(offsets.astype(np.int64)), values)
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)


def values_of(column: pa.Array) -> Any:  # noqa: ANN401 - of the column's type
    """Return a copy of the numbers of a column.

    Raises:
        ValueError: some are missing.
    """
    try:
        # Not `to_numpy`, which imports pandas: a third of the time of a cached run.
        return np.from_dlpack(column).copy()
    except TypeError as problem:
        raise ValueError(f"a column of numbers cannot be read: {problem}.") from None


def column_of(table: pa.Table, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return a column as one array."""
    import pyarrow as pa

    chunks = table.column(name).chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [pa.nulls(0)])


def _labels(table: pa.Table, name: str, kind: Kind) -> tuple[IntArray, IntArray]:
    if not table.num_rows:
        return np.zeros(0, np.int32), np.zeros(1, np.int64)
    column = column_of(table, name)
    if kind not in _LISTS:
        return values_of(column), np.arange(table.num_rows + 1)
    starts = values_of(column.offsets).astype(np.int64)
    return values_of(column.flatten()), starts - starts[0]


def _log_probs(table: pa.Table, kind: Kind, gold: IntArray, n_labels: int) -> FloatArray | None:
    if "log_probs" not in table.column_names:
        return None
    shape = gold.shape if kind is Kind.MULTILABEL else (*gold.shape, n_labels)
    if not table.num_rows:
        return np.zeros(shape, np.float32)
    flat = values_of(column_of(table, "log_probs").flatten())
    if flat.size != np.prod(shape):
        raise ValueError(f"log_probs holds {flat.size} values, wanted the shape {shape}.")
    array: FloatArray = flat.reshape(shape)
    return array


def _outcomes(table: pa.Table) -> tuple[Outcome, ...]:
    if not table.num_rows:
        return ()
    column = column_of(table, "outcome").dictionary_encode()
    known = [Outcome(value) for value in column.dictionary.to_pylist()]
    codes = values_of(column.indices).tolist()
    return tuple(map(known.__getitem__, codes))
