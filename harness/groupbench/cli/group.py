"""``groupbench group``: propose groupings and show the evidence; train nothing more."""

from __future__ import annotations

from typing import Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import experiment_options, json_option, read_experiment


@click.command()
@experiment_options
@json_option
@common_options
@click.pass_context
def group(context: click.Context, /, *, store: str, as_json: bool, **options: Any) -> None:
    """Propose a grouping with each strategy, and show what it rests on.

    Only the fits that a strategy needs in order to decide are computed. The first runner that
    shares a model is asked; options are those of `groupbench run`.
    """
    from groupbench.api import prepare
    from groupbench.cli.console import open_plugins, print_document, progress_for
    from groupbench.propose import grouping_documents
    from groupbench.report.groups import grouping_text

    experiment = read_experiment(**options)
    plugins = open_plugins(context, experiment.tasks_dirs)
    with progress_for(quiet=False) as progress:
        run = prepare(experiment, plugins=plugins, store=store, progress=progress)
        documents = grouping_documents(run)
    if as_json:
        print_document(documents[0] if len(documents) == 1 else documents, as_json=True)
        return
    for document in documents:
        print_document(grouping_text(document), as_json=False)
