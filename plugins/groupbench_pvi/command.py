"""``groupbench pvi``: V-information of each task, PVI of each example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from groupbench.experiment import Experiment
    from groupbench.run import Run
    from groupbench_pvi.strategy import Pvi


@click.command()
@click.option("--suite", metavar="SPEC", help="A suite, e.g. calibration:world=2.")
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="A task; repeatable.")
@click.option(
    "--tasks-dir",
    "tasks_dirs",
    multiple=True,
    metavar="DIR",
    help="Add every folder below DIR that holds a card.toml; repeatable.",
)
@click.option("--runner", default="encoder", show_default=True, metavar="SPEC", help="The family.")
@click.option("--seed", "seeds", multiple=True, type=click.IntRange(min=0), metavar="N")
@click.option("--max-train", type=int, metavar="N", help="Cap on train rows of each task.")
@click.option("--max-validation", type=int, metavar="N", help="Likewise, validation rows.")
@click.option("--max-usd", type=float, metavar="USD", help="Never spend more than this.")
@click.option(
    "--prices", metavar="FILE", help="TOML of what models cost, over the prices built in."
)
@click.option("--executor", default="local", metavar="SPEC", help="Where fits run.")
@click.option(
    "--null",
    type=click.Choice(["closed-form", "trained", "in-context"]),
    help="What does without the input: label frequencies, a model of blank inputs, or, of runners "
    "that prompt, a prompt without input. Default: in-context for those, else closed-form.",
)
@click.option("--no-calibrate", is_flag=True, help="No temperature scaling on dev-A.")
@click.option(
    "--aggregate",
    type=click.Choice(["sentence_mean", "token", "entity_only"]),
    default="sentence_mean",
    show_default=True,
    help="Units of token tasks.",
)
@click.option(
    "--cross-fit",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Measure train and dev-B in N folds; 0: dev-B only.",
)
@click.option(
    "--examples",
    type=click.Path(path_type=Path),
    metavar="FILE.parquet",
    help="Write the PVI of every example and seed.",
)
@click.option("--pairs", is_flag=True, help="Show every pair of tasks, with the power to tell.")
@click.option("--store", default=".groupbench", show_default=True, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def pvi(
    context: click.Context,
    /,
    *,
    null: Literal["closed-form", "trained", "in-context"] | None,
    no_calibrate: bool,
    aggregate: Literal["sentence_mean", "token", "entity_only"],
    cross_fit: int,
    examples: Path | None,
    pairs: bool,
    store: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how much of each task's labels a runner can tell from the input, in bits.

    One model is trained for each task and seed, on train; what it says of dev-B is compared with
    what label frequencies say. Fits are those that `groupbench run` stores and uses. Of a runner
    that prompts, PVI is in-context: the other side is the same prompt without input.
    """
    from groupbench.api import prepare
    from groupbench.cli.console import open_plugins, print_document, progress_for
    from groupbench_pvi.strategy import Pvi
    from groupbench_pvi.table import check_writable, render

    chosen = {"calibrate": not no_calibrate, "aggregate": aggregate, "cross_fit": cross_fit}
    settings = _settings(Pvi, null=null or "closed-form", **chosen)
    experiment = _experiment(**options)
    if examples is not None:
        check_writable(examples)
    plugins = open_plugins(context, experiment.tasks_dirs)
    with progress_for(quiet=False) as progress:
        run = prepare(experiment, plugins=plugins, store=store, progress=progress)
        if null is None and prompts(run):
            settings = _settings(Pvi, null="in-context", **chosen)
        document = measured(run, settings, examples)
    shown = render(document, pairs=pairs)
    print_document(document if as_json else shown, as_json=as_json)


def prompts(run: Run) -> bool:
    """Return whether a run's only runner prompts a model that it does not train."""
    (bench,) = run.benches.values()
    return not bench.runner.trains and hasattr(bench.runner, "preview")


def measured(run: Run, settings: Pvi, examples: Path | None = None) -> dict[str, Any]:
    """Return the ``pvi`` document of a run's only runner; write PVI of examples where asked.

    Raises:
        GroupbenchError: the runner cannot run here or may not see the data, or a fit failed.
    """
    from groupbench.errors import NothingToRunError, PolicyError
    from groupbench.policy import refusal
    from groupbench_pvi.in_context import demand_scores
    from groupbench_pvi.measurement import measure
    from groupbench_pvi.table import document_of, write_examples

    (bench,) = run.benches.values()
    if (reason := bench.runner.availability()) is not None:
        raise NothingToRunError(f"Runner {bench.runner_name} cannot run here: {reason}")
    allowed = run.resolved.experiment.allow
    if (reason := refusal(bench.full_suite, bench.runner, allowed)) is not None:
        raise PolicyError(reason)
    if prompts(run):
        demand_scores(bench.runner, bench.suite)
    with run.scheduler:
        bench.complete(bench.orders(bench.plan(settings).fits))
        information = measure(bench.suite, bench, settings.measuring())
    if examples is not None:
        write_examples(examples, information)
    return document_of(information, bench, settings)


def _settings(cls: type[Pvi], **settings: Any) -> Pvi:
    from groupbench.settings import configure

    return configure(cls, settings, where="groupbench pvi")


def _experiment(
    *,
    suite: str | None,
    tasks: tuple[str, ...],
    tasks_dirs: tuple[str, ...],
    runner: str,
    seeds: tuple[int, ...],
    max_train: int | None,
    max_validation: int | None,
    max_usd: float | None,
    prices: str | None,
    executor: str,
) -> Experiment:
    from groupbench.experiment import Caps, Experiment, ExperimentLimits, RunnerChoice
    from groupbench.settings import Spec

    return Experiment(
        suite=suite,
        tasks=tasks,
        tasks_dirs=tasks_dirs,
        runners=(RunnerChoice(Spec.parse(runner)),),
        seeds=seeds or (0,),
        caps=Caps(train=max_train, validation=max_validation),
        limits=ExperimentLimits(max_usd=max_usd),
        prices=prices,
        executor=executor,
    )
