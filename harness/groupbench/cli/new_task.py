"""``groupbench tasks new``: declare a task by its data."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.authoring.new_task import NewTask
    from groupbench.plugins import Plugins

CLASSES = {
    "open": "its text may go anywhere",
    "credentialed": "under a data use agreement: to providers that an experiment names",
    "private": "the same, of your own choosing",
}
KINDS = ("single", "pair", "multilabel", "token")


@click.command("new")
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="The task's name; that of the data if not given.")
@click.option("--kind", type=click.Choice(KINDS), help="What it asks for; found out if not given.")
@click.option(
    "--text-column",
    "texts",
    multiple=True,
    metavar="COLUMN",
    help="The text, or the words; given twice, the two texts of a pair.",
)
@click.option("--label-column", "label", metavar="COLUMN", help="The label, labels or tags.")
@click.option("--id-column", metavar="COLUMN", help="A name for each row.")
@click.option(
    "--cluster-column",
    metavar="COLUMN",
    help="The document or patient of each row; such rows stay together.",
)
@click.option("--data-class", type=click.Choice(list(CLASSES)), help="Where its text may go.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="METRIC",
    help="What judges it; repeatable, the first one ranks.",
)
@click.option("--positive-label", metavar="LABEL", help="The label that f1_binary is about.")
@click.option("--domain", metavar="DOMAIN", help="What the grouping by-domain goes by.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the task's folder into DIR; beside the data if not given.",
)
@click.option("--force", is_flag=True, help="Overwrite a card that is there.")
@json_option
@common_options
@click.pass_context
def new_task(
    context: click.Context,
    /,
    *,
    data: tuple[Path, ...],
    data_class: str | None,
    force: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Write the card of a task, made from DATA.

    DATA is one file of Parquet, JSONL, CSV or TSV, a file for each split, or a folder of them.
    A folder gets its card inside. Files are copied into a new folder that is named like the task.
    """
    from groupbench.authoring import new_task as made
    from groupbench.authoring.roles import Asked
    from groupbench.cli.console import open_plugins
    from groupbench.task import DataClass, Kind

    kind = said["kind"]
    wishes = made.Wishes(
        data_class=DataClass(data_class or _ask_data_class()),
        asked=Asked(
            kind=Kind(kind) if kind else None,
            texts=said["texts"],
            label=said["label"],
            id=said["id_column"],
            cluster=said["cluster_column"],
        ),
        **{key: said[key] for key in ("name", "metrics", "positive_label", "domain", "out")},
    )
    new = made.new_task(data, wishes)
    _demand_metrics(new, open_plugins(context))
    new.write(force=force)
    if as_json:
        from groupbench.cli.console import print_json

        print_json(_new_document(new))
    else:
        _show_new(new)


def _ask_data_class() -> str:
    """Return the data class that the user types; nobody else can know it."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            "Only you know where this text may go: say --data-class "
            + ", ".join(f"{name} ({what})" for name, what in CLASSES.items())
            + "."
        )
    for name, what in CLASSES.items():
        click.echo(f"  {name:<13} {what}", err=True)
    answer: str = click.prompt("Where may the text go?", type=click.Choice(list(CLASSES)), err=True)
    return answer


def _demand_metrics(new: NewTask, plugins: Plugins) -> None:
    """Raise for a metric that does not exist or cannot judge the task."""
    from groupbench.metrics import MetricOptions, demand_fit

    options = MetricOptions.of(new.card.task())
    for name in new.card.metrics:
        demand_fit(plugins.metric(name), options, f"--metric {name}")


def _commands(new: NewTask) -> list[str]:
    home = shlex.quote(str(new.path.parent))
    return [
        f"groupbench tasks check {home}",
        f"groupbench run --tasks-dir {home} --task {new.card.name} --grouping single"
        " --runner tfidf",
    ]


def _new_document(new: NewTask) -> dict[str, Any]:
    card = new.card
    return {
        "schema": "groupbench/new-task/1",
        "name": card.name,
        "card": str(new.path),
        "kind": str(card.kind),
        "data_class": str(card.data_class),
        "columns": dict(card.layout.columns),
        "labels": list(card.labels),
        "metrics": list(card.metrics),
        "files": dict(card.files),
        "divide": dict(card.divide),
        "copied": {name: str(source) for name, source in new.copies.items()},
        "sizes": dict(new.sizes),
        "why": dict(new.why),
        "doubts": [{"code": doubt.code, "text": doubt.text} for doubt in new.doubts],
        "next": _commands(new),
    }


def _show_new(new: NewTask) -> None:
    from rich.console import Group
    from rich.table import Table

    from groupbench.cli.console import console, plain

    card, why = new.card, new.why
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    rows = [("card", str(new.path)), ("task", card.name), ("kind", f"{card.kind}: {why['kind']}")]
    rows += [
        (role, f"column {column}" + (f": {why[role]}" if role in why else ""))
        for role, column in card.layout.columns.items()
    ]
    rows += [
        ("labels", f"{len(card.labels)}: {_few(card.labels)}"),
        ("metrics", f"{', '.join(card.metrics)}: {why['metrics']}"),
        (
            "splits",
            ", ".join(f"{n} {split}" for split, n in new.sizes.items()) + f": {why['splits']}",
        ),
        ("data class", str(card.data_class)),
    ]
    if new.copies:
        rows.append(("copied", f"{', '.join(new.copies)}, into the card's folder"))
    for what, text in rows:
        facts.add_row(what, plain(text))
    doubts = Table(box=None, show_header=False, pad_edge=False)
    doubts.add_column(no_wrap=True)
    doubts.add_column(overflow="fold")
    for doubt in new.doubts:
        doubts.add_row("?", plain(doubt.text))
    parts: list[Any] = [facts, ""]
    if new.doubts:
        parts += ["What the data do not tell:", doubts, ""]
    console().print(Group(*parts))
    click.echo("Next:")
    for command in _commands(new):
        click.echo(f"  {command}")


def _few(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
