"""The command line. Commands are imported when they are run; ``--help`` imports none of them."""

from __future__ import annotations

import click

from groupbench.cli.common import common_options, offline_option, set_debug
from groupbench.cli.lazy import CommandLine, Lazy, LazyGroup

_CLI = "groupbench.cli"


def _list_group(name: str, summary: str, more: dict[str, Lazy] | None = None) -> LazyGroup:
    shown = Lazy(f"{_CLI}.lists:list_{name}", f"List the {name} that plugins offer.")
    if name in {"plugins", "tasks"}:
        shown = Lazy(shown.target, f"List all {name}.")
    return LazyGroup(name=name, help=summary, lazy={"list": shown, **(more or {})})


COMMANDS = {
    "run": Lazy(f"{_CLI}.run:run", "Run every grouping with every runner, show the leaderboard."),
    "group": Lazy(f"{_CLI}.group:group", "Propose a grouping and show its evidence."),
    "prompt": Lazy(f"{_CLI}.prompt:prompt", "Show what a language model is sent, in tokens."),
    "explain": Lazy(f"{_CLI}.explain:explain", "Say what a cell's key is made of, what changed."),
    "leaderboard": Lazy(f"{_CLI}.leaderboard:leaderboard", "Show leaderboards of a store."),
    "store": Lazy(f"{_CLI}.store:store", "Check a store, or remove what nothing uses."),
    "doctor": Lazy(f"{_CLI}.doctor:doctor", "Say what this machine can and cannot run, and why."),
}
GROUPS = (
    _list_group(
        "tasks",
        "Supervised problems, and what is known of them.",
        {
            "show": Lazy(f"{_CLI}.show:show_task", "Show one task: data, labels, planted truth."),
            "new": Lazy(f"{_CLI}.new_task:new_task", "Write the card of a task, from its data."),
            "check": Lazy(f"{_CLI}.check_tasks:check_tasks", "Check cards and data of tasks."),
        },
    ),
    _list_group("suites", "Named lists of tasks."),
    _list_group("groupings", "Strategies that propose which tasks share a model."),
    _list_group("runners", "What turns a group of tasks into predictions."),
    _list_group("metrics", "What task cards can be judged by."),
    _list_group("executors", "Where fits run."),
    _list_group(
        "plugins",
        "Who offers all this.",
        {
            "new": Lazy(f"{_CLI}.plugins:new_plugin", "Write a working plugin to begin with."),
            "check": Lazy(
                f"{_CLI}.plugins:check_plugin", "Check that plugins keep their promises."
            ),
        },
    ),
)


def _show_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        import groupbench

        click.echo(f"groupbench {groupbench.__version__}")
        context.exit()


@click.group(
    cls=CommandLine,
    lazy=COMMANDS,
    groups=GROUPS,
    context_settings={
        "auto_envvar_prefix": "GROUPBENCH",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@offline_option
@click.option(
    "--no-plugin",
    "no_plugin",
    multiple=True,
    metavar="NAME",
    help="Leave out a plugin or a distribution; repeatable.",
)
@click.option("--strict-plugins", is_flag=True, help="Stop if any plugin is broken.")
@click.pass_context
def main(
    context: click.Context, *, debug: bool, no_plugin: tuple[str, ...], strict_plugins: bool
) -> None:
    """Decide which NLP tasks to fine-tune together.

    Every option can be set by a variable: GROUPBENCH_ and the command's and option's names.
    """
    del no_plugin, strict_plugins  # read from the context by whoever needs them
    if debug:
        set_debug(context)


__all__ = ["common_options", "main"]
