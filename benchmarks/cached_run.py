"""How long a fully cached run takes in a fresh process: 8 tasks, 6 groupings, 3 seeds.

Data fingerprints are checked again and every key is computed again. The encoder runner is real (two
steps a fit); the tasks are made here.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from _machine import Machine
from _paired import Spread, Usage, in_turns, run
from _report import Goal, Report, Table, parser

MAX_SECONDS = 2.0
WORDS = [f"w{number}" for number in range(500)]
GROUPINGS = ("single", "all", "pvi", "pvi-paper", "by-domain", "random:k=3,draws=1")
HEAVY = ("torch", "transformers", "scipy", "sklearn", "pandas")
CACHED, CLICK = "cached run", "python -c 'import click'"


def write_tasks(folder: Path, n_tasks: int, n_rows: int) -> None:
    """Write tasks of the size of a typical benchmark's."""
    rng = random.Random(0)  # noqa: S311 - test data
    for number in range(n_tasks):
        task = folder / f"task{number}"
        task.mkdir(parents=True)
        (task / "card.toml").write_text(
            f'name = "task{number}"\nkind = "single"\ndomain = "d{number % 3}"\n'
            'data_class = "open"\nlabels = ["no", "yes"]\nmetrics = ["accuracy"]\n'
        )
        for split, n in {
            "train": n_rows,
            "validation": n_rows // 4,
            "test": n_rows // 4,
        }.items():
            rows = (
                {"text": " ".join(rng.choices(WORDS, k=12)), "label": rng.choice(["no", "yes"])}
                for _ in range(n)
            )
            (task / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def n_fits(store: Path) -> int:
    """Return how many fits a store holds."""
    return len(list(store.glob("fits/*/*/record.json")))


def heavy_imports(command: list[str], env: dict[str, str]) -> list[str]:
    """Return which heavy libraries a command imports."""
    timed = subprocess.run(
        [sys.executable, "-X", "importtime", *command[1:]],
        check=True,
        capture_output=True,
        text=True,
        env=env,
    )
    return [name for name in HEAVY if f" {name}\n" in timed.stderr]


def report(
    machine: Machine, asked: str, first: Usage, found: dict[str, list[Usage]], heavy: str
) -> Report:
    """Return the table and the goal."""
    wall = {name: Spread.of([u.wall_seconds for u in found[name]]) for name in found}
    cpu = {name: Spread.of([u.cpu_seconds for u in found[name]]) for name in found}
    rows = [
        (name, str(wall[name]), str(cpu[name]), f"{found[name][0].peak_bytes / 1e6:.0f}")
        for name in found
    ]
    filled = ("first run", f"{first.wall_seconds:.1f}", f"{first.cpu_seconds:.1f}", "-")
    return Report(
        name="cached_run",
        title="A fully cached run",
        compares=(
            "`groupbench run` again, in a fresh process, when every fit is stored: data are read "
            "and their fingerprints checked, all keys computed, decisions remembered, scores and "
            f"intervals made. {asked}. "
            f"Median and quartiles of {len(found[CACHED])} rounds."
        ),
        machine=machine,
        tables=(Table("Runs", ("command", "s", "CPU s", "peak MB"), (filled, *rows)),),
        goals=(
            Goal(
                f"a cached run under {MAX_SECONDS:g} s",
                wall[CACHED].median,
                at_most=MAX_SECONDS,
                spread=str(wall[CACHED]),
            ),
        ),
        notes=(f"Heavy libraries that a cached run imports: {heavy}.",),
        samples={
            name: [{"wall_seconds": u.wall_seconds, "cpu_seconds": u.cpu_seconds} for u in usages]
            for name, usages in {"first run": [first], **found}.items()
        },
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--tasks", type=int, default=8)
    options.add_argument("--rows", type=int, default=4000, help="train rows of each task")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--groupings", nargs="+", default=GROUPINGS)
    options.add_argument("--runner", default="encoder:model=tiny,steps=2")
    chosen = options.parse_args()
    machine = Machine.here()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tasks(folder / "tasks", chosen.tasks, chosen.rows)
        command = [
            *(sys.executable, "-m", "groupbench", "run", "--tasks-dir", str(folder / "tasks")),
            *(o for number in range(chosen.tasks) for o in ("--task", f"task{number}")),
            *(o for grouping in chosen.groupings for o in ("--grouping", grouping)),
            *("--runner", chosen.runner),
            *(o for seed in range(chosen.seeds) for o in ("--seed", str(seed))),
            *("--store", str(folder / "store"), "--quiet", "--json"),
        ]
        first = run(command, env=environment)
        n_stored = n_fits(folder / "store")
        found = in_turns(
            {
                CACHED: lambda: run(command, env=environment),
                CLICK: lambda: run([sys.executable, "-c", "import click"], env=environment),
            },
            chosen.rounds,
        )
        heavy = ", ".join(heavy_imports(command, environment)) or "none"
        if n_fits(folder / "store") != n_stored:
            raise SystemExit("a run that should have been cached computed fits")
    asked = (
        f"{chosen.tasks} tasks of {chosen.rows} train rows, {chosen.seeds} seeds, groupings "
        f"{', '.join(chosen.groupings)}, runner `{chosen.runner}`: {n_stored} fits"
    )
    report(machine, asked, first, found, heavy).write(chosen.out)


if __name__ == "__main__":
    main()
