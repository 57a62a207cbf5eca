"""``groupbench tasks|suites|...|plugins list``: what there is. No plugin is imported for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groupbench.cli.common import common_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from groupbench.plugins import Plugins
    from groupbench.plugins.index import Record

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
tasks_dir_option = click.option(
    "--tasks-dir",
    "tasks_dirs",
    multiple=True,
    type=click.Path(path_type=Path),
    envvar="GROUPBENCH_TASKS",
    metavar="DIR",
    help="Add every folder below DIR that holds a card.toml; repeatable.",
)
_EXTRAS = {
    "tasks": ("kind", "domain", "data_class", "planted", "suite", "loader"),
    "suites": ("note", "settings"),
    "groupings": ("oracle", "settings"),
    "runners": ("trains", "shares", "settings"),
    "metrics": ("kinds",),
    "executors": ("settings",),
}
"""What a list holds of each kind beside name, summary, plugin, available and reason."""


def _list_command(kind: str) -> click.Command:
    @click.command("list", help=f"List the {kind} that plugins offer.")
    @json_option
    @common_options
    @click.pass_context
    def command(
        context: click.Context, *, as_json: bool, tasks_dirs: tuple[Path, ...] = ()
    ) -> None:
        from groupbench.cli.console import open_plugins

        plugins = open_plugins(context, tasks_dirs)
        _show(kind, offerings(plugins, kind), as_json=as_json)

    if kind == "tasks":
        command = tasks_dir_option(command)
    return command


list_tasks = _list_command("tasks")
list_suites = _list_command("suites")
list_groupings = _list_command("groupings")
list_runners = _list_command("runners")
list_metrics = _list_command("metrics")
list_executors = _list_command("executors")


@click.command("list")
@json_option
@common_options
@click.pass_context
def list_plugins(context: click.Context, *, as_json: bool) -> None:
    """List all plugins, what each offers, and what is wrong with broken ones."""
    from groupbench.cli.console import open_plugins

    plugins = open_plugins(context)
    _show("plugins", [_plugin(record) for record in plugins.records], as_json=as_json)


def offerings(plugins: Plugins, kind: str) -> list[dict[str, Any]]:
    """Return what is offered of one kind, as ``list --json`` shows it."""
    rows = []
    for name, offering in plugins.offered(kind).items():
        facts: Mapping[str, Any] = {
            "suite": offering.suite,
            "settings": list(offering.settings),
            **offering.facts,
        }
        rows.append(
            {
                "name": name,
                "summary": offering.summary,
                "plugin": offering.source.plugin,
                "available": offering.reason is None,
                "reason": offering.reason,
                "distribution": offering.source.distribution,
                "version": offering.source.version,
                **{extra: facts.get(extra) for extra in _EXTRAS[kind]},
                **(read_before(facts.get("source_key")) if kind == "tasks" else {}),
            }
        )
    return rows


def read_before(source_key: str | None) -> dict[str, Any]:
    """Return whether data that come from elsewhere were read here; nulls where they do not."""
    if source_key is None:
        return {"verified": None, "loaded": None}
    from dataclasses import asdict

    from groupbench.cards.loaded import loaded_before

    note = loaded_before(source_key)
    return {"verified": note is not None, "loaded": None if note is None else asdict(note)}


def _plugin(record: Record) -> dict[str, Any]:
    offers: dict[str, list[str]] = {}
    for offering in record.offerings:
        offers.setdefault(offering.kind, []).append(offering.name)
    return {
        "name": record.source.plugin,
        "summary": record.summary,
        "plugin": record.source.plugin,
        "available": not record.problems,
        "reason": "; ".join(record.problems) or None,
        "distribution": record.source.distribution,
        "version": record.source.version,
        "module": record.source.value,
        "offers": {kind: sorted(names) for kind, names in offers.items()},
        "hooks": list(record.hooks),
    }


def _show(kind: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    from groupbench.cli.console import print_json

    if as_json:
        print_json({"schema": f"groupbench/{kind}/1", kind: rows})
    else:
        # as it is: click.echo would write UTF-8 to a terminal that said it reads ASCII only
        sys.stdout.write(_table(kind, rows) + "\n")


def _table(kind: str, rows: Sequence[Mapping[str, Any]]) -> str:
    from shutil import get_terminal_size

    from groupbench.report.columns import columns_text
    from groupbench.report.text import plain

    columns: dict[str, Callable[[Mapping[str, Any]], object]] = {"name": lambda row: row["name"]}
    if kind == "tasks":
        columns |= {
            "kind": lambda row: row["kind"],
            "domain": lambda row: row["domain"],
        }
    if kind == "plugins":
        columns |= {
            "from": lambda row: f"{row['distribution']} {row['version']}",
            "offers": lambda row: "; ".join(
                f"{kind}: {', '.join(names)}" for kind, names in row["offers"].items()
            ),
        }
    elif kind != "tasks":  # of which there are many, with long names: where from is in about
        columns["plugin"] = lambda row: row["plugin"]
    columns["about"] = _about
    cells = [[plain(shown(row)) for shown in columns.values()] for row in rows]
    return columns_text(list(columns), cells, get_terminal_size().columns)


def _about(row: Mapping[str, Any]) -> str:
    """Return the summary, the settings, and why it cannot be used here."""
    parts = [f"{row['summary'].removesuffix('.')}." if row["summary"] else ""]
    if "data_class" in row:
        parts.append(f"From {row['suite'] or row['plugin']}.")
        parts.append("" if row["data_class"] == "open" else f"Data: {row['data_class']}.")
    if row.get("planted"):
        parts.append("(planted truth)")
    if row.get("oracle"):
        parts.append("(oracle: it knows the planted truth)")
    if row.get("settings"):
        parts.append("Settings: " + ", ".join(setting["name"] for setting in row["settings"]) + ".")
    if row.get("verified") is False:  # a card that was never tried may be wrong
        parts.append("(unverified: not loaded yet from here)")
    if row.get("loaded"):
        parts.append(f"(loaded {row['loaded']['date']})")
    if row["reason"]:
        parts.append(f"{'Broken' if 'offers' in row else 'Not here'}: {row['reason']}.")
    return " ".join(part for part in parts if part)
