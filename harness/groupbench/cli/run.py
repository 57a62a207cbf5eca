"""``groupbench run``: every combination, then the leaderboard."""

from __future__ import annotations

import sys
from typing import Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import experiment_options, json_option, read_experiment


@click.command()
@experiment_options
@click.option("--dry-run", is_flag=True, help="Say what would be computed; compute nothing.")
@click.option(
    "--trust-remote-code",
    "trusted",
    multiple=True,
    metavar="METRIC",
    help="Run the code of this hub metric, named in full with its revision; repeatable.",
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@json_option
@common_options
@click.pass_context
def run(
    context: click.Context,
    /,
    *,
    store: str,
    dry_run: bool,
    trusted: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run every grouping with every runner and show the leaderboard.

    EXPERIMENT is a TOML file; options override it. With nothing chosen: the calibration suite,
    groupings single, all and pvi, runners encoder, tfidf and majority. What the store holds is
    not computed again.
    """
    from groupbench.api import prepare, run_experiment
    from groupbench.cli.console import open_plugins, print_document, progress_for

    experiment = read_experiment(**options)
    plugins = open_plugins(context, experiment.tasks_dirs, trusted=trusted)
    if dry_run:
        from groupbench.plan import plan_document
        from groupbench.report.plan import plan_table

        document = plan_document(prepare(experiment, plugins=plugins, store=store))
        print_document(document if as_json else plan_table(document), as_json=as_json)
        return
    progress = progress_for(quiet=quiet)
    with progress:
        report = run_experiment(experiment, plugins=plugins, store=store, progress=progress)
    if as_json:
        print_document(report.leaderboard.to_json(), as_json=True)
    else:
        print_document(report.leaderboard, as_json=False)
    if report.stopped is not None:
        click.echo(f"Stopped: {report.stopped.rstrip('.')}. Run again to go on.", err=True)
    if context.find_root().params.get("debug"):
        for where, trace in report.details.items():
            click.echo(f"--- {where}\n{trace}", err=True)
    sys.exit(report.exit_code)
