"""``groupbench prompt``: exactly what a language model is sent about one example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from groupbench.cli.common import common_options
from groupbench.cli.lists import json_option, tasks_dir_option

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.runner import Runner, TaskInput
    from groupbench.task import Example, Split, Task

SCHEMA = "groupbench/prompt/1"


@click.command()
@click.argument("task")
@click.option("--runner", required=True, metavar="SPEC", help="E.g. hf-lm:model=FOLDER,shots=4.")
@click.option("--example", metavar="ID", help="The example's id; default: the first of the split.")
@click.option(
    "--split",
    type=click.Choice(["dev-a", "dev-b", "test"]),
    default="test",
    show_default=True,
    help="Where the example is.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Of the fit: it draws the shots.",
)
@click.option("--suite", metavar="SPEC", help="The suite it is in, e.g. calibration:world=2.")
@click.option("--max-train", type=int, metavar="N", help="Cap on train rows, as of the run.")
@click.option("--max-validation", type=int, metavar="N", help="Likewise, validation rows.")
@click.option("--max-test", type=int, metavar="N", help="Likewise, test rows.")
@tasks_dir_option
@json_option
@common_options
@click.pass_context
def prompt(
    context: click.Context,
    /,
    *,
    task: str,
    runner: str,
    example: str | None,
    split: str,
    seed: int,
    suite: str | None,
    max_train: int | None,
    max_validation: int | None,
    max_test: int | None,
    tasks_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show what RUNNER sends about one example of TASK, rendered and in tokens.

    Nothing is sent, and no weights are loaded. In mode score the tokens of each label are shown
    that are read after the prompt.
    """
    from groupbench.caps import capped
    from groupbench.cli.console import open_plugins, print_json
    from groupbench.report.prompt import prompt_text
    from groupbench.task import Split

    plugins = open_plugins(context, tasks_dirs)
    configured = plugins.runner(runner)
    found = plugins.task(task) if suite is None else plugins.suite(suite)[task]
    if max_train is not None or max_validation is not None or max_test is not None:
        found = capped(found, train=max_train, validation=max_validation, test=max_test)
    document = prompt_document(configured, found, Split(split), example, seed)
    if as_json:
        print_json(document)
    else:
        click.echo(prompt_text(document))


def prompt_document(
    runner: Runner, task: Task, split: Split, example_id: str | None, seed: int
) -> dict[str, Any]:
    """Return the ``prompt`` document: what ``runner`` sends about an example.

    Raises:
        SettingError: the runner sends no prompts.
        UnknownNameError: the split has no such example.
        GroupbenchError: the runner cannot ask about the task, or something is missing here.
    """
    from groupbench.errors import SettingError
    from groupbench.settings import label

    preview = getattr(runner, "preview", None)
    if preview is None:
        raise SettingError(
            f"runner = '{runner.name}' sends no prompts; name one that asks a language model, as"
            " hf-lm:model=FOLDER."
        )
    given = _given(task, split)
    example = _chosen(task, given.predict.get(split, ()), split, example_id)
    return {
        "schema": SCHEMA,
        "task": task.name,
        "runner": label(runner),
        "split": str(split),
        "example": example.id,
        "seed": seed,
        **preview(given, example, seed).to_json(),
    }


def _given(task: Task, split: Split) -> TaskInput:
    """Return what a fit gets that predicts this split: shots avoid what else it predicts."""
    from groupbench.bench import EVIDENCE
    from groupbench.execute import without_leaks

    ((given,), _) = without_leaks([task], EVIDENCE if split in EVIDENCE else (split,))
    return given


def _chosen(
    task: Task, examples: tuple[Example, ...], split: Split, example_id: str | None
) -> Example:
    from groupbench.errors import DataError, UnknownNameError

    if not examples:
        raise DataError(f"{task.where}: the {split} split is empty; choose another --split.")
    if example_id is None:
        return examples[0]
    for example in examples:
        if example.id == example_id:
            return example
    raise UnknownNameError(
        f"example of {task.name}'s {split}", example_id, [e.id for e in examples]
    )
