"""What the engine itself costs: CPU time per example and memory, with a runner that does nothing.

`groupbench run` with one task, the grouping `single` and a runner that answers at once, in a fresh
process and an empty store: rows are read and checked, keys made, a fit's process started, rows
sent to it, predictions stored and scored, intervals drawn and the leaderboard printed. Almost all
of the rows are test rows.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from _machine import Machine
from _paired import Spread, Usage, in_turns, run
from _report import Goal, Report, Table, parser
from _site import Site

MAX_MS = 0.5
"""CPU per example. lm-eval's dummy model took 1.3 ms on another machine, Inspect's 14 ms."""
MAX_GROWTH = 0.10
"""Of the peak at the smaller size, beyond what the rows hold."""
N_OTHERS = 200
"""Train rows, and validation rows."""
N_WORDS = 12
RUNNER = """
from dataclasses import dataclass
from typing import ClassVar
from groupbench import hookimpl
from groupbench.predictions import Output
from groupbench.runner import Costs, FitResult, Place, Resources

@dataclass(frozen=True)
class Instant:
    name: ClassVar[str] = "instant"
    summary: ClassVar[str] = "answers at once"
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    preload: ClassVar[tuple[str, ...]] = ()
    deciding_modules: ClassVar[tuple[str, ...]] = ()

    def availability(self):
        return None

    def place(self):
        return Place.LOCAL

    def resources(self, group, suite):
        return Resources()

    def identity(self):
        return {}

    def fit(self, request):
        import numpy as np

        def output(given, n):
            n_labels = len(given.task.labels)
            return Output(np.arange(n) % n_labels, np.full((n, n_labels), -np.log(n_labels)))

        return FitResult(
            {
                given.task.name: {s: output(given, len(rows)) for s, rows in given.predict.items()}
                for given in request.tasks
            },
            Costs(),
        )

@hookimpl
def groupbench_register_runners():
    return [Instant]
"""
READ = """
import sys
from groupbench.cards.card import load_card
task = load_card(sys.argv[1]).task()
kept = task.data
"""
"""Reads and keeps the rows of one card, and does nothing with them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run, and one mere reading of the same rows."""

    whole: Usage
    reading: Usage

    @property
    def beyond_rows(self) -> int:
        """Bytes at the peak of a run's largest process beyond a process that holds the rows."""
        return self.whole.peak_bytes - self.reading.peak_bytes


def write_task(folder: Path, n_rows: int) -> Path:
    """Write a task of ``n_rows`` test rows; return its card."""
    rng = random.Random(n_rows)  # noqa: S311 - test data
    task = folder / f"rows{n_rows}"
    task.mkdir(parents=True)
    (task / "card.toml").write_text(
        f'name = "rows{n_rows}"\nkind = "single"\ndata_class = "open"\n'
        'labels = ["no", "yes"]\nmetrics = ["accuracy", "f1_macro"]\n'
    )
    for split, n in {"train": N_OTHERS, "validation": N_OTHERS, "test": n_rows}.items():
        lines = (
            json.dumps(
                {
                    "text": " ".join(f"w{rng.randrange(5000)}" for _ in range(N_WORDS)),
                    "label": ["no", "yes"][i % 2],
                }
            )
            for i in range(n)
        )
        (task / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return task / "card.toml"


def measure(folder: Path, sizes: tuple[int, ...], n_rounds: int) -> dict[int, list[Sample]]:
    """Return what each size took in each round."""
    site = Site(folder / "site")
    site.install("gb-instant", RUNNER)
    cards = {n: write_task(folder / "tasks", n) for n in sizes}
    environment = site.environment()
    made = iter(range(1_000_000))

    def once(n_rows: int) -> Sample:
        command = [
            *(sys.executable, "-m", "groupbench", "run", "--tasks-dir", str(folder / "tasks")),
            *("--task", f"rows{n_rows}", "--grouping", "single", "--runner", "instant"),
            *("--store", str(folder / f"store{next(made)}"), "--executor", "local:workers=1"),
            *("--quiet", "--json"),
        ]
        whole = run(command, env=environment)
        if '"ok"' not in whole.output:
            raise SystemExit(f"the run has no finished entry:\n{whole.output}")
        reading = run([sys.executable, "-c", READ, str(cards[n_rows])], env=environment)
        return Sample(whole, reading)

    once(min(sizes))  # what plugins offer is indexed, and bytecode is written
    found = in_turns({str(n): lambda n=n: once(n) for n in sizes}, n_rounds)  # type: ignore[misc] # a default binds the loop's variable
    return {int(name): samples for name, samples in found.items()}


def report(machine: Machine, found: dict[int, list[Sample]]) -> Report:
    """Return the table of sizes, and the goals."""
    small, large = min(found), max(found)
    marginal = Spread.of(
        [
            1e3 * (b.whole.cpu_seconds - a.whole.cpu_seconds) / (large - small)
            for a, b in zip(found[small], found[large], strict=True)
        ]
    )
    beyond = {n: Spread.of([s.beyond_rows / 1e6 for s in found[n]]) for n in found}
    whole = {n: Spread.of([s.whole.peak_bytes / 1e6 for s in found[n]]) for n in found}
    grown = (beyond[large].median - beyond[small].median) / whole[small].median
    return Report(
        name="overhead",
        title="Overhead of the engine",
        compares=(
            "`groupbench run` of one task, one grouping and a runner that answers at once, in a "
            f"fresh process and store, over test sets of {small} to {large} rows of {N_WORDS} "
            f"words ({N_OTHERS} train and {N_OTHERS} validation rows beside them). CPU of all its "
            "processes. Memory is the peak resident set of its largest process; *beyond the rows* "
            "is less that of a process that reads and keeps the same rows and does nothing else. "
            f"Median and quartiles of {len(found[small])} rounds."
        ),
        machine=machine,
        tables=(
            Table(
                "Whole runs",
                ("test rows", "CPU s", "CPU ms an example", "peak MB", "beyond the rows, MB"),
                tuple(
                    (
                        str(n),
                        str(Spread.of([s.whole.cpu_seconds for s in samples])),
                        str(Spread.of([1e3 * s.whole.cpu_seconds / n for s in samples])),
                        whole[n].text(0),
                        beyond[n].text(0),
                    )
                    for n, samples in sorted(found.items())
                ),
            ),
        ),
        goals=(
            Goal(
                f"under {MAX_MS:g} CPU ms for each further example ({small} to {large})",
                marginal.median,
                at_most=MAX_MS,
                spread=marginal.text(3),
            ),
            Goal(
                f"memory beyond the rows grows by under {MAX_GROWTH:.0%} of the peak at {small} "
                f"(MB: {beyond[small].median:.0f} to {beyond[large].median:.0f}), share",
                grown,
                at_most=MAX_GROWTH,
            ),
        ),
        samples={
            str(n): [
                {
                    "cpu_seconds": s.whole.cpu_seconds,
                    "wall_seconds": s.whole.wall_seconds,
                    "peak_bytes": s.whole.peak_bytes,
                    "reading_peak_bytes": s.reading.peak_bytes,
                }
                for s in samples
            ]
            for n, samples in found.items()
        },
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000, 50_000])
    chosen = options.parse_args()
    if len(set(chosen.sizes)) < 2 or min(chosen.sizes) < 1:
        options.error(f"--sizes {chosen.sizes}: name at least two different sizes above 0")
    machine = Machine.here()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), tuple(dict.fromkeys(chosen.sizes)), chosen.rounds)
    report(machine, found).write(chosen.out)


if __name__ == "__main__":
    main()
