"""A fit of a prompted runner: every example asked about, every answer read, all of it counted."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from groupbench.calls import Calls
from groupbench.llm.answers import Reading, answers_output, read_answer
from groupbench.llm.asked import Tally, ask, light
from groupbench.llm.modes import Mode
from groupbench.llm.prompter import Prompter
from groupbench.llm.readers import Reason
from groupbench.llm.repeat import repeat
from groupbench.llm.scores import Calibration, Normalisation
from groupbench.llm.scoring import Scorer
from groupbench.llm.spelling import Spelling, count_spellings
from groupbench.runner import Costs, FitResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.canonical import Json
    from groupbench.llm.model import Model
    from groupbench.llm.prompt import Prompt
    from groupbench.llm.prompted import PromptedRunner
    from groupbench.predictions import Output
    from groupbench.runner import FitRequest, TaskInput
    from groupbench.task import Example, Split

SCORES = "label-scores"
"""Under this name a fit keeps what was read of labels; other normalisations need no request."""


def fit(runner: PromptedRunner, request: FitRequest) -> FitResult:
    """Return what a model says about every example of a request.

    Raises:
        SettingError: it cannot be asked in the mode of the settings.
        PolicyError: more would be spent than may be.
    """
    with runner.open(request) as model:
        return ask_all(runner, model, request)


def ask_all(runner: PromptedRunner, model: Model, request: FitRequest) -> FitResult:
    """Return what an opened model says about every example of a request; see `fit`."""
    outputs: dict[str, Mapping[Split, Output]] = {}
    facts: dict[str, Json] = {}
    arrays: dict[str, Any] = {}
    warnings: list[str] = []
    n = 0
    started = time.perf_counter()
    for given in request.tasks:
        prompter = Prompter.of(runner, model.abilities, given, request.seed)
        warnings += _warnings(prompter)
        if prompter.mode is Mode.SCORE:
            outputs[given.task.name], facts[given.task.name], read = _scored(
                runner, model, prompter, given
            )
            arrays |= {f"{given.task.name}.{name}": array for name, array in read.items()}
        else:
            outputs[given.task.name], facts[given.task.name], spelling = _answered(
                runner, model, prompter, given
            )
            warnings += filter(None, [spelling.warning(given.task.name)])
        n += sum(map(len, given.predict.values()))
    seconds = time.perf_counter() - started
    told: dict[str, Json] = {}
    if runner.repeat:
        repetition = repeat(runner, model, request, runner.repeat)
        told["repeat"] = repetition.facts()
        warnings += filter(None, [repetition.warning()])
    use = model.use()
    calls = replace(
        use.calls or Calls(usd=use.usd or None), n_examples=n, seconds=round(seconds, 6)
    )
    by_the_hour = _usd_of_hours(runner, seconds)
    if by_the_hour is not None:  # in no limit: it is paid whether the machine is asked or not
        calls = replace(calls, usd=(calls.usd or 0.0) + by_the_hour)
    return FitResult(
        outputs=outputs,
        costs=Costs(
            predict_seconds=seconds,
            n_predicted=n,
            n_parameters=use.n_parameters,
            usd=use.usd + (by_the_hour or 0.0),
            machine_usd=by_the_hour or 0.0,
            calls=calls,
        ),
        arrays={SCORES: arrays} if arrays else {},
        training={"prompts": facts, "model": dict(use.facts), **told},
        warnings=tuple(warnings),
    )


def _usd_of_hours(runner: PromptedRunner, seconds: float) -> float | None:
    """Return what the machine costs for so long; ``None`` where its price is not known."""
    price = runner.price()
    if price is None or price.usd_per_hour is None:
        return None
    return price.usd_per_hour * seconds / 3600


def _scored(
    runner: PromptedRunner, model: Model, prompter: Prompter, given: TaskInput
) -> tuple[Mapping[Split, Output], Json, Mapping[str, Any]]:
    scorer = Scorer(
        prompter,
        model,
        Normalisation(runner.normalisation),
        Calibration(runner.calibration),
        fit_threshold=runner.threshold == "fitted",
    )
    scorer.prepare(given.dev_a)
    found = {split: scorer.predict(split, rows) for split, rows in given.predict.items()}
    facts = {
        **_facts(prompter, {split: tally for split, (_, tally) in found.items()}),
        "normalisation": runner.normalisation,
        "calibration": runner.calibration,
        **scorer.facts,
    }
    return {split: output for split, (output, _) in found.items()}, facts, scorer.arrays


def _answered(
    runner: PromptedRunner, model: Model, prompter: Prompter, given: TaskInput
) -> tuple[Mapping[Split, Output], Json, Spelling]:
    outputs: dict[Split, Output] = {}
    tallies: dict[Split, Tally] = {}
    for split, examples in given.predict.items():
        outputs[split], tallies[split] = _read(model, prompter, examples, salvage=runner.salvage)
    facts, spelling = _facts(prompter, tallies), Spelling.of(tallies.values())
    if prompter.mode is Mode.CHOICE:
        facts["spelling"] = spelling.facts()
    return outputs, facts, spelling


def _read(
    model: Model, prompter: Prompter, examples: Sequence[Example], *, salvage: bool
) -> tuple[Output, Tally]:
    tally = Tally()
    prompts: list[Prompt] = []
    answers: list[Reading] = []
    for prompt, said in ask(prompter.prompts(examples), model.generate):
        if isinstance(said, Reason):
            answer = Reading(reason=said)
        else:
            answer = read_answer(prompter.wording, prompter.mode, prompt, said, salvage=salvage)
            count_spellings(prompt, said, tally)
        tally.add(prompt, answer.reason)
        if answer.step is not None:
            tally.more[f"read_{answer.step}"] += 1
        tally.more["salvaged"] += answer.salvaged
        tally.more.update({f"items_{name}": count for name, count in answer.counts.items()})
        prompts.append(light(prompt))
        answers.append(answer)
    return answers_output(prompter.builder.task, examples, prompts, answers), tally


def _facts(prompter: Prompter, tallies: Mapping[Split, Tally]) -> dict[str, Json]:
    return {
        "mode": str(prompter.mode),
        "form": prompter.builder.form.name,
        "limit": prompter.builder.limit,
        "shots": {
            "asked": prompter.k,
            "set": "per_example" if prompter.per_example else "fixed",
            "ids": [shot.id for shot in prompter.fixed],
        },
        "splits": {str(split): tally.to_json() for split, tally in tallies.items()},
    }


def _warnings(prompter: Prompter) -> list[str]:
    warnings = list(prompter.wording.warnings)
    if len(prompter.fixed) < prompter.k:
        warnings.append(
            f"{prompter.builder.task.name}: only {len(prompter.fixed)} of {prompter.k} shots:"
            " train has no more that fit, or that are not among the examples to predict."
        )
    return warnings
