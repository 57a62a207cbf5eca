"""The program's skeleton: help without imports, errors with their exit codes, plugin commands."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from groupbench.cli import COMMANDS, main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sites import Site

COMMAND = """
import os, sys
import click
from groupbench.cli import common_options
from groupbench.errors import NothingToRunError, PolicyError, SettingError

@click.command()
@click.argument("what")
@common_options
def command(what):
    "A command of a test."
    if what == "stderr":
        click.echo("\\x1b[2J[/bold]", err=True)
    elif what == "offline":
        click.echo(os.environ.get("HF_HUB_OFFLINE", "online"))
    elif what == "exit":
        sys.exit(3)
    elif what == "interrupt":
        raise KeyboardInterrupt
    else:
        errors = {"setting": SettingError, "nothing": NothingToRunError, "policy": PolicyError,
                  "bug": RuntimeError, "bare": click.ClickException}
        raise errors[what](what + " \\x1b[2J went wrong")
"""


def install_command(site: Site, name: str, source: str, *, command: str = "try") -> None:
    """Install a distribution with a command and no plugin."""
    module = f"command_of_{name.replace('-', '_')}"
    site.install(name, module=module, source=source)
    info = site.folder / f"{name.replace('-', '_')}-1.0.dist-info"
    (info / "entry_points.txt").write_text(f"[groupbench.commands]\n{command} = {module}:command\n")


def imported(site: Site, *arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run the command line under ``-X importtime``; return it and the modules it imported."""
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "groupbench", *arguments],
        env=site.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    return process, {line.rpartition("|")[2].strip() for line in lines}


def test_help_names_every_command_and_imports_none(site: Site) -> None:
    install_command(site, "gb-cmd", "raise RuntimeError('imported')")
    process, modules = imported(site, "--help")
    assert process.returncode == 0, process.stderr
    shown = {line.split()[0] for line in process.stdout.splitlines() if line.startswith("  ")}
    assert shown >= {*COMMANDS, "tasks", "suites", "groupings", "runners", "metrics", "executors"}
    assert "try" in shown
    assert "Command of gb-cmd." in process.stdout
    top = {module.partition(".")[0] for module in modules}
    assert "click" in top
    assert not top & {"torch", "transformers", "numpy", "rich", "pluggy", "msgspec", "scipy"}
    assert not {module for module in modules if module.startswith("groupbench_")}
    assert "groupbench.cli.run" not in modules


def leaves(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """Yield the context of every command that is ours."""
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if command is main and name not in {*COMMANDS, *main.commands}:
                continue
            below = command.get_command(context, name)
            assert below is not None, name
            assert below.name == name
            yield from leaves(below, click.Context(below, parent=context, info_name=name))


def test_every_command_can_be_imported_and_every_option_has_a_variable_and_help() -> None:
    root = click.Context(main, info_name="groupbench", auto_envvar_prefix="GROUPBENCH")
    found = list(leaves(main, root))
    assert len(found) > 10
    for context in found:
        assert context.command.get_short_help_str(), context.command_path
        for option in context.command.params:
            if isinstance(option, click.Option):
                where = f"{context.command_path} {option.opts[0]}"
                named = option.envvar or context.auto_envvar_prefix
                assert str(named).startswith("GROUPBENCH"), where
                assert option.help or option.name == "seeds", where


def test_version_is_that_of_the_distribution(site: Site) -> None:
    from importlib import metadata

    process = site.groupbench("--version")
    assert process.stdout == f"groupbench {metadata.version('groupbench')}\n"


def test_an_unknown_command_suggests_the_nearest(site: Site) -> None:
    process = site.groupbench("rnu")
    assert process.returncode == 2
    assert "No command 'rnu'. Did you mean 'run'?" in process.stderr
    process = site.groupbench("tasks", "lsit")
    assert process.returncode == 2
    assert "No command 'lsit'. Did you mean 'list'?" in process.stderr


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("setting", 2, "Error: setting \\x1b[2J went wrong"),
        ("bare", 2, "went wrong"),
        ("nothing", 5, "Error: nothing \\x1b[2J went wrong"),
        ("policy", 6, "Error: policy \\x1b[2J went wrong"),
        ("bug", 1, "Error: this is a bug of gb-cmd: RuntimeError: bug \\x1b[2J went wrong"),
        ("interrupt", 130, "Interrupted."),
        ("exit", 3, ""),
    ],
)
def test_errors_end_in_one_line_and_their_exit_code(
    site: Site, what: str, code: int, message: str
) -> None:
    install_command(site, "gb-cmd", COMMAND)
    process = site.groupbench("try", what)
    assert process.returncode == code
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""


