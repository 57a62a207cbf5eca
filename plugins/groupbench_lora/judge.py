"""What dev-A says of a checkpoint: the mean log-loss of each task, in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from groupbench.information import FLOOR
from groupbench.llm.scores import Calibration, Normalisation
from groupbench.llm.scoring import Scorer
from groupbench.predictions import Outcome, gold_array
from groupbench.task import Kind
from groupbench_lora.losses import mean_answer_loss

if TYPE_CHECKING:
    from typing import Any

    from groupbench.llm.model import Model
    from groupbench_lora.prepare import PreparedTask


def dev_loss(net: Any, model: Model, task: PreparedTask, how: Normalisation) -> float | None:  # noqa: ANN401 - transformers has no types
    """Return a task's loss on dev-A; ``None`` where nothing of dev-A can be asked about.

    Where labels are scored: the log-loss of the label probabilities that are predicted (multilabel:
    the mean over labels). Else the token loss of the right answer stands in for it.

    Args:
        net: what is trained.
        model: the same, to read labels with.
        task: prepared.
        how: scores of labels are normalised.
    """
    if not task.scored:
        return mean_answer_loss(net, task.dev_lessons) if task.dev_lessons else None
    if not task.dev_a:
        return None
    scorer = Scorer(task.prompter, model, how, Calibration.NONE)
    output, _ = scorer.predict("dev_a", task.dev_a)
    asked = np.ones(len(task.dev_a), dtype=bool)
    if output.outcomes is not None:
        asked = np.array([outcome is Outcome.OK for outcome in output.outcomes])
    if output.log_probs is None or not asked.any():
        return None
    logs = np.asarray(output.log_probs, dtype=np.float64)[asked]
    gold, _ = gold_array(task.task.kind, len(task.task.labels), task.dev_a)
    gold = gold[asked]
    if task.task.kind is Kind.MULTILABEL:
        absent = np.log(np.maximum(-np.expm1(np.minimum(logs, 0.0)), np.exp(FLOOR)))
        return float(-np.where(gold > 0, np.maximum(logs, FLOOR), absent).mean())
    known = gold >= 0
    if not known.any():
        return None
    return float(-np.maximum(logs[known, gold[known]], FLOOR).mean())
