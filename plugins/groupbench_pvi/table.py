"""V-information of tasks as a document and as text, and PVI of examples as a Parquet file."""

from __future__ import annotations

import json
from errno import EISDIR
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.errors import StoreError
from groupbench.task import Kind, Split
from groupbench_pvi.evidence import pair_row, task_row
from groupbench_pvi.measurement import measure
from groupbench_pvi.proposal import compared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Group
    from rich.table import Table

    from groupbench.predictions import Predictions
    from groupbench.suite import Suite
    from groupbench.workbench import Workbench
    from groupbench_pvi.measurement import Measured, TaskInformation
    from groupbench_pvi.strategy import Pvi

SCHEMA = "groupbench/pvi/1"


def pvi_document(suite: Suite, workbench: Workbench, settings: Pvi) -> dict[str, Any]:
    """Return the ``pvi`` document of a suite: V-information of each task, in its order.

    Raises:
        GroupbenchError: a task has too few dev-B examples, the runner gives no probabilities, or
            a fit could not be had.
    """
    return document_of(measure(suite, workbench, settings.measuring()), workbench, settings)


def document_of(
    information: Sequence[TaskInformation], workbench: Workbench, settings: Pvi
) -> dict[str, Any]:
    """Return the ``pvi`` document of what was measured."""
    comparison, effect = compared(information, settings), settings.comparing().effect
    return {
        "schema": SCHEMA,
        "runner": workbench.runner_name,
        "split": str(Split.DEV_B),
        "seeds": list(workbench.seeds),
        "null": settings.null,
        **_asked(information),
        "calibrated": settings.calibrate and settings.null != "in-context",
        "aggregate": settings.aggregate,
        "cross_fit": settings.cross_fit,
        "tasks": [task_row(item) for item in information],
        "test": {"name": settings.test, "margin": settings.margin_used, "unit": settings.unit},
        "pairs": [pair_row(pair, effect) for pair in comparison.pairs],
    }


def _asked(information: Sequence[TaskInformation]) -> dict[str, Any]:
    """Return what prompts of in-context PVI hold; nothing for other nulls."""
    asked = [item.asked for item in information if item.asked is not None]
    if not asked:
        return {}
    shots = max(int(facts["shots"]["asked"]) for facts in asked)
    return {"shots": shots, "null_prompt": "answers of the shots" if shots else "instruction"}


def render(document: Mapping[str, Any], *, pairs: bool = False) -> Group:
    """Return a ``pvi`` document as a table for the terminal; ``pairs``: and one of all pairs."""
    from rich.console import Group

    tables = [_task_table(document)]
    if pairs and document["pairs"]:
        tables.append(_pair_table(document))
    return Group(*tables)


