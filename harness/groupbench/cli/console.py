"""Where output goes: results to standard output, the rest to standard error."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console, RenderableType
    from rich.text import Text

    from groupbench.plugins import Plugins
    from groupbench.report.progress import Progress


def plain(text: object) -> Text:
    """Return foreign text as rich may print it: no markup, nothing that a terminal obeys."""
    from rich.text import Text

    from groupbench.report.text import plain as escaped

    return Text(escaped(text))


def console(*, stderr: bool = False) -> Console:
    """Return a console: no colour where ``NO_COLOR`` or ``CI`` is set, nothing live under CI."""
    from rich.console import Console

    class PipedConsole(Console):
        def on_broken_pipe(self) -> None:
            """Let the command line end it; rich would exit with 1, a bug of ours."""
            raise BrokenPipeError

    under_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    return PipedConsole(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        color_system=None if under_ci else "auto",
        force_terminal=False if under_ci else None,
    )


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def print_document(document: Any, *, as_json: bool) -> None:
    """Print a JSON document, or something that rich can render, on standard output."""
    if as_json:
        print_json(document)
    else:
        shown: RenderableType = document
        console().print(shown)


def open_plugins(
    context: click.Context,
    tasks_dirs: Iterable[str | Path] = (),
    *,
    trusted: Iterable[str] = (),
) -> Plugins:
    """Return the plugins as the program's own options want them; broken ones are named on stderr.

    Args:
        context: of the command that runs.
        tasks_dirs: folders of task cards; if none, those of ``GROUPBENCH_TASKS``.
        trusted: metrics of the hub whose code may be run.

    Raises:
        GroupbenchError: a plugin is named that is not installed, or is broken under
            ``--strict-plugins``.
    """
    from groupbench.plugins import Plugins
    from groupbench.report.text import plain as escaped

    options = context.find_root().params
    plugins = Plugins.discover(
        blocked=options.get("no_plugin") or (),
        strict=bool(options.get("strict_plugins")),
        tasks_dirs=list(tasks_dirs) or None,
        trusted=trusted,
    )
    for broken in plugins.broken:
        click.echo(escaped(str(broken)), err=True)
    if tasks_dirs and plugins.tasks.hidden:
        mine = sorted({offering.name for offering in plugins.tasks.hidden.values()})
        click.echo(
            escaped(
                f"note: {', '.join(mine)}: from {', '.join(map(str, plugins.tasks_dirs))}, not a"
                f" plugin's; write {next(iter(plugins.tasks.hidden))} for that."
            ),
            err=True,
        )
    return plugins


class ClosedProgress(AbstractContextManager["ClosedProgress"]):
    """A progress that is closed when its block is left. Implements `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self.planned = progress.planned
        self.started = progress.started
        self.finished = progress.finished
        self.cached = progress.cached
        self.note = progress.note
        self.close = progress.close

    def __exit__(self, *_: object) -> None:
        self.close()


def progress_for(*, quiet: bool = False) -> ClosedProgress:
    """Return the progress of a run on standard error: live on a terminal, else lines."""
    from groupbench.report import progress

    return ClosedProgress(progress.progress_for(console(stderr=True), quiet=quiet))
