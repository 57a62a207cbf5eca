"""Training throughput of the runner `encoder` against transformers' Trainer, on a CPU.

    python benchmarks/throughput.py [--full] [--tasks-dir DIR]

The same weights, rows, epochs, learning rate and truncation. Arms take turns in one process with
one thread; then the whole machine: fits side by side against one fit with all threads. `--full`
trains on whole train splits for three epochs, once, to compare quality: an hour or two.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from _paired import Spread, in_turns, ratios
from _report import Goal, Report, Table, parser
from _work import Here, Work

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from _arms import Asked, Timed

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared" / "data"
OURS, DEFAULTS = "groupbench", "Trainer, defaults"
SAME_BATCH, BEST = "Trainer, defaults but batch 32", "Trainer, best"
ARMS = (OURS, DEFAULTS, SAME_BATCH, BEST)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A task, how much of it is trained on, and what is wanted of the ratio."""

    name: str
    n_rows: int
    n_rounds: int
    at_least: float
    """Times the examples a CPU-second of the Trainer at its defaults."""


TASKS = (Chosen("cola", 640, 3, 3.0), Chosen("nli4ct", 64, 2, 1.8))
ALL_ROWS = 1_000_000


@dataclass(frozen=True)
class Found:
    """What was measured on one task."""

    chosen: Chosen
    timed: Mapping[str, Sequence[Timed]]
    work: Work

    def per_cpu_second(self, arm: str) -> list[float]:
        """Return an arm's examples a CPU-second, round by round."""
        return [timed.per_cpu_second for timed in self.timed[arm]]

    def ratio(self, arm: str) -> Spread:
        """Return our examples a CPU-second over an arm's, of fits of one round."""
        return Spread.of(ratios(self.per_cpu_second(OURS), self.per_cpu_second(arm)))

    def share(self, arm: str, peak: float) -> float:
        """Return the median share of the peak, in operations a CPU-second, that an arm reaches."""
        timed = self.timed[arm]
        flops_per_example = self.work.flops / timed[0].n_rows
        return Spread.of([flops_per_example * t.per_cpu_second / peak for t in timed]).median

    def bound(self, peak: float) -> str:
        """Return what the peak says of how much faster than the Trainer anything can be."""
        share = self.share(DEFAULTS, peak)
        return f"{1 / share:.1f} times on {self.chosen.name}, where it is at {share:.0%}"

    def row(self, arm: str, peak: float) -> tuple[str, ...]:
        """Return an arm's line of the table."""
        timed = self.timed[arm]
        return (
            self.chosen.name,
            arm,
            Spread.of(self.per_cpu_second(arm)).text(1),
            Spread.of([t.per_wall_second for t in timed]).text(1),
            "1" if arm == OURS else str(self.ratio(arm)),
            f"{self.share(arm, peak):.0%}",
            f"{sum(t.system_seconds for t in timed) / sum(t.cpu_seconds for t in timed):.0%}",
            f"{sum(t.accuracy for t in timed) / len(timed):.3f}",
            f"{sum(t.log_loss for t in timed) / len(timed):.3f}",
        )


def measure(tasks: Sequence[Chosen], options: Namespace, *, bf16: bool) -> list[Found]:
    """Time every arm on every task, one process and one thread."""
    from _arms import Asked, fit

    def asked(chosen: Chosen, arm: str, seed: int) -> Asked:
        card = options.tasks_dir / chosen.name / "card.toml"
        return Asked(
            arm=arm,
            card=card,
            n_rows=chosen.n_rows,
            n_test=options.test,
            epochs=options.epochs,
            seed=seed,
            threads=1,
            bf16=bf16,
            max_length=options.max_length,
        )

    found = []
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for arm in ARMS:  # imports, and code that is compiled or chosen at its first call
            pool.submit(fit, replace(asked(tasks[0], arm, 0), n_rows=32, n_test=32)).result()
        for chosen in tasks:
            rounds = dict.fromkeys(ARMS, 0)

            def once(arm: str, chosen: Chosen = chosen, rounds: dict[str, int] = rounds) -> Timed:
                rounds[arm] += 1
                timed = pool.submit(fit, asked(chosen, arm, rounds[arm])).result()
                _say(f"{chosen.name}, {arm}: {timed.per_cpu_second:.1f} examples a CPU-second")
                return timed

            timed = in_turns({arm: lambda arm=arm: once(arm) for arm in ARMS}, chosen.n_rounds)  # type: ignore[misc] # a default binds the loop's variable
            work = pool.submit(Work.of, asked(chosen, OURS, 0)).result()
            found.append(Found(chosen, timed, work))
    return found