def _pair_table(document: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    margin, unit = document["test"]["margin"], document["test"]["unit"]
    table = Table(
        title=Text("Differences of mean PVI"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=Text(
            f"{unit}, 95 % intervals; power: the chance to see a true difference of {margin:g}"
        ),
        caption_justify="left",
    )
    for name in ("task", "task"):
        table.add_column(name, overflow="fold")
    for name in ("difference", "interval", "p", "power"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for pair in document["pairs"]:
        low, high = pair["ci"]
        numbers = [_number(pair["difference"]), f"{_number(low)} to {_number(high)}"]
        numbers += [_number(pair["p"]), _number(pair["power"])]
        table.add_row(*map(Text, [pair["a"], pair["b"], *numbers, pair["verdict"]]))
    return table


def _task_table(document: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    seeds = ", ".join(map(str, document["seeds"]))
    what = "V-information"
    if "shots" in document:
        what = f"In-context V-information (without input: {document['null_prompt']})"
    table = Table(
        title=Text(f"{what} on {document['split']}, {document['runner']}, seeds {seeds}"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=Text(
            "bits; multilabel: bits per label; token: sentence means. H(Y) - H(Y|X) = I; "
            "share = I / entropy of the training labels"
        ),
        caption_justify="left",
    )
    for name in ("task", "kind"):
        table.add_column(name, overflow="fold")
    for name in ("n", "H(Y)", "H(Y|X)", "I", "+-", "share"):
        table.add_column(name, justify="right")
    table.add_column("", overflow="fold")
    for row in document["tasks"]:
        numbers = [
            _number(row[name])
            for name in (
                "v_entropy_bits",
                "conditional_v_entropy_bits",
                "v_information_bits",
                "std_error_bits",
                "normalised",
            )
        ]
        cells = [row["task"], row["kind"], str(row["n"]), *numbers, ", ".join(row["flags"])]
        table.add_row(*map(Text, cells))
    return table


def write_examples(path: Path, information: Sequence[TaskInformation]) -> int:
    """Write one row for each unit and seed as Parquet, and return how many there are.

    Columns: task, split, seed, example, label, h_0, h_x, pvi, predicted, correct. Bits; labels
    are names, of multilabel and token tasks a JSON list; ``correct`` holds where all of an
    example's labels are right. With ``aggregate=token`` an example has a row for each word.

    Raises:
        StoreError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA}
    for item in information:
        for part in item.parts:
            _add(columns, item.name, part)
    types = {"text": pa.string(), "bits": pa.float64(), "number": pa.int64(), "flag": pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in _SCHEMA.items()])
    draft = path.with_name(f".{path.name}.part")
    try:
        pq.write_table(pa.table(columns, schema=schema), draft, compression="zstd")
        draft.replace(path)
    except OSError as problem:
        raise _unwritable(path, problem) from None
    finally:
        draft.unlink(missing_ok=True)
    return len(columns["pvi"])


def check_writable(path: Path) -> None:
    """Make sure that a file can be written, before anything is computed for it.

    Raises:
        StoreError: it cannot.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")
        draft.touch()
        draft.unlink()
    except OSError as problem:
        raise _unwritable(path, problem) from None


def _unwritable(path: Path, problem: OSError) -> StoreError:
    reason = problem.strerror or str(problem)
    return StoreError(f"{path}: PVI of examples cannot be written: {reason}. Name another file.")


_SCHEMA = {
    "task": "text",
    "split": "text",
    "seed": "number",
    "example": "text",
    "label": "text",
    "h_0": "bits",
    "h_x": "bits",
    "pvi": "bits",
    "predicted": "text",
    "correct": "flag",
}


def _add(columns: dict[str, list[Any]], task: str, part: Measured) -> None:
    predictions, values = part.predictions, part.pointwise
    n = len(values.ids)
    position = {name: i for i, name in enumerate(predictions.ids)}
    labels = [_names(predictions, predictions.gold, i) for i in range(len(predictions))]
    predicted = [_names(predictions, predictions.predicted, i) for i in range(len(predictions))]
    rows = [position[name] for name in values.ids]
    columns["task"] += [task] * n
    columns["split"] += [str(Split.DEV_B)] * n
    columns["seed"] += [part.seed] * n
    columns["example"] += values.ids
    columns["label"] += [labels[i] for i in rows]
    columns["h_0"] += values.h_0.tolist()
    columns["h_x"] += values.h_x.tolist()
    columns["pvi"] += values.pvi.tolist()
    columns["predicted"] += [predicted[i] for i in rows]
    columns["correct"] += [labels[i] == predicted[i] for i in rows]


def _names(predictions: Predictions, values: np.typing.NDArray[Any], i: int) -> str | None:
    """Return one example's labels by name; ``None`` where there is no valid answer."""
    names = predictions.labels
    if predictions.kind is Kind.MULTILABEL:
        if (values[i] < 0).any():
            return None
        return json.dumps([names[k] for k in np.flatnonzero(values[i])], ensure_ascii=False)
    if predictions.kind is Kind.TOKEN:
        words = values[predictions.offsets[i] : predictions.offsets[i + 1]]
        return json.dumps([names[k] if k >= 0 else None for k in words], ensure_ascii=False)
    return names[values[i]] if values[i] >= 0 else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
