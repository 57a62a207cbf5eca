"""Measure how well a runner recovers the calibration suites, and write the table of it.

    python benchmarks/calibration.py --model all-MiniLM-L6-v2 --worlds 1 2 3 4 5

World w is the suite of seed w, trained with seed w. Each world's numbers are kept beside the
table as soon as they are measured, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from groupbench.settings import configure
from groupbench.stats.student import t_quantile
from groupbench.task import Split
from groupbench_encoder.runner import EncoderRunner
from groupbench_pvi.strategy import Pvi
from groupbench_references.tfidf import TfidfRunner
from groupbench_tasks.calibration import bounds
from groupbench_tasks.calibration.recovery import (
    ALL,
    CLASS,
    DOMAIN,
    FAMILY,
    SINGLE,
    InProcess,
    Recovery,
    accuracy_of,
    joined,
    measure,
    partition,
    random_partition,
)
from groupbench_tasks.calibration.suites import Calibration, CalibrationAgree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from groupbench.suite import Suite
    from groupbench.task import Planted

HERE = Path(__file__).parent
KEPT = HERE / "calibration"
SUITES = {suite.name: suite for suite in (Calibration, CalibrationAgree)}
N_GROUPS = 3
SETTINGS: dict[str, dict[str, int]] = {"tiny": {}, "all-MiniLM-L6-v2": {"epochs": 5}}
"""Where not the runner's defaults: three epochs leave single tasks short in some worlds."""


class World(msgspec.Struct):
    """What is kept of one suite, model and world."""

    model: str
    neural: Recovery
    linear: dict[str, float]
    date: str
    machine: str
    commit: str
    settings: dict[str, int] = {}


@dataclass(frozen=True)
class Asked:
    """One world to be measured."""

    suite: str
    model: str
    world: int
    n_randoms: int
    groupings: tuple[str, ...] = (FAMILY, ALL, CLASS, DOMAIN)

    @property
    def file(self) -> Path:
        """Where its numbers are kept."""
        return KEPT / f"{self.suite}-{self.model}-{self.world}.json"


def measure_world(asked: Asked) -> World:
    """Train every grouping of one world."""
    suite = SUITES[asked.suite](asked.world).build()
    rng = np.random.default_rng(asked.world)
    groupings = {
        **{by: decisive(suite, by) for by in asked.groupings},
        **{f"random-{i}": random_partition(suite, N_GROUPS, rng) for i in range(asked.n_randoms)},
    }
    neural = measure(suite, runner_of(asked.model), asked.world, groupings, Pvi())
    bench = InProcess(joined(suite), TfidfRunner(ngrams=2), asked.world)
    linear = {
        name: accuracy_of(bench.fit([name]).predictions(name, Split.TEST)) for name in suite.names
    }
    return World(
        asked.model,
        neural,
        linear,
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        machine=f"{processor()}, 1 thread",
        commit=commit(),
        settings=SETTINGS[asked.model],
    )


def decisive(suite: Suite, by: str) -> list[list[str]]:
    """Return the groups that a bound reads: of the difficulty classes, that of the hidden tasks."""
    groups = partition(suite, by)
    hidden = {task.name for task in suite if task.planted and is_hidden(task.planted)}
    if by != CLASS or not hidden:
        return groups
    return [group for group in groups if hidden & set(group)]


def is_hidden(planted: Planted) -> bool:
    """Return whether a task's V-information is 0 without its family."""
    return planted.difficulty_class == "hidden"


