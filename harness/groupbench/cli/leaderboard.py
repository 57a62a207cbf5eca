"""``groupbench leaderboard``: stored leaderboards, shown again."""

from __future__ import annotations

from pathlib import Path

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import DEFAULT_STORE, json_option


@click.group()
def leaderboard() -> None:
    """Show leaderboards of a store."""


@leaderboard.command()
@click.argument("folder", default=DEFAULT_STORE, type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="A board of the store; the last one if not given.")
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