@pytest.mark.parametrize("arguments", [["--debug", "try", "bug"], ["try", "bug", "--debug"]])
def test_debug_shows_the_traceback(site: Site, arguments: list[str]) -> None:
    install_command(site, "gb-cmd", COMMAND)
    process = site.groupbench(*arguments)
    assert process.returncode == 1
    assert "Traceback (most recent call last)" in process.stderr
    assert "this is a bug of gb-cmd: RuntimeError" in process.stderr
    assert ", in command\n" in process.stderr


def test_offline_reaches_the_libraries_wherever_it_is_written(site: Site) -> None:
    install_command(site, "gb-cmd", COMMAND)
    for arguments, variable, seen in [
        (["try", "offline"], "", "online"),
        (["--offline", "try", "offline"], "", "1"),
        (["try", "offline", "--offline"], "", "1"),
        (["try", "offline"], "1", "1"),
    ]:
        process = site.groupbench(*arguments, HF_HUB_OFFLINE="online", GROUPBENCH_OFFLINE=variable)
        assert process.stdout == f"{seen}\n"


def test_a_broken_command_is_named_and_harms_no_other(site: Site) -> None:
    install_command(site, "gb-bad", "import no_such_module", command="bad")
    install_command(site, "gb-odd", "command = 3", command="odd")
    install_command(site, "gb-cmd", COMMAND)
    process = site.groupbench("bad")
    assert process.returncode == 2
    assert "The command 'bad' of gb-bad 1.0 cannot be used: ModuleNotFoundError" in process.stderr
    assert "is not a click command" in site.groupbench("odd").stderr
    assert site.groupbench("try", "exit").returncode == 3
    assert site.groupbench("bad", "--help").returncode == 2
    assert "bad" in site.groupbench("--help").stdout


def test_a_command_offered_twice_is_reached_through_its_distribution(site: Site) -> None:
    install_command(site, "gb-one", COMMAND)
    install_command(site, "gb-two", COMMAND.replace("sys.exit(3)", "sys.exit(4)"))
    process = site.groupbench("try", "exit")
    assert process.returncode == 2
    assert "write gb-one/try or gb-two/try" in process.stderr
    assert site.groupbench("gb-two/try", "exit").returncode == 4


def test_a_plugin_that_is_left_out_loses_its_commands() -> None:
    found = CliRunner().invoke(main, ["--help"]).output
    assert "\n  pvi " in found
    left_out = CliRunner().invoke(main, ["--help"], env={"GROUPBENCH_PLUGINS": "none"}).output
    assert "\n  pvi " not in left_out
    assert CliRunner().invoke(main, ["--no-plugin", "pvi", "pvi"]).exit_code == 2


def test_completion_imports_no_command(site: Site) -> None:
    install_command(site, "gb-cmd", "raise RuntimeError('imported')")
    environment = site.environment(
        _GROUPBENCH_COMPLETE="bash_complete", COMP_WORDS="groupbench ", COMP_CWORD="1"
    )
    process = subprocess.run(
        [sys.executable, "-m", "groupbench"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.stderr == ""
    words = {line.partition(",")[2] for line in process.stdout.splitlines()}
    assert words >= {"run", "tasks", "try"}


def test_a_reader_that_goes_away_is_met_in_silence(site: Site) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process: Any = subprocess.run(
            [sys.executable, "-m", "groupbench", "metrics", "list"],
            env=site.environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writing)
    assert process.stderr == ""
    assert process.returncode == 141
