"""Checks for model runners. Each trains on a few dozen toy examples; there is no network."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from groupbench.grouping import Group
from groupbench.predictions import Predictions
from groupbench.runner import Place, Resources
from groupbench.suite import Suite
from groupbench.task import Example, Kind, Split, Task
from groupbench.testing.checks import (
    CannotCheckError,
    Check,
    check_imports_nothing_heavy,
    check_names_itself,
    check_settings_survive_text,
    demand,
    fail,
)
from groupbench.testing.toy import request_for, toy_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.predictions import Output
    from groupbench.runner import FitRequest, FitResult, Runner
    from groupbench.service import Service

_ODD = ("naïve café", "日本語 テキスト", "😀 👩‍👩‍👧", "e\u0301 \u200b zero width", "a" * 3000, "!?")
"""Texts that tokenizers stumble over."""
_TOLERANCE = 1e-4
"""In nats, between two runs that should be equal."""


def check_says_what_it_is(runner: Runner) -> None:
    """Its class attributes are there, and it says where it runs and what it needs."""
    for flag in ("trains", "shares", "seeded"):
        demand(
            isinstance(getattr(runner, flag, None), bool), f"{runner.name}: {flag} must be a bool."
        )
    for names in (runner.preload, runner.deciding_modules):
        demand(
            isinstance(names, tuple) and all(isinstance(name, str) for name in names),
            f"{runner.name}: preload and deciding_modules must be tuples of module names.",
        )
    task = toy_task(Kind.SINGLE)
    needs = runner.resources(Group.of([task.name]), Suite("toy", (task,)))
    demand(isinstance(needs, Resources), f"{runner.name}: resources returned {needs!r}.")
    demand(isinstance(runner.place(), Place), f"{runner.name}: place returned {runner.place()!r}.")


def check_says_whether_it_can_run(runner: Runner) -> None:
    """Availability is ``None``, or a sentence with the mend."""
    reason = runner.availability()
    demand(
        reason is None or (isinstance(reason, str) and reason.strip()),
        f"{runner.name}: availability must be None or a reason, not {reason!r}.",
    )


def check_predicts_every_kind(runner: Runner) -> None:
    """Its outputs fit the examples of every split, in every kind of task."""
    for kind in Kind:
        task = toy_task(kind)
        _predictions(runner, task, _fit(runner, request_for(task)))


def check_shares_if_it_says_so(runner: Runner) -> None:
    """A runner that shares predicts all tasks of a group; one that does not is not asked."""
    if not runner.shares:
        return
    tasks = [toy_task(kind) for kind in Kind]
    result = _fit(runner, request_for(*tasks))
    for task in tasks:
        _predictions(runner, task, result)


def check_is_deterministic(runner: Runner) -> None:
    """The same request gives the same answers again."""
    request = request_for(toy_task(Kind.SINGLE))
    _demand_same(runner, _fit(runner, request), _fit(runner, request), "the same request")


def check_does_not_look_at_golds_it_must_predict(runner: Runner) -> None:
    """Its answers do not depend on the golds of dev-B and test, should they be there."""
    task = toy_task(Kind.SINGLE)
    request = request_for(task)
    given = request.tasks[0]
    wrong = {
        split: tuple(replace(example, gold=0) for example in examples)
        for split, examples in given.predict.items()
    }
    peeking = replace(request, tasks=(replace(given, predict=wrong),))
    _demand_same(runner, _fit(runner, request), _fit(runner, peeking), "other golds in test")


def check_predicts_each_example_alone(runner: Runner) -> None:
    """An example's answer does not depend on the others beside it in test."""
    task = toy_task(Kind.SINGLE)
    request = request_for(task)
    given = request.tasks[0]
    turned = {split: examples[::-1] for split, examples in given.predict.items()}
    straight = _fit(runner, request).outputs[task.name]
    back = _fit(runner, replace(request, tasks=(replace(given, predict=turned),)))
    for split, output in back.outputs[task.name].items():
        demand(
            np.array_equal(output.predicted[::-1], straight[split].predicted),
            f"{runner.name}: answers on {split} change with the order of its examples.",
        )


