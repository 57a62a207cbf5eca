"""``groupbench tasks show``: one task, its data, and the truth that was planted in it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.lists import json_option, read_before, tasks_dir_option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from groupbench.task import Example, Task


@click.command("show")
@click.argument("name")
@click.option("--suite", metavar="SPEC", help="The suite it is in, e.g. calibration:world=2.")
@click.option("--no-data", is_flag=True, help="Only what the card says; read no data.")
@tasks_dir_option
@json_option
@common_options
@click.pass_context
def show_task(
    context: click.Context,
    *,
    name: str,
    suite: str | None,
    no_data: bool,
    tasks_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show the task NAME: its card, its data, and what is planted in it.

    Data that a card says to take from elsewhere are loaded, and that they fitted it is noted: until
    then the task is unverified.
    """
    from groupbench.cli.console import console, open_plugins, print_json
    from groupbench.errors import CardError, DataError

    plugins = open_plugins(context, tasks_dirs)
    task = plugins.task(name) if suite is None else plugins.suite(suite)[name]
    problem: CardError | DataError | None = None
    try:
        document = task_document(task, data=not no_data)
    except (CardError, DataError) as failure:
        problem, document = failure, task_document(task, data=False)
        if document["loader"] is None:
            raise
    if as_json:
        print_json(document)
    else:
        console().print(_tables(document))
    if problem is not None:  # what the card says is worth seeing all the same
        raise problem


def task_document(task: Task, *, data: bool = True) -> dict[str, Any]:
    """Return everything about a task as JSON; without ``data`` what needs none, and nulls.

    Raises:
        CardError: its card says to take data from where there are none.
        DataError: its data do not fit its card.
    """
    from dataclasses import asdict

    from groupbench.cards.loaded import card_of, source_key
    from groupbench.task import Split

    splits = {str(split): task.examples(split) for split in Split} if data else None
    card = card_of(task)
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
        "splits": splits and {split: len(examples) for split, examples in splits.items()},
        "label_counts": splits
        and {split: _label_counts(task, examples) for split, examples in splits.items()},
        "fingerprint": task.fingerprint if data else None,
        "loader": card.source["loader"] if card and card.source else None,
        **read_before(source_key(card) if card else None),
        "about": dict(card.about) if card else {},
        "planted": None if task.planted is None else asdict(task.planted),
    }


def _data_state(document: Mapping[str, Any]) -> str:
    """Return what is known of data that come from elsewhere; nothing where they do not."""
    if document["loader"] is None:
        return ""
    if not document["verified"]:
        return "unverified: not loaded yet from here, so the card may be wrong about them"
    loaded = document["loaded"]
    where = ", ".join(f"{name} {value}" for name, value in loaded["provenance"].items())
    return f"loaded on {loaded['date']}" + (f": {where}" if where else "")


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
    splits = document["splits"] or {}
    planted = document["planted"]
    about = document["about"]
    rows = {
        "task": document["name"],
        "about": document["summary"],
        "kind": document["kind"],
        "domain": document["domain"],
        "data class": document["data_class"],
        "metrics": ", ".join(document["metrics"]),
        "source": document["source"],
        "homepage": about.get("homepage"),
        "licence": about.get("licence"),
        "split": about.get("official_split"),
        "caveats": about.get("caveats"),
        "data": _data_state(document),
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
            shown = "; ".join(map(str, value)) if isinstance(value, list) else value
            facts.add_row(name, plain(shown))
    if not splits:
        facts.add_row("labels", plain(", ".join(document["labels"])))
        return facts
    labels = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    labels.add_column("words" if document["kind"] == "token" else "label", overflow="fold")
    for split in splits:
        labels.add_column(split, justify="right")
    for label in document["labels"]:
        counts = (document["label_counts"][split][label] for split in splits)
        labels.add_row(plain(label), *map(str, counts))
    return Group(facts, labels)
