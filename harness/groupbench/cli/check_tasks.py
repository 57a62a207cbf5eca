"""``groupbench tasks check``: see what is wrong with cards, data and splits of tasks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.lists import tasks_dir_option
from groupbench.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from groupbench.authoring.check import Report
    from groupbench.authoring.findings import Finding
    from groupbench.plugins import Plugins
    from groupbench.task import Task

EXIT_FAILED = 2
MOST_LABELS = 30
"""Labels that a table on screen shows."""


@click.command("check")
@click.argument("what", nargs=-1, metavar="[NAME|DIR]...")
@tasks_dir_option
@click.option("--suite", metavar="SPEC", help="Check the tasks of a suite, e.g. calibration.")
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    metavar="N",
    help="Sub-words that a model reads; 512 if not given.",
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Count sub-words by this tokenizer.json, or a model's folder; else words x 1.3.",
)
@json_option
@common_options
@click.pass_context
def check_tasks(
    context: click.Context,
    *,
    what: tuple[str, ...],
    tasks_dirs: tuple[Path, ...],
    suite: str | None,
    max_length: int | None,
    tokenizer: Path | None,
    as_json: bool,
) -> None:
    """Check the cards and the data of tasks, one by one and against each other.

    NAME is a task, DIR a folder of cards. With neither, all tasks of --tasks-dir, or of the suite.
    Rows are named by id; what they hold is shown of open tasks only. Ends with exit code 2 if there
    are errors; warnings and notes are no errors.
    """
    from groupbench.authoring.check import check_tasks as check
    from groupbench.authoring.lengths import Length
    from groupbench.cli.console import console, open_plugins, print_json

    length = Length.of(max_length, tokenizer)
    plugins = open_plugins(context, ())
    tasks, found = _chosen(plugins, what, tasks_dirs, suite)
    report = check(tasks, plugins.metric, length, found)
    if as_json:
        print_json(_check_document(report))
    else:
        for table in _count_tables(report):
            console().print(table)
        if report.findings:
            console().print(_finding_table(report))
        click.echo(_check_summary(report, len(tasks)))
    if report.failing:
        from groupbench.report.text import plain

        click.echo(f"Error: checks failed: {plain(', '.join(report.failing))}.", err=True)
        raise SystemExit(EXIT_FAILED)


def _is_path(name: str, plugins: Plugins) -> bool:
    """Return whether a name is meant as a folder: a file that is no task will be said to be one."""
    if os.sep in name or Path(name).is_dir():
        return True
    return Path(name).is_file() and name not in plugins.tasks


def _chosen(
    plugins: Plugins, what: Sequence[str], tasks_dirs: Sequence[Path], suite: str | None
) -> tuple[list[Task], list[Finding]]:
    """Return the tasks to check, and what is wrong with cards on the way to them."""
    from groupbench.authoring.check import load_cards
    from groupbench.plugins.catalogue import Lazily

    loaders = Lazily(plugins.offered("loaders"), plugins.loader)
    named = [Path(name) for name in what if _is_path(name, plugins)]
    names = [name for name in what if Path(name) not in named]
    if not (what or tasks_dirs or suite):
        raise click.UsageError("Name tasks, a folder of cards (--tasks-dir), or a --suite.")
    taken: dict[str, Task] = {}
    chosen: dict[str, Task] = {}
    found: list[Finding] = []
    for folder in dict.fromkeys([*named, *tasks_dirs]):
        tasks, wrong = load_cards(folder, loaders, taken)
        found += wrong
        if folder in named or not (what or suite):
            chosen |= {task.name: task for task in tasks}
    for name in names:
        chosen[name] = taken[name] if name in taken else plugins.task(name)
    if suite is not None:
        chosen |= {task.name: task for task in plugins.suite(suite)}
    return list(chosen.values()), found


def _check_document(report: Report) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "schema": "groupbench/task-checks/1",
        "passed": not report.failing,
        "tasks": [asdict(counts) for counts in report.counts],
        "findings": [asdict(finding) for finding in report.findings],
    }


def _count_tables(report: Report) -> Iterator[Any]:
    """Yield how often each label occurs in each split, task by task."""
    from rich import box
    from rich.table import Table

    from groupbench.cli.console import plain

    for counts in report.counts:
        title = plain(f"{counts.task}: {counts.kind}, {counts.data_class}")
        table = Table(
            box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style=""
        )
        table.add_column("words" if counts.kind == "token" else "label", overflow="fold")
        for split in counts.sizes:
            table.add_column(split, justify="right")
        for label, by_split in list(counts.labels.items())[:MOST_LABELS]:
            table.add_row(plain(label), *map(str, by_split.values()))
        if (more := len(counts.labels) - MOST_LABELS) > 0:
            table.add_row(f"and {more} more (--json)", *("" for _ in counts.sizes))
        table.add_row("rows", *map(str, counts.sizes.values()))
        yield table


def _finding_table(report: Report) -> Any:
    from rich import box
    from rich.table import Table

    from groupbench.cli.console import plain

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "task", "split", "rows", "what"):
        table.add_column(column, overflow="fold", justify="right" if column == "rows" else "left")
    for finding in report.findings:
        text = f"{finding.text} [{finding.code}]"
        if finding.rows:
            text += f" {', '.join(finding.rows)}"
            text += ", ..." if (finding.count or 0) > len(finding.rows) else ""
        count = "" if finding.count is None else str(finding.count)
        table.add_row(*map(plain, (finding.level, finding.task, finding.split or "", count, text)))
    return table


def _check_summary(report: Report, n_tasks: int) -> str:
    parts = []
    for level in ("error", "warning", "note"):
        n = sum(finding.level == level for finding in report.findings)
        parts.append(f"{n} {level}{'' if n == 1 else 's'}")
    return f"{n_tasks} task{'' if n_tasks == 1 else 's'} checked: {', '.join(parts)}."
