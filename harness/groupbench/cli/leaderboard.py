"""``groupbench leaderboard``: stored leaderboards, shown again and published."""

from __future__ import annotations

from pathlib import Path

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import DEFAULT_STORE, json_option, store_option


@click.group()
def leaderboard() -> None:
    """Show and publish leaderboards."""


@leaderboard.command()
@click.argument("folder", default=DEFAULT_STORE, type=click.Path(path_type=Path))
@click.option(
    "--name", metavar="NAME", help="An experiment of the store; the last one if not given."
)
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@json_option
@common_options
@click.pass_context
def show(
    context: click.Context,
    /,
    *,
    folder: Path,
    name: str | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Show the leaderboard in FOLDER: a store, or a folder of committed entries.

    Nothing is computed but scores, from stored predictions.
    """
    from groupbench.cli.console import open_plugins, print_document
    from groupbench.leaderboard import Leaderboard
    from groupbench.leaderboard.boards import read_board
    from groupbench.store import Store

    if markdown and as_json:
        raise click.UsageError("--json and --markdown are two forms of one page: leave one out.")
    stored = read_board(Store.open(folder, create=False), name)
    plugins = open_plugins(context)
    board = Leaderboard.of(
        stored.suite,
        stored.entries,
        baseline=stored.baseline,
        metrics={task.name: plugins.metric(task.metric) for task in stored.suite.tasks},
        published=stored.published,
    )
    if markdown:
        click.echo(board.to_markdown(), nl=False)
    else:
        print_document(board.to_json() if as_json else board, as_json=as_json)


@leaderboard.command()
@click.argument("folder", type=click.Path(path_type=Path))
@store_option
@click.option(
    "--name",
    metavar="NAME",
    help="An experiment whose board is published; that of FOLDER if not given.",
)
@json_option
@common_options
@click.pass_context
def update(
    context: click.Context, /, *, folder: Path, store: str, name: str | None, as_json: bool
) -> None:
    """Publish finished entries of a store in FOLDER and render its page.

    FOLDER holds an experiment.toml, was run with --store, and may be committed: it gets no text of
    any task, and of tasks that are not open nothing but scores.
    """
    from groupbench.cli.console import open_plugins, print_document
    from groupbench.leaderboard.boards import read_board
    from groupbench.leaderboard.committed import demand_experiment
    from groupbench.leaderboard.committed import update as publish
    from groupbench.store import Store

    experiment = demand_experiment(folder)
    board = read_board(Store.open(store, create=False), name, prefer=experiment.name)
    plugins = open_plugins(context)
    done = publish(folder, Store.open(folder), board, plugins.metric)
    if as_json:
        print_document(done.to_json(), as_json=True)
        return
    click.echo(f"{len(done.added)} added, {len(done.known)} known, page: {done.page}")
    for label in done.added:
        click.echo(f"  + {label}")
    for label, reason in done.left_out.items():
        click.echo(f"  - {label}, not finished: {reason}")