def runner_of(model: str) -> EncoderRunner:
    """Return the encoder runner of a model with the settings that are measured."""
    return configure(EncoderRunner, {"model": model, **SETTINGS[model]}, where=model)


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    """Return the commit that the working tree stands on."""
    asked = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def table(suite: str, model: str, worlds: Sequence[World]) -> str:
    """Return the Markdown section of one suite and model."""
    found = [world.neural for world in worlds]
    seeds = ", ".join(str(f.seed) for f in found)
    last = worlds[-1]
    said = ", ".join(f"{name} = {value}" for name, value in last.settings.items())
    lines = [
        f"## {suite}, {model}",
        "",
        f"Worlds {seeds}, {said or 'the defaults'}. {last.date}, {last.machine}, "
        f"commit {last.commit}.",
        "",
        "V-information of single-task learners on dev-B, bits per label or word:",
        "",
        "| task | planted | estimates | mean error | tf-idf bigrams, accuracy |",
        "| --- | --- | --- | --- | --- |",
    ]
    for task, planted in found[0].planted_bits.items():
        estimates = [f.v_information_bits[task] for f in found]
        error = "-" if planted is None else f"{mean(estimates) - planted:+.3f}"
        linear = mean(world.linear[task] for world in worlds)
        lines.append(
            f"| {task} | {'-' if planted is None else f'{planted:.3f}'} | "
            f"{' '.join(f'{e:.3f}' for e in estimates)} | {error} | {linear:.3f} |"
        )
    lines += [
        "",
        "Accuracy on test (per label, per entity word), mean over tasks:",
        "",
        "| grouping | worlds | mean (SD) | hidden tasks, mean | CPU s a world |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in found[0].accuracy:
        if not all(name in f.accuracy for f in found):
            continue
        whole = all(set(f.accuracy[name]) == set(f.planted_bits) for f in found)
        averages = [f.average(name) for f in found] if whole else []
        spread = f" ({stdev(averages):.3f})" if len(averages) > 1 else ""
        middle = f"{mean(averages):.3f}{spread}" if averages else "-"
        hidden = [f.average(name, f.hidden) for f in found if f.hidden]
        lines.append(
            f"| {name} | {' '.join(f'{a:.3f}' for a in averages) or '-'} | {middle} | "
            f"{f'{mean(hidden):.3f}' if hidden else '-'} | "
            f"{mean(f.seconds[name] for f in found):.0f} |"
        )
    lines += ["", "Adjusted Rand index of the groups of `pvi` (tost, 0.25 bits):", ""]
    lines += [
        f"- {by}: {' '.join(f'{f.agreement[by]:.2f}' for f in found)}"
        for by in (CLASS, FAMILY, DOMAIN)
    ]
    return "\n".join([*lines, "", "What must hold, and what is missed:", "", *verdicts(worlds), ""])


def verdicts(worlds: Sequence[World]) -> list[str]:
    """Return a line for each bound; worlds that lack a grouping it needs are named."""
    tiny = worlds[0].model == "tiny"
    tolerance, n_errors = (0.04, 0.0) if tiny else (0.05, 2.0)
    checks: dict[str, tuple[set[str], Callable[[World], list[str]]]]
    if worlds[0].neural.suite == CalibrationAgree.name:
        checks = {
            "PVI groups are the families; they gain; random groups gain less": (
                {FAMILY},
                lambda w: bounds.agreeing(
                    w.neural, [name for name in w.neural.accuracy if name.startswith("random")]
                ),
            )
        }
    else:
        checks = {
            "1. V-information is what was planted": (
                set(),
                lambda w: bounds.information(w.neural, tolerance, n_errors),
            ),
            "2. PVI groups are the difficulty classes": (set(), lambda w: bounds.classes(w.neural)),
            "3. families win, other groups do not help": (
                {FAMILY, ALL, CLASS, DOMAIN},
                lambda w: bounds.transfer(w.neural),
            ),
            "5. beyond bigrams; hidden is hidden": (
                {CLASS, DOMAIN},
                lambda w: bounds.references(w.neural, w.linear),
            ),
        }
    lines = []
    for name, (needed, check) in checks.items():
        able = [w for w in worlds if needed <= set(w.neural.accuracy)]
        missed = {w.neural.seed: check(w) for w in able}
        held = sum(not messages for messages in missed.values())
        said = [f"world {seed}: {', '.join(m)}" for seed, m in missed.items() if m]
        lacking = [str(w.neural.seed) for w in worlds if w not in able]
        said += [f"not measured: worlds {', '.join(lacking)}"] if lacking else []
        lines.append(f"- {name}: {held} of {len(able)}" + (f" ({'; '.join(said)})" if said else ""))
    lines += leads([w.neural for w in worlds])
    whole = [w.neural for w in worlds if ALL in w.neural.accuracy and w.neural.hidden]
    if whole:
        said = bounds.transfer_in_the_mean(whole)
        lines.append(
            f"- 3. families above one model of all, in the mean of {len(whole)}: "
            f"{'; '.join(said) or 'holds'}"
        )
    return lines


def leads(found: Sequence[Recovery]) -> list[str]:
    """Return by how much families lead, with the 95 % interval over worlds (Student's t)."""
    lines = []
    for what, others in (
        ("single-task learners", [SINGLE]),
        ("random groups of the same sizes", [f"random-{i}" for i in range(100)]),
    ):
        gaps = [
            f.average(FAMILY) - mean(f.average(name) for name in others if name in f.accuracy)
            for f in found
            if FAMILY in f.accuracy and set(others) & set(f.accuracy)
        ]
        if len(gaps) > 1:
            half = t_quantile(0.05, len(gaps) - 1) * stdev(gaps) / math.sqrt(len(gaps))
            lines.append(
                f"- families lead {what} by {mean(gaps):+.3f} +-{half:.3f} over {len(gaps)} worlds "
                f"(least {min(gaps):+.3f})"
            )
    return lines


def kept_worlds(suite: str, model: str) -> list[World]:
    """Return what was measured so far."""
    found = [
        msgspec.json.decode(file.read_bytes(), type=World)
        for file in KEPT.glob(f"{suite}-{model}-*.json")
        if file.stem.removeprefix(f"{suite}-{model}-").isdigit()
    ]
    return sorted(found, key=lambda world: world.neural.seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--worlds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--suite", choices=sorted(SUITES), default=Calibration.name)
    parser.add_argument("--randoms", type=int, default=2, help="random groupings of each world")
    parser.add_argument("--groupings", nargs="*", default=[FAMILY, ALL, CLASS, DOMAIN])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    asked = [
        Asked(chosen.suite, chosen.model, w, chosen.randoms, tuple(chosen.groupings))
        for w in chosen.worlds
    ]
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn")) as pool:
        running = {pool.submit(measure_world, a): a for a in asked if not a.file.exists()}
        for done in as_completed(running):
            running[done].file.write_bytes(msgspec.json.format(msgspec.json.encode(done.result())))
            print("measured", running[done].file.name, file=sys.stderr)
    sections = [
        table(suite, model, worlds)
        for suite in SUITES
        for model in ("tiny", "all-MiniLM-L6-v2")
        if (worlds := kept_worlds(suite, model))
    ]
    head = (
        "# Recovery of what is planted\n\n"
        "Written by `benchmarks/calibration.py`; docs/calibration.md says how to read it.\n"
    )
    (HERE / "calibration.md").write_text("\n".join([head, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()
