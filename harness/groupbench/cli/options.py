"""Options that several commands share, and the experiment they add up to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from groupbench.experiment import Experiment

DEFAULT_STORE = ".groupbench"

store_option = click.option(
    "--store",
    default=DEFAULT_STORE,
    show_default=True,
    metavar="DIR",
    help="Where fits, decisions and entries are kept.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def experiment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the experiment file and everything that overrides it."""
    options = [
        click.argument("experiment", required=False, type=click.Path(path_type=Path)),
        click.option("--suite", metavar="SPEC", help="A suite, e.g. calibration:world=2."),
        click.option("--task", "tasks", multiple=True, metavar="NAME", help="A task; repeatable."),
        click.option(
            "--tasks-dir",
            "tasks_dirs",
            multiple=True,
            metavar="DIR",
            help="Add every folder below DIR that holds a card.toml; repeatable.",
        ),
        click.option(
            "--grouping", "groupings", multiple=True, metavar="SPEC", help="E.g. pvi:margin=0.2."
        ),
        click.option(
            "--runner", "runners", multiple=True, metavar="SPEC", help="E.g. encoder:epochs=2."
        ),
        click.option("--seed", "seeds", multiple=True, type=click.IntRange(min=0), metavar="N"),
        click.option("--baseline", metavar="SPEC", help="The grouping that gains are against."),
        click.option("--max-train", type=int, metavar="N", help="Cap on train rows of each task."),
        click.option("--max-validation", type=int, metavar="N", help="Likewise, validation rows."),
        click.option("--max-test", type=int, metavar="N", help="Likewise, test rows."),
        click.option("--max-hours", type=float, metavar="H", help="Start nothing more after this."),
        click.option("--fit-minutes", type=float, metavar="M", help="Kill a fit after this."),
        click.option("--fit-memory-gb", type=float, metavar="G", help="Kill a fit above this."),
        click.option("--max-usd", type=float, metavar="USD", help="Never spend more than this."),
        click.option(
            "--prices", metavar="FILE", help="TOML of what models cost, over the prices built in."
        ),
        click.option("--executor", metavar="SPEC", help="Where fits run, e.g. local:workers=4."),
        store_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def read_experiment(
    *,
    experiment: Path | None,
    suite: str | None,
    tasks: tuple[str, ...],
    tasks_dirs: tuple[str, ...],
    groupings: tuple[str, ...],
    runners: tuple[str, ...],
    seeds: tuple[int, ...],
    baseline: str | None,
    max_train: int | None,
    max_validation: int | None,
    max_test: int | None,
    max_hours: float | None,
    fit_minutes: float | None,
    fit_memory_gb: float | None,
    max_usd: float | None,
    prices: str | None,
    executor: str | None,
) -> Experiment:
    """Return the experiment of a file, overridden by options.

    Raises:
        GroupbenchError: the file or an option is wrong.
    """
    from groupbench.experiment import Experiment, RunnerChoice, load_experiment
    from groupbench.settings import Spec

    base = load_experiment(experiment) if experiment is not None else Experiment()
    changes: dict[str, Any] = {}
    if suite is not None:
        changes |= {"suite": suite, "tasks": ()}
    if tasks:
        changes |= {"tasks": tasks} | ({"suite": None} if suite is None else {})
    if tasks_dirs:
        changes["tasks_dirs"] = (*base.tasks_dirs, *tasks_dirs)
    if groupings:
        changes["groupings"] = tuple(Spec.parse(text) for text in groupings)
    if runners:
        changes["runners"] = tuple(RunnerChoice(Spec.parse(text)) for text in runners)
    if seeds:
        changes["seeds"] = seeds
    if baseline is not None:
        changes["baseline"] = baseline
    if prices is not None:
        changes["prices"] = prices
    if executor is not None:
        changes["executor"] = executor
    caps = {"train": max_train, "validation": max_validation, "test": max_test}
    limits = {"max_hours": max_hours, "fit_minutes": fit_minutes, "fit_memory_gb": fit_memory_gb}
    limits["max_usd"] = max_usd
    if given := _given(caps):
        changes["caps"] = replace(base.caps, **given)
    if given := _given(limits):
        changes["limits"] = replace(base.limits, **given)
    changes["overridden"] = tuple(changes)
    return replace(base, **changes)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
