"""``groupbench tasks show``: one task, its data, and the truth that was planted in it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.lists import json_option, tasks_dir_option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from groupbench.task import Example, Task


@click.command("show")
@click.argument("name")
@click.option("--suite", metavar="SPEC", help="The suite it is in, e.g. calibration:world=2.")
@tasks_dir_option
@json_option
@common_options
@click.pass_context
def show_task(
    context: click.Context,
    *,
    name: str,
    suite: str | None,
    tasks_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show the task NAME: its card, its data, and what is planted in it."""
    from groupbench.cli.console import console, open_plugins, print_json

    plugins = open_plugins(context, tasks_dirs)
    task = plugins.task(name) if suite is None else plugins.suite(suite)[name]
    document = task_document(task)
    if as_json:
        print_json(document)
    else:
        console().print(_tables(document))


def task_document(task: Task) -> dict[str, Any]:
    """Return everything about a task as JSON.

    Raises:
        DataError: its data do not fit its card.
    """
    from dataclasses import asdict

    from groupbench.task import Split

    splits = {str(split): task.examples(split) for split in Split}
    return {
        "schema": "groupbench/task-facts/1",
        "name": task.name,
        "kind": str(task.kind),
        "domain": task.domain,
        "data_class": str(task.data_class),
        "summary": task.summary,
        "source": task.source,
        "labels": list(task.labels),
        "metrics": list(task.metrics),
        "primary_metric": task.primary_metric,
        "positive_label": task.positive_label,
        "excluded_labels": list(task.excluded_labels),
        "splits": {split: len(examples) for split, examples in splits.items()},
        "label_counts": {
            split: _label_counts(task, examples) for split, examples in splits.items()
        },
        "fingerprint": task.fingerprint,
        "planted": None if task.planted is None else asdict(task.planted),
    }


def _label_counts(task: Task, examples: tuple[Example, ...]) -> dict[str, int]:
    """Return how often each label occurs: in examples, or in words of token tasks."""
    counts: Counter[int] = Counter()
    for example in examples:
        gold = example.gold
        counts.update([gold] if isinstance(gold, int) else gold or ())
    return {label: counts[index] for index, label in enumerate(task.labels)}


def _tables(document: Mapping[str, Any]) -> Any:
    from rich import box
    from rich.console import Group
    from rich.table import Table

    from groupbench.cli.console import plain

    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    splits = document["splits"]
    planted = document["planted"]
    rows = {
        "task": document["name"],
        "about": document["summary"],
        "kind": document["kind"],
        "domain": document["domain"],
        "data class": document["data_class"],
        "metrics": ", ".join(document["metrics"]),
        "source": document["source"],
        "examples": ", ".join(f"{n} {split}" for split, n in splits.items()),
        "fingerprint": document["fingerprint"],
        "planted": "nothing" if planted is None else "",
    }
    if planted is not None:
        bits = planted["v_information_bits"]
        rows["  V-information"] = "not planted" if bits is None else f"{bits:.3f} bits"
        rows["  difficulty class"] = planted["difficulty_class"] or "not planted"
        rows["  family"] = planted["family"] or "not planted"
    for name, value in rows.items():
        if value or name == "planted":
            facts.add_row(name, plain(value))
    labels = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    labels.add_column("words" if document["kind"] == "token" else "label", overflow="fold")
    for split in splits:
        labels.add_column(split, justify="right")
    for label in document["labels"]:
        counts = (document["label_counts"][split][label] for split in splits)
        labels.add_row(plain(label), *map(str, counts))
    return Group(facts, labels)
