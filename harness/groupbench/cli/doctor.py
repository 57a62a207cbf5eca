"""``groupbench doctor``: what this machine can and cannot run, and why."""

from __future__ import annotations

import click

from groupbench.cli.common import common_options
from groupbench.cli.options import json_option


@click.command()
@json_option
@common_options
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Say what this machine can run, what it cannot, and the mend."""
    from groupbench.cli.console import open_plugins, print_document
    from groupbench.health import health
    from groupbench.report.health import health_text

    document = health(open_plugins(context))
    print_document(document if as_json else health_text(document), as_json=as_json)
