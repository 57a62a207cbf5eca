"""``groupbench explain``: what a cell's key is made of, and what changed."""

from __future__ import annotations

from typing import Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import experiment_options, json_option, read_experiment


class _Cell(click.Command):
    """A command whose first argument may be ``-/runner/seed``, as boards show no grouping."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read such an argument as ``runner/seed``: no option begins with a dash and a slash."""
        return super().parse_args(ctx, [argument.removeprefix("-/") for argument in args])


@click.command(cls=_Cell)
@click.argument("cell")
@experiment_options
@json_option
@common_options
@click.pass_context
def explain(
    context: click.Context, /, *, cell: str, store: str, as_json: bool, **options: Any
) -> None:
    """Say what the key of CELL is made of, and which part changed if it must be computed.

    CELL is grouping/runner/seed (runner/seed for runners that do not share), or the first digits
    of a fit's key. EXPERIMENT and options are those of `groupbench run`.
    """
    from dataclasses import asdict

    from groupbench.api import prepare
    from groupbench.cli.console import open_plugins, print_document
    from groupbench.explain import SCHEMA
    from groupbench.explain import explain as explained
    from groupbench.report.explanation import explanation_text

    experiment = read_experiment(**options)
    plugins = open_plugins(context, experiment.tasks_dirs)
    fits = explained(prepare(experiment, plugins=plugins, store=store), cell)
    if as_json:
        document = {"schema": SCHEMA, "cell": cell, "fits": [asdict(fit) for fit in fits]}
        print_document(document, as_json=True)
        return
    for fit in fits:
        print_document(explanation_text(fit), as_json=False)
