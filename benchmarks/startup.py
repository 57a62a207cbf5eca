"""CPU time of `groupbench --help` and of every `list`, against importing click alone.

Fifty plugins are installed beside the built-in ones, one of which would import torch and one of
which is broken; what they offer was indexed before. Every command takes its turn in each round.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from _machine import Machine
from _paired import Spread, Usage, in_turns, ratios, run
from _report import Goal, Report, Table, parser
from _site import Site

KINDS = ("tasks", "suites", "groupings", "runners", "metrics", "executors", "plugins")
CLICK = "python -c 'import click'"
N_PLUGINS = 50
MAX_RATIO = 3.0
MAX_SECONDS = 0.3
PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from groupbench import Grouping, Plan, hookimpl
{extra}

@dataclass(frozen=True)
class Strategy:
    name: ClassVar[str] = "{name}"
    summary: ClassVar[str] = "a dummy"

    def plan(self, suite, workbench):
        return Plan()

    def propose(self, suite, workbench):
        return Grouping.partition([suite.names])

@hookimpl
def groupbench_register_groupings():
    return [Strategy]
"""


def install_dummies(site: Site, n_plugins: int) -> None:
    """Install plugins that offer a grouping each."""
    for number in range(n_plugins):
        extra = {7: "import torch", 23: "import no_such_module"}.get(number, "")
        site.install(f"gb-dummy-{number}", PLUGIN.format(name=f"dummy-{number}", extra=extra))


def measure(site: Site, n_rounds: int) -> dict[str, list[Usage]]:
    """Return what each command took in each round."""
    program = [sys.executable, "-m", "groupbench"]
    commands = {CLICK: [sys.executable, "-c", "import click"]}
    commands |= {"groupbench --help": [*program, "--help"]}
    commands |= {f"groupbench {kind} list": [*program, kind, "list"] for kind in KINDS}
    environment = site.environment()
    for command in commands.values():  # what plugins offer is indexed, and bytecode is written
        run(command, env=environment)

    def arm(command: list[str]) -> Usage:
        return run(command, env=environment)

    return in_turns(
        {name: lambda command=command: arm(command) for name, command in commands.items()},  # type: ignore[misc] # a default binds the loop's variable
        n_rounds,
    )


def report(machine: Machine, found: dict[str, list[Usage]], n_plugins: int) -> Report:
    """Return the table of medians, and the goals for the slowest command."""
    seconds = {name: [usage.cpu_seconds for usage in found[name]] for name in found}
    against = {name: Spread.of(ratios(seconds[name], seconds[CLICK])) for name in found}
    spreads = {name: Spread.of(seconds[name]) for name in found}
    ours = [name for name in found if name != CLICK]
    furthest = max(ours, key=lambda name: against[name].median)
    slowest = max(ours, key=lambda name: spreads[name].median)
    return Report(
        name="startup",
        title="Start-up",
        compares=(
            f"CPU seconds of commands in a fresh process, {n_plugins} dummy plugins installed, "
            "against `import click` in the same Python; median and quartiles of "
            f"{len(seconds[CLICK])} rounds. A ratio is of two processes of one round."
        ),
        machine=machine,
        tables=(
            Table(
                "CPU time",
                ("command", "CPU s", "times `import click`", "peak MB"),
                tuple(
                    (
                        f"`{name}`",
                        spreads[name].text(3),
                        str(against[name]) if name != CLICK else "1",
                        f"{max(usage.peak_bytes for usage in found[name]) / 1e6:.0f}",
                    )
                    for name in found
                ),
            ),
        ),
        goals=(
            Goal(
                f"every command within {MAX_RATIO:g} times `import click` (`{furthest}`)",
                against[furthest].median,
                at_most=MAX_RATIO,
                spread=str(against[furthest]),
            ),
            Goal(
                f"every command under {MAX_SECONDS:g} CPU s (`{slowest}`)",
                spreads[slowest].median,
                at_most=MAX_SECONDS,
                spread=spreads[slowest].text(3),
            ),
        ),
        samples={"cpu_seconds": seconds},
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--plugins", type=int, default=N_PLUGINS)
    chosen = options.parse_args()
    machine = Machine.here()
    with tempfile.TemporaryDirectory() as name:
        site = Site(Path(name))
        install_dummies(site, chosen.plugins)
        found = measure(site, chosen.rounds)
    report(machine, found, chosen.plugins).write(chosen.out)


if __name__ == "__main__":
    main()