def whole_machine(chosen: Chosen, options: Namespace, here: Here) -> dict[str, list[float]]:
    """Return examples a second of the whole machine, by how fits are laid out, for each round."""
    from _arms import Asked, fit

    card = options.tasks_dir / chosen.name / "card.toml"
    n_cores = here.machine.n_cores
    base = Asked(
        arm=OURS,
        card=card,
        n_rows=chosen.n_rows,
        n_test=32,
        epochs=options.epochs,
        seed=0,
        threads=1,
        bf16=here.bf16,
        max_length=options.max_length,
    )
    layouts = {
        f"{OURS}, {n_cores} fits side by side, 1 thread each": [
            replace(base, seed=seed) for seed in range(n_cores)
        ],
        f"{OURS}, 1 fit with {n_cores} threads": [replace(base, threads=n_cores)],
        f"{DEFAULTS}, 1 fit with {n_cores} threads": [replace(base, arm=DEFAULTS, threads=n_cores)],
    }
    with ProcessPoolExecutor(n_cores, get_context("spawn")) as pool:

        def throughput(fits: list[Asked]) -> float:
            timed = list(pool.map(fit, fits))
            seconds = max(t.ended for t in timed) - min(t.began for t in timed)
            return sum(t.n_examples for t in timed) / seconds

        for layout in layouts.values():
            throughput([replace(one, n_rows=32) for one in layout])
        return in_turns(
            {name: lambda fits=fits: throughput(fits) for name, fits in layouts.items()},  # type: ignore[misc] # a default binds the loop's variable
            min(chosen.n_rounds, 2),
        )


