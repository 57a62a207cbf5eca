"""The null of in-context PVI: what a language model says of labels where the prompt has no input.

Lu et al., "Measuring pointwise V-usable information in-context-ly" (Findings of EMNLP 2023). Their
probabilities come from processed sampling scores, ours from raw logits: absolute values differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.errors import GroupbenchError, SettingError
from groupbench.llm.fitting import SCORES
from groupbench.llm.modes import NEEDS, Mode
from groupbench.llm.scores import log_softmax
from groupbench.task import Kind

if TYPE_CHECKING:
    from groupbench.predictions import FloatArray, Predictions
    from groupbench.runner import Runner
    from groupbench.suite import Suite
    from groupbench.task import Task
    from groupbench.workbench import FitEvidence


def demand_scores(runner: Runner, suite: Suite) -> None:
    """Make sure that a runner that prompts can score these labels, before anything is sent.

    Raises:
        SettingError: it cannot, so that there would be no probabilities to make PVI of.
    """
    mode = getattr(runner, "mode", "auto")
    if mode not in {"auto", "score"}:
        raise SettingError(
            f"PVI is made of probabilities of labels, and runner {runner.name} gives none with"
            f" mode = '{mode}'. Use mode=score."
        )
    if written := [task.name for task in suite if task.kind is Kind.TOKEN]:
        raise SettingError(
            f"PVI is made of probabilities of labels, and runner {runner.name} gives none of"
            f" entities, which are written: leave out {', '.join(written)}."
        )
    abilities = getattr(runner, "abilities", None)
    if abilities is None:
        return
    try:
        can = abilities().capabilities
    except GroupbenchError:
        return  # known only once the server is asked
    if not any(needed <= can for needed in NEEDS[Mode.SCORE]):
        raise SettingError(
            f"PVI is made of probabilities of labels, and runner {runner.name} cannot read those of"
            f" model = '{getattr(runner, 'model', '')}'. Choose one that does: vllm, hf-lm or"
            " encoder."
        )


def prompt_null(fit: FitEvidence, task: Task, held_out: Predictions, runner: str) -> FloatArray:
    """Return h_0 of held-out examples, in bits: the surprisal of gold after the null prompt.

    It was read when the fit was made, with the shots of the predictions; see
    `groupbench.llm.PromptBuilder.null`.

    Returns:
        Bits in the shape of gold.

    Raises:
        SettingError: the runner does not score labels, or scores something else than their sums.
    """
    facts = prompt_facts(fit, task)
    if facts.get("mode") != "score":
        raise SettingError(
            f"null = 'in-context': runner {runner} does not read the scores of labels of task"
            f" {task.name}. Choose a prompted runner in mode score, or null = 'closed-form'."
        )
    for name, wanted in (("normalisation", "sum"), ("calibration", "none")):
        if facts.get(name) != wanted:
            raise SettingError(
                f"null = 'in-context': runner {runner} has {name} = '{facts.get(name)}', which the"
                f" null prompt's scores have not. Use {name}={wanted}."
            )
    sums = np.asarray(fit.arrays(SCORES)[f"{task.name}.null.sums"], dtype=np.float64)
    if np.isnan(sums).any():
        raise SettingError(
            f"null = 'in-context': the server refused the null prompt of task {task.name}."
            " Use null = 'closed-form'."
        )
    bits = -log_softmax(sums) / np.log(2.0)
    gold = held_out.gold
    if task.kind is Kind.MULTILABEL:  # a row for each label: yes, then no
        return np.asarray(np.where(gold > 0, bits[:, 0], bits[:, 1]))
    return np.asarray(bits[0][np.maximum(gold, 0)])


def prompt_facts(fit: FitEvidence, task: Task) -> dict[str, Any]:
    """Return what a prompted runner recorded of its prompts for a task; empty of other runners."""
    prompts = fit.training().get("prompts")
    facts = prompts.get(task.name) if isinstance(prompts, dict) else None
    return facts if isinstance(facts, dict) else {}