def check_odd_texts_are_no_trouble(runner: Runner) -> None:
    """It predicts any text: other scripts, emoji, very long ones, none that it was trained on."""
    for kind in (Kind.SINGLE, Kind.TOKEN):
        task = toy_task(kind)
        odd = tuple(
            Example(f"odd-{i}", tuple(text.split()), tuple(0 for _ in text.split()))
            if kind is Kind.TOKEN
            else Example(f"odd-{i}", text, 0)
            for i, text in enumerate(_ODD)
        )
        task = task.with_data({**task.data, Split.TEST: odd})
        _predictions(runner, task, _fit(runner, request_for(task)))


def check_little_data_are_no_trouble(runner: Runner) -> None:
    """It trains on one example, on examples of one label, and predicts an empty split."""
    for kind in Kind:
        task = toy_task(kind)
        train = task.data[Split.TRAIN]
        same = train[0].gold
        for fewer in (train[:1], tuple(e for e in train if e.gold == same)):
            small = task.with_data({**task.data, Split.TRAIN: fewer})
            _predictions(runner, small, _fit(runner, request_for(small)))
    task = toy_task(Kind.SINGLE)
    request = request_for(task)
    given = request.tasks[0]
    empty = replace(request, tasks=(replace(given, predict={**given.predict, Split.TEST: ()}),))
    output = _fit(runner, empty).outputs[task.name][Split.TEST]
    demand(len(output.predicted) == 0, f"{runner.name}: answers for an empty test split.")


def check_counts_its_costs(runner: Runner) -> None:
    """It says how many examples it predicted, and no cost is below 0."""
    request = request_for(toy_task(Kind.SINGLE))
    costs = _fit(runner, request).costs
    n = sum(len(examples) for given in request.tasks for examples in given.predict.values())
    demand(
        costs.n_predicted == n, f"{runner.name}: n_predicted is {costs.n_predicted}, wanted {n}."
    )
    amounts = (
        *(costs.train_seconds, costs.predict_seconds, costs.example_steps, costs.tokens),
        *(costs.n_parameters, costs.usd, costs.billed_usd, costs.machine_usd),
    )
    demand(min(amounts) >= 0, f"{runner.name}: a cost is below 0: {costs}.")


CHECKS: tuple[Check, ...] = (
    check_names_itself,
    check_settings_survive_text,
    check_imports_nothing_heavy,
    check_says_what_it_is,
    check_says_whether_it_can_run,
    check_predicts_every_kind,
    check_shares_if_it_says_so,
    check_is_deterministic,
    check_does_not_look_at_golds_it_must_predict,
    check_predicts_each_example_alone,
    check_odd_texts_are_no_trouble,
    check_little_data_are_no_trouble,
    check_counts_its_costs,
)


def _fit(runner: Runner, request: FitRequest) -> FitResult:
    if reason := runner.availability():
        raise CannotCheckError(f"{runner.name} cannot be checked here: {reason}")
    make = getattr(runner, "service", None)
    service: Service | None = make() if make is not None else None
    if service is None:
        return runner.fit(request)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return runner.fit(replace(request, service=service.start(Path(folder))))
        finally:
            service.stop()


def _predictions(runner: Runner, task: Task, result: FitResult) -> None:
    """Demand an output that fits the examples of each split."""
    outputs: Mapping[Split, Output] = result.outputs.get(task.name, {})
    for split in (Split.DEV_A, Split.DEV_B, Split.TEST):
        demand(split in outputs, f"{runner.name}: no output for {split} of {task.name}.")
        try:
            made = Predictions.assemble(task, task.data[split], outputs[split])
        except ValueError as problem:
            fail(f"{runner.name}: {split}: {problem}")
        if made.log_probs is not None and task.kind is not Kind.MULTILABEL and made.log_probs.size:
            sums = np.exp(made.log_probs.astype(np.float64)).sum(axis=1)
            demand(
                np.allclose(sums, 1.0, atol=1e-3),
                f"{runner.name}: probabilities of {task.name} sum to {sums[0]:.4f}, not 1.",
            )


def _demand_same(runner: Runner, left: FitResult, right: FitResult, what: str) -> None:
    for task, splits in left.outputs.items():
        for split, output in splits.items():
            other = right.outputs[task][split]
            same = np.array_equal(output.predicted, other.predicted)
            if same and output.log_probs is not None and other.log_probs is not None:
                same = np.allclose(output.log_probs, other.log_probs, atol=_TOLERANCE)
            demand(same, f"{runner.name}: other answers on {split} of {task} with {what}.")
