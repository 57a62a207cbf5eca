"""Groups of commands that are imported only when they run, and the one place that ends errors."""

from __future__ import annotations

import io
import os
import select
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from groupbench.cli.common import remember
from groupbench.errors import GroupbenchError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from click.shell_completion import CompletionItem

    from groupbench.plugins.sources import Source

INTERRUPTED = 130
BROKEN_PIPE = 141
"""As a shell says it of a process that SIGPIPE ended."""


class Lazy(NamedTuple):
    """A command that was not imported."""

    target: str
    """``module:attribute``."""
    summary: str
    """Its line in the help."""


class LazyGroup(click.Group):
    """A group that knows the names of its commands, and imports one when it runs."""

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, Lazy],
        groups: Iterable[click.Group] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy)
        for group in groups:
            self.add_command(group)

    def summaries(self, ctx: click.Context) -> dict[str, str]:  # noqa: ARG002 - for subclasses
        """Return the line that the help shows for each command, by name."""
        groups = {name: command.get_short_help_str(80) for name, command in self.commands.items()}
        return {name: lazy.summary for name, lazy in self.lazy.items()} | groups

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.summaries(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.lazy:
            module, _, attribute = self.lazy[cmd_name].target.partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-"):
            ours = name in self.lazy or name in self.commands
            if not ours and self.get_command(ctx, name) is None:
                from difflib import get_close_matches

                known = self.list_commands(ctx)
                near = get_close_matches(name, known, n=1)
                mend = f"Did you mean '{near[0]}'?" if near else f"Commands: {', '.join(known)}."
                ctx.fail(f"No command '{name}'. {mend}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries(ctx).items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=summary)
            for name, summary in self.summaries(ctx).items()
            if name.startswith(incomplete)
        ]
        return items + click.Command.shell_complete(self, ctx, incomplete)


class CommandLine(LazyGroup):
    """The program: our commands, those of plugins by name alone, and what becomes of errors."""

    def summaries(self, ctx: click.Context) -> dict[str, str]:
        ours = super().summaries(ctx)
        theirs = {
            name: f"Command of {' and '.join(sorted({s.distribution for s in sources}))}."
            for name, sources in _plugin_commands(ctx).items()
            if name not in ours
        }
        return ours | theirs

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            return command
        owner, _, name = cmd_name.rpartition("/")
        sources = _plugin_commands(ctx).get(name, [])
        if owner:
            sources = [source for source in sources if source.distribution == owner]
        if not sources:
            return None
        if len(sources) > 1:
            owners = " and ".join(str(source) for source in sources)
            choices = " or ".join(f"{source.distribution}/{name}" for source in sources)
            raise PluginError(f"The command '{name}' is offered by {owners}: write {choices}.")
        remember(ctx, "owner", value=sources[0].distribution)
        return _load_command(sources[0])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            if not _stdout_is_broken():
                raise
            return BROKEN_PIPE

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT002 - click's signature
        **extra: Any,
    ) -> Any:
        """Run the program and exit with the code that belongs to what happened."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # an ASCII terminal is no error
        told: dict[str, Any] = {}  # what errors need to know when the context is gone
        try:
            code = super().main(
                args, prog_name, complete_var, standalone_mode=False, **{"obj": told, **extra}
            )
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
            _say("Interrupted.")
        except click.ClickException as problem:
            code = 2
            problem.show()
        except GroupbenchError as problem:
            code = problem.exit_code
            _say(f"Error: {problem}", debug=told.get("debug"))
        except Exception as failure:  # noqa: BLE001 - the last resort, whatever it is
            code = 1
            lines = str(failure).strip().splitlines() or ["no message"]
            bug = f"this is a bug of {told.get('owner', 'groupbench')}"
            _say(f"Error: {bug}: {type(failure).__name__}: {lines[0]}", debug=told.get("debug"))
        sys.exit(code if isinstance(code, int) else 0)


def _plugin_commands(ctx: click.Context) -> dict[str, list[Source]]:
    """Return the entry points of each command of a plugin that is not left out."""
    from groupbench.plugins.sources import COMMANDS, PLUGINS, installed, named_by_environment

    blocked = ctx.find_root().params.get("no_plugin") or ()
    only = named_by_environment()
    left_out = {
        source.package
        for source in installed(PLUGINS)
        if any(source.called(name) for name in blocked)
        or (only is not None and not any(source.called(name) for name in only))
    }
    found: dict[str, list[Source]] = {}
    for source in installed(COMMANDS):
        if source.package not in left_out and only != []:
            found.setdefault(source.plugin, []).append(source)
    return found


def _load_command(source: Source) -> click.Command:
    from groupbench.plugins.loading import first_line

    what = f"The command '{source.plugin}' of {source.distribution} {source.version}"
    module, _, attribute = source.value.partition(":")
    try:
        command = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as failure:
        raise PluginError(f"{what} cannot be used: {first_line(failure)}.") from failure
    if not isinstance(command, click.Command):
        raise PluginError(f"{what} cannot be used: {source.value} is not a click command.")
    return command


def _stdout_is_broken() -> bool:
    """Return whether nobody reads standard output any more; if so, forget what is left to write."""
    try:
        number = sys.stdout.fileno()
        poll = select.poll()
        poll.register(number, 0)
        if not poll.poll(0):  # errors are always reported
            return False
    except (OSError, ValueError):  # no file at all
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
    return True


def _say(message: str, *, debug: bool | None = False) -> None:
    from groupbench.llm.secrets import struck
    from groupbench.report.text import plain

    if debug:
        click.echo(struck(traceback.format_exc()), err=True)
    click.echo(plain(struck(message)), err=True)
