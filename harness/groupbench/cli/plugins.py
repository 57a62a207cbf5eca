"""``groupbench plugins new|check``: begin a plugin, and see whether one keeps its promises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.testing.plugin import Finding

EXIT_FAILED = 2


@click.command("new")
@click.argument("name")
@click.option(
    "--offers",
    multiple=True,
    type=click.Choice(["task", "strategy", "runner"]),
    help="What it offers; repeatable. All three if not given.",
)
@click.option(
    "--out",
    default=".",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder that the plugin's folder is written into.",
)
@common_options
@click.pass_context
def new_plugin(context: click.Context, *, name: str, offers: tuple[str, ...], out: Path) -> None:
    """Write a working plugin into the folder NAME, to be changed into yours.

    It installs with pip, its tests pass, and what it offers is called NAME.
    """
    from groupbench.authoring.scaffold import OFFERS, NewPlugin, demand_free
    from groupbench.cli.console import open_plugins

    plugin = NewPlugin(name, offers or OFFERS)
    installed = open_plugins(context)
    taken = {kind: list(installed.offered(kind)) for kind in ("tasks", "groupings", "runners")}
    demand_free(plugin, taken | {"plugins": [r.source.plugin for r in installed.records]})
    written = plugin.write(out)
    home = out / name
    click.echo(f"{home}: {len(written)} files.")
    for path in written:
        click.echo(f"  {path.relative_to(home)}")
    click.echo(
        f"Install it with `pip install -e {home}`, test it with `python -m pytest {home}` and"
        f" `groupbench plugins check {name}`.\nIt has no licence yet: that is yours to choose."
    )


@click.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--spec",
    "specs",
    multiple=True,
    metavar="SPEC",
    help="Check this configuration instead of the default one, e.g. encoder:model=tiny.",
)
@json_option
@common_options
@click.pass_context
def check_plugin(
    context: click.Context, *, names: tuple[str, ...], specs: tuple[str, ...], as_json: bool
) -> None:
    """Run the checks of groupbench.testing on what plugins offer.

    NAME is a plugin, a distribution, or both as dist/plugin; all plugins if none is named. Runners
    train on toy tasks, which takes a while where the model is large. Ends with exit code 2 if a
    check failed.
    """
    import sys
    from contextlib import redirect_stdout

    from groupbench.cli.console import console, open_plugins, print_json
    from groupbench.testing.plugin import check_plugins

    plugins = open_plugins(context)
    with redirect_stdout(sys.stderr):  # what plugins print is not our answer
        findings = list(check_plugins(plugins, names, specs))
    if as_json:
        print_json(_document(findings))
    else:
        console().print(_table(findings))
        click.echo(_summary(findings))
    if failing := sorted({f.plugin for f in findings if f.result.status == "fail"}):
        click.echo(f"Error: checks failed: plugin {', '.join(failing)}.", err=True)
        raise SystemExit(EXIT_FAILED)


def _document(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "schema": "groupbench/plugin-checks/1",
        "passed": all(finding.result.status != "fail" for finding in findings),
        "checks": [
            {
                "plugin": finding.plugin,
                "kind": finding.kind,
                "thing": finding.thing,
                "check": finding.result.check,
                "status": finding.result.status,
                "reason": finding.result.reason,
            }
            for finding in findings
        ],
    }


def _table(findings: Sequence[Finding]) -> Any:
    from rich import box
    from rich.table import Table

    from groupbench.cli.console import plain

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("plugin", "thing", "check", "", "reason"):
        table.add_column(column, overflow="fold")
    shown: tuple[str, str] | None = None
    for finding in findings:
        result = finding.result
        about = (
            finding.plugin,
            f"{finding.kind.removesuffix('s')} {finding.thing}",
        )
        names = about if about != shown else ("", "")
        shown = about
        check = result.check.removeprefix("check_").replace("_", " ")
        table.add_row(*map(plain, (*names, check, result.status, result.reason or "")))
    return table


def _summary(findings: Sequence[Finding]) -> str:
    counts = {
        status: sum(finding.result.status == status for finding in findings)
        for status in ("pass", "fail", "skip")
    }
    return (
        f"{len(findings)} checks: {counts['pass']} passed, {counts['fail']} failed,"
        f" {counts['skip']} skipped."
    )