def report(
    here: Here,
    found: Sequence[Found],
    machine_wide: Mapping[str, Sequence[float]],
    options: Namespace,
) -> Report:
    """Return the tables and goals."""
    machine, peak, bf16 = here.machine, here.peak, here.bf16
    rows = {f.chosen.name: f.timed[OURS][0].n_rows for f in found}
    tables = [
        Table(
            "One process, one thread",
            (
                *("task", "arm", "examples a CPU s", "examples a s", "groupbench is faster by"),
                *("share of peak", "CPU in the kernel", "test accuracy", "test log-loss"),
            ),
            tuple(f.row(arm, peak) for f in found for arm in ARMS),
        )
    ]
    goals = []
    for f in found:
        faster = f"groupbench on {f.chosen.name}, examples a CPU-second, times"
        for arm, bound in (
            (DEFAULTS, f.chosen.at_least),
            (SAME_BATCH, f.chosen.at_least),
            (BEST, 1.0),
        ):
            ratio = f.ratio(arm)
            text = f"at least {bound:g}: {faster} `{arm}`"
            goals.append(Goal(text, ratio.median, at_least=bound, spread=str(ratio)))
    if machine_wide:
        spreads = {name: Spread.of(values) for name, values in machine_wide.items()}
        tables.append(
            Table(
                f"The whole machine on {found[0].chosen.name}",
                ("layout", "examples a s"),
                tuple((name, spread.text(1)) for name, spread in spreads.items()),
            )
        )
        beside, threaded, _ = machine_wide.values()
        gain = Spread.of(ratios(beside, threaded))
        goals.append(
            Goal(
                "at least 1: fits side by side, times one fit with all threads",
                gain.median,
                at_least=1.0,
                spread=str(gain),
            )
        )
    sizes = ", ".join(f"{n} rows of {name}" for name, n in rows.items())
    return Report(
        name="throughput-full" if options.full else "throughput",
        title="Training throughput" + (", whole train splits" if options.full else ""),
        compares=(
            f"Fine-tuning all-MiniLM-L6-v2 on {sizes}, {options.epochs} epoch(s), learning rate "
            f"3e-4, inputs cut at {options.max_length} sub-words; timed from first step to last. "
            f"`{OURS}`: the runner `encoder`, batch 32. `{DEFAULTS}`: transformers' Trainer with "
            "none of its settings changed (batch 8, random order, each batch padded to its "
            f"longest). `{BEST}`: batch 32, `group_by_length`, fused AdamW, our warm-up and weight "
            f"decay, bf16 {'on' if bf16 else 'off: slower than float32 on this CPU'}. The Trainer "
            "neither evaluates, saves nor reports. Median and quartiles (of fewer than four: the "
            "range) of the rounds; a ratio is of two fits of one round."
        ),
        machine=machine,
        tables=tuple(tables),
        goals=tuple(goals),
        notes=(
            f"Share of peak: 6 * parameters outside embeddings * tokens + 12 * layers * hidden * "
            f"length^2, padding not counted, over what products of 2048 x 2048 float32 matrices "
            f"reach on one thread here: {peak / 1e9:.0f} GFLOP a CPU-second.",
            f"What computes the same products at that peak is faster than `{DEFAULTS}` by no more "
            f"than {'; '.join(f.bound(peak) for f in found)}.",
            "Accuracy and log-loss (nats) are means over rounds on the "
            f"first {options.test} test rows at most."
            + ("" if options.full else " So few rows teach little: see the whole train splits."),
            "Where groupbench is faster it is because batches hold examples of like length, and "
            "the optimiser moves only the embedding rows that occur. CPU in the kernel is nearly "
            "all for fresh memory: tensors of large batches of long texts go back to it after use.",
        ),
        samples={
            "arms": {
                f.chosen.name: {a: [t.as_json() for t in f.timed[a]] for a in ARMS} for f in found
            },
            "whole_machine": {name: list(values) for name, values in machine_wide.items()},
            "peak_flops": peak,
            "flops_of_one_pass": {f.chosen.name: f.work.flops for f in found},
            "tokens_of_one_pass": {f.chosen.name: f.work.n_tokens for f in found},
        },
    )


def chosen_tasks(options: Namespace) -> list[Chosen]:
    """Return the tasks that are here, with the sizes asked for."""
    found = []
    for task in TASKS:
        if task.name not in options.task:
            continue
        if not (options.tasks_dir / task.name / "card.toml").is_file():
            _say(f"skipped {task.name}: {options.tasks_dir} holds no {task.name}/card.toml")
            continue
        n_rows = ALL_ROWS if options.full else options.rows or task.n_rows
        n_rounds = 1 if options.full else options.rounds or task.n_rounds
        found.append(replace(task, n_rows=n_rows, n_rounds=n_rounds))
    return found


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tasks-dir", type=Path, default=SHARED, help="holds the tasks' folders")
    options.add_argument("--task", action="append", choices=[t.name for t in TASKS], default=None)
    options.add_argument("--rows", type=int, help="train rows of each task")
    options.add_argument("--test", type=int, default=None, help="test rows at most")
    options.add_argument("--rounds", type=int)
    options.add_argument("--epochs", type=int, default=None)
    options.add_argument("--max-length", type=int, default=256, help="sub-words of an input")
    options.add_argument("--full", action="store_true", help="whole train splits, once")
    options.add_argument("--no-machine", action="store_true", help="leave out the whole machine")
    chosen = options.parse_args()
    chosen.task = chosen.task or [task.name for task in TASKS]
    chosen.epochs = chosen.epochs or (3 if chosen.full else 1)
    chosen.test = chosen.test or (ALL_ROWS if chosen.full else 128)
    tasks = chosen_tasks(chosen)
    if not tasks:
        _say("nothing measured: name a folder that holds cola or nli4ct with --tasks-dir")
        return
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    here = Here.measured()
    found = measure(tasks, chosen, bf16=here.bf16)
    wide = {}
    if here.machine.n_cores > 1 and not (chosen.full or chosen.no_machine):
        wide = whole_machine(tasks[0], chosen, here)
    report(here, found, wide, chosen).write(chosen.out)


if __name__ == "__main__":
    main()
