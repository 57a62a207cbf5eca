"""Predictions: assembled with checks, written and read back exactly."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.predictions import NO_ANSWER, Outcome, Output, Predictions
from groupbench.predictions_table import from_table, to_table
from groupbench.task import Example, Kind, Materialised, Task

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    """Draw predictions of any kind, with and without probabilities, none to a few examples."""
    kind = draw(st.sampled_from(list(Kind)))
    n, n_labels = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    lengths = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    offsets = np.arange(n + 1)
    shape: tuple[int, ...] = (n,)
    if kind is Kind.TOKEN:
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=int)])
        shape = (int(offsets[-1]),)
    elif kind is Kind.MULTILABEL:
        shape = (n, n_labels)
    highest = 2 if kind is Kind.MULTILABEL else n_labels
    log_probs = rng.normal(size=shape if kind is Kind.MULTILABEL else (*shape, n_labels))
    log_probs[log_probs > 0] = -math.inf
    return Predictions(
        task="some-task",
        kind=kind,
        labels=tuple(f"é{i}" for i in range(n_labels)),
        ids=tuple(draw(st.lists(TEXTS, min_size=n, max_size=n))),
        gold=rng.integers(0, highest, shape).astype(np.int32),
        predicted=rng.integers(NO_ANSWER, highest, shape).astype(np.int32),
        log_probs=log_probs.astype(np.float32) if draw(st.booleans()) else None,
        outcomes=tuple(draw(st.lists(st.sampled_from(list(Outcome)), min_size=n, max_size=n))),
        input_cut=tuple(draw(st.lists(st.booleans(), min_size=n, max_size=n))),
        clusters=tuple(draw(st.lists(st.none() | TEXTS, min_size=n, max_size=n))),
        offsets=offsets,
        raw=tuple(draw(st.lists(TEXTS, min_size=n, max_size=n))) if draw(st.booleans()) else None,
    )


def assert_same(left: Predictions, right: Predictions) -> None:
    for name in ("gold", "predicted", "offsets", "log_probs"):
        a, b = getattr(left, name), getattr(right, name)
        assert (a is None) == (b is None), name
        if a is not None:
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b)
    for name in ("task", "kind", "labels", "ids", "outcomes", "input_cut", "clusters", "raw"):
        assert getattr(left, name) == getattr(right, name), name


@settings(deadline=None, max_examples=150)
@given(predictions())
def test_what_is_written_is_read_back_exactly(written: Predictions) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        written.write(path)
        assert_same(written, Predictions.read(path))


@settings(deadline=None, max_examples=50)
@given(predictions())
def test_published_files_hold_neither_probabilities_nor_text(written: Predictions) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        written.write(path, publish=True)
        read = Predictions.read(path)
        assert not {"log_probs", "raw"} & set(pq.read_schema(path).names)
    assert read.log_probs is None
    assert read.raw is None
    np.testing.assert_array_equal(read.predicted, written.predicted)


def test_probabilities_can_be_left_unread(tmp_path: Path) -> None:
    made = assembled(
        Kind.SINGLE, [0, 1], Output(np.array([0, 1]), log_probs=np.log(np.eye(2) * 0.9 + 0.05))
    )
    made.write(tmp_path / "p.parquet")
    assert Predictions.read(tmp_path / "p.parquet", log_probs=False).log_probs is None
    assert Predictions.read(tmp_path / "p.parquet").log_probs is not None


@settings(deadline=None, max_examples=50)
@given(predictions(), st.data())
def test_tables_in_pieces_and_slices_are_read_alike(made: Predictions, data: st.DataObject) -> None:
    table = to_table(made)
    cut = data.draw(st.integers(0, len(made)))
    pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    assert_same(from_table(pieces), made)


@pytest.mark.parametrize("table", [pa.table({"id": ["a"]}), pa.table({})])
def test_other_tables_are_refused(table: pa.Table) -> None:
    with pytest.raises(ValueError, match="not a table of predictions"):
        from_table(table)


def test_a_table_that_lacks_a_column_is_refused_by_the_columns_name() -> None:
    made = assembled(Kind.SINGLE, [0], Output(np.array([0])))
    with pytest.raises(ValueError, match="without column gold"):
        from_table(to_table(made).drop_columns(["gold"]))


def task(kind: Kind) -> Task:
    return Task("some-task", kind, ("x", "y"), ("accuracy",), Materialised({}))


def assembled(kind: Kind, golds: list[object], output: Output) -> Predictions:
    inputs = {Kind.PAIR: ("a", "b"), Kind.TOKEN: ("w", "v")}
    examples = [
        Example(f"e{i}", inputs.get(kind, "text"), gold)  # type: ignore[arg-type] # of the kind
        for i, gold in enumerate(golds)
    ]
    return Predictions.assemble(task(kind), examples, output)


def test_assembled_predictions_hold_golds_in_the_shape_of_their_kind() -> None:
    single = assembled(Kind.SINGLE, [1, 0], Output(np.array([1, 1])))
    assert single.gold.tolist() == [1, 0]
    assert single.outcomes == (Outcome.OK, Outcome.OK)
    multilabel = assembled(Kind.MULTILABEL, [(), (0, 1)], Output(np.array([[0, 1], [1, 1]])))
    assert multilabel.gold.tolist() == [[0, 0], [1, 1]]
    token = assembled(Kind.TOKEN, [(0, 1), (1, 1)], Output(np.array([0, 1, 1, NO_ANSWER])))
    assert token.gold.tolist() == [0, 1, 1, 1]
    assert token.offsets.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (Output(np.array([0])), r"predicted has shape \(1,\), wanted \(2,\)"),
        (Output(np.array([0, 2])), "index outside the labels"),
        (Output(np.array([0, -2])), "index outside the labels"),
        (Output(np.array([0.0, 1.0])), "must be integers"),
        (Output(np.array([0, 1]), log_probs=np.zeros((2, 3))), "log_probs has shape"),
        (Output(np.array([0, 1]), log_probs=np.full((2, 2), np.nan)), "NaN"),
        (Output(np.array([0, 1]), log_probs=np.full((2, 2), 0.5)), "probability over 1"),
        (Output(np.array([0, 1]), outcomes=(Outcome.OK,)), "outcomes has shape"),
        (Output(np.array([0, 1]), input_cut=(True,)), "input_cut has shape"),
    ],
)
def test_output_that_does_not_fit_the_examples_is_refused(output: Output, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assembled(Kind.SINGLE, [0, 1], output)
