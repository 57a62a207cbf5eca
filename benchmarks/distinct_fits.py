"""Distinct fits of an experiment against what strategies would train that share nothing.

    python benchmarks/distinct_fits.py [EXPERIMENT.toml ...] [--tasks-dir DIR]

Counted from the plan, `groupbench run --dry-run --json` on an empty store: nothing is trained.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _machine import Machine
from _report import Report, Table, parser

HERE = Path(__file__).parent
LEADERBOARDS = HERE.parent / "leaderboards"
SHARED = HERE.parent.parent / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Counted:
    """The plan of one experiment."""

    name: str
    plan: dict[str, Any]

    def row(self) -> tuple[str, ...]:
        """Return its line of the table."""
        fits = self.plan["fits"]
        saved = 1 - fits["distinct"] / max(fits["naive"], 1)
        undecided = sorted(set(self.plan["undecided"]))
        counts = (str(fits["naive"]), str(fits["distinct"]), f"{saved:.0%}")
        return (self.name, *counts, ", ".join(undecided) or "-")


def plan_of(experiment: Path, tasks_dir: Path | None) -> Counted | str:
    """Return the plan of an experiment, or why there is none."""
    with tempfile.TemporaryDirectory() as store:
        command = [
            *(sys.executable, "-m", "groupbench", "--offline", "run", str(experiment)),
            *("--dry-run", "--json", "--store", f"{store}/store"),
            *(("--tasks-dir", str(tasks_dir)) if tasks_dir is not None else ()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        return lines[-1]
    name = experiment.parent.name if experiment.name == "experiment.toml" else experiment.stem
    return Counted(name, json.loads(done.stdout))


def report(machine: Machine, counted: list[Counted]) -> Report:
    """Return the table."""
    return Report(
        name="distinct_fits",
        title="Distinct fits",
        compares=(
            "Fits that an experiment trains, against the sum over its combinations of grouping and "
            "runner of what each needs itself, evidence included. From the plan of an empty store; "
            "nothing is trained."
        ),
        machine=machine,
        tables=(
            Table(
                "Fits of each experiment, all seeds",
                ("experiment", "each for itself", "distinct", "saved", "not decided before it ran"),
                tuple(one.row() for one in counted),
            ),
        ),
        notes=(
            "A combination that is not decided yet counts as if it left every task alone. What it "
            "trains jointly comes on top of the distinct fits: at most half as many as there are "
            "tasks, for each seed and draw.",
        ),
        samples={one.name: one.plan for one in counted},
        timed=False,
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "experiments",
        type=Path,
        nargs="*",
        metavar="EXPERIMENT.toml",
        help="default: leaderboards/shared15, or all leaderboards where that is not there",
    )
    options.add_argument("--tasks-dir", type=Path, help="tasks of experiments that name no folder")
    chosen = options.parse_args()
    main_one = LEADERBOARDS / "shared15" / "experiment.toml"
    experiments = chosen.experiments or (
        [main_one] if main_one.is_file() else sorted(LEADERBOARDS.glob("*/experiment.toml"))
    )
    tasks_dir = chosen.tasks_dir or (SHARED if SHARED.is_dir() else None)
    machine = Machine.here()
    counted = []
    for experiment in experiments:
        found = plan_of(experiment, tasks_dir)
        if isinstance(found, str):
            print(f"skipped {experiment}: {found}", file=sys.stderr)
        else:
            counted.append(found)
    if not counted:
        options.exit(2, "nothing counted: no experiment could be planned\n")
    report(machine, counted).write(chosen.out)


if __name__ == "__main__":
    main()
