"""Mode score: from reads of labels to the predictions of a task.

n is examples, Q the questions of a prompt (one, or one for each label of a multilabel task), K the
answers to each (labels, or yes and no). Everything is in nats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from groupbench.errors import SettingError
from groupbench.llm.asked import Tally, ask
from groupbench.llm.readers import Reason
from groupbench.llm.scores import (
    Calibration,
    LabelScores,
    Normalisation,
    calibrated,
    first_tokens_differ,
    fit_threshold,
    label_output,
    log_softmax,
    multilabel_output,
)
from groupbench.llm.wording import NO, YES
from groupbench.predictions import Outcome, gold_array
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from groupbench.canonical import Json
    from groupbench.llm.model import Model
    from groupbench.llm.prompt import Prompt
    from groupbench.llm.prompter import Prompter
    from groupbench.llm.reads import LabelReads
    from groupbench.predictions import FloatArray, Output
    from groupbench.task import Example, Task


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The scores of some prompts, as they were read."""

    scores: LabelScores
    """Rows are questions: ``Q`` for each prompt."""
    n_questions: int
    outcomes: tuple[Outcome, ...]
    input_cut: tuple[bool, ...]
    tally: Tally

    def normalised(self, how: Normalisation) -> FloatArray:
        """Return scores of shape ``[n, Q, K]``.

        Raises:
            SettingError: first tokens are to be compared, and some labels share theirs.
        """
        flat = self.scores.normalised(how)
        return flat.reshape(-1, self.n_questions, flat.shape[1])

    def arrays(self, name: str) -> dict[str, np.typing.NDArray[Any]]:
        """Return what was read, by name: all that other normalisations need."""
        return {
            f"{name}.sums": self.scores.sums,
            f"{name}.first": self.scores.first,
            f"{name}.n_tokens": self.scores.n_tokens,
        }


@dataclass
class Scorer:
    """Scores the labels of one task with one model."""

    prompter: Prompter
    model: Model
    normalisation: Normalisation
    calibration: Calibration
    fit_threshold: bool = False
    arrays: dict[str, np.typing.NDArray[Any]] = field(default_factory=dict)
    """Sums, first tokens and token counts of all that was read."""
    facts: dict[str, Json] = field(default_factory=dict)
    """For the record: references and what calibration changed."""
    _reference: FloatArray | None = None
    _threshold: float = 0.5

    @property
    def task(self) -> Task:
        """The task that is scored."""
        return self.prompter.builder.task

    def prepare(self, dev_a: Sequence[Example]) -> None:
        """Read what calibration, the threshold and in-context PVI need besides the examples.

        The null prompt of PVI is one prompt more, and always read.
        """
        builder, shots = self.prompter.builder, self.prompter.fixed
        null = self._read("null", [builder.null(shots)])
        self.facts["null"] = _rounded(log_softmax(null.normalised(Normalisation.SUM)[0]))
        if self.calibration is not Calibration.NONE:
            content_free = self.calibration is Calibration.CONTENT_FREE
            prompts = builder.content_free(shots) if content_free else [builder.cue_alone()]
            self._reference = self._read_reference(prompts)
            self.facts["reference"] = _rounded(self._reference)
        if self.fit_threshold and self.task.kind is Kind.MULTILABEL and dev_a:
            scored = self._read("threshold", self.prompter.prompts(dev_a))
            output, _ = self._output(scored, self._calibrated(scored))
            ok = np.array([outcome is Outcome.OK for outcome in scored.outcomes])
            gold, _ = gold_array(Kind.MULTILABEL, len(self.task.labels), dev_a)
            if ok.any() and output.log_probs is not None:
                self._threshold = fit_threshold(output.log_probs[ok], gold[ok])
        if self.task.kind is Kind.MULTILABEL:
            self.facts["threshold"] = self._threshold

    def predict(self, name: str, examples: Sequence[Example]) -> tuple[Output, Tally]:
        """Return the output of some examples, and its counts.

        Raises:
            SettingError: first tokens are to be compared, and some labels share theirs.
        """
        scored = self._read(name, self.prompter.prompts(examples))
        output, n_ties = self._output(scored, self._calibrated(scored))
        scored.tally.more["ties"] = n_ties
        if self.calibration is not Calibration.NONE:
            plain, _ = self._output(scored, scored.normalised(self.normalisation))
            changed = output.predicted != plain.predicted
            if changed.ndim > 1:
                changed = changed.any(axis=1)
            scored.tally.more["changed_by_calibration"] = int(changed.sum())
        return output, scored.tally

    def _read_reference(self, prompts: Sequence[Prompt]) -> FloatArray:
        read = self._read(str(self.calibration), prompts)
        scores = read.normalised(self.normalisation)
        there = scores[~np.isnan(scores).any(axis=(1, 2))]
        if not len(there):
            reasons = ", ".join(sorted(set(read.tally.reasons.values())))
            raise SettingError(
                f"calibration = '{self.calibration}': nothing could be read without an input"
                f" ({reasons}); use calibration = 'none'."
            )
        return there

    def _calibrated(self, scored: Scored) -> FloatArray:
        scores = scored.normalised(self.normalisation)
        if self._reference is None:
            return scores
        return np.stack(
            [
                calibrated(scores[:, q], self.calibration, self._reference[:, q])
                for q in range(scored.n_questions)
            ],
            axis=1,
        )

    def _output(self, scored: Scored, scores: FloatArray) -> tuple[Output, int]:
        if self.task.kind is Kind.MULTILABEL:
            return multilabel_output(
                scores, scored.outcomes, scored.input_cut, threshold=self._threshold
            )
        return label_output(scores[:, 0], scored.outcomes, scored.input_cut)

    def _read(self, name: str, prompts: Iterable[Prompt]) -> Scored:
        labels, n_questions = self._answers()
        rows: list[LabelReads | None] = []
        outcomes: list[Outcome] = []
        cut: list[bool] = []
        tally, differ = Tally(), True
        for prompt, reads in ask(prompts, self.model.read):
            reason = reads if isinstance(reads, Reason) else None
            outcomes.append(tally.add(prompt, reason))
            cut.append(prompt.input_cut)
            rows += [None] * n_questions if isinstance(reads, Reason) else reads
            for question in prompt.questions:
                differ = differ and first_tokens_differ(list(question.continuations.values()))
        scored = Scored(
            LabelScores.stack(
                list(labels), list(labels.values()), rows, first_tokens_differ=differ
            ),
            n_questions,
            tuple(outcomes),
            tuple(cut),
            tally,
        )
        self.arrays |= scored.arrays(name)
        return scored

    def _answers(self) -> tuple[Mapping[str, str], int]:
        """Return the surface of each answer to a question, and the questions of a prompt."""
        wording = self.prompter.wording
        if wording.kind is Kind.MULTILABEL:
            return {YES: YES, NO: NO}, len(wording.names)
        return {name: wording.surface(name) for name in wording.names}, 1


def _rounded(scores: FloatArray) -> Json:
    """Return scores for people to read; where nothing was read, null."""
    return [
        _rounded(row) if isinstance(row, np.ndarray) else None if np.isnan(row) else round(row, 6)
        for row in scores
    ]
