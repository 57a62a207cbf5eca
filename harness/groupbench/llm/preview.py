"""What a fit would send about one example, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.llm.prompter import Prompter

if TYPE_CHECKING:
    from groupbench.canonical import Json
    from groupbench.llm.conversation import Form
    from groupbench.llm.prompt import Prompt, Question
    from groupbench.llm.prompted import PromptedRunner
    from groupbench.runner import TaskInput
    from groupbench.task import Example


@dataclass(frozen=True, slots=True)
class Preview:
    """A prompt and how it is sent."""

    prompt: Prompt
    mode: str
    form: Form
    limit: int
    """Tokens of prompt and answer together."""
    shots_asked: int
    """More than there are where train has no more that fit."""

    def to_json(self) -> dict[str, Json]:
        """Return everything as JSON; token ids with the vocabulary's spelling of each."""
        prompt = self.prompt
        return {
            "mode": self.mode,
            "form": self.form.name,
            "limit": self.limit,
            "n_tokens": prompt.n_tokens,
            "max_tokens": prompt.max_tokens,
            "stop": list(self.form.stop),
            "shots": list(prompt.shots),
            "shots_asked": self.shots_asked,
            "shots_dropped": prompt.shots_dropped,
            "words_dropped": prompt.words_dropped,
            "given_up": None if prompt.reason is None else str(prompt.reason),
            "answer_schema": prompt.schema,
            "parts": dict(prompt.parts),
            "questions": [self._question(question) for question in prompt.questions],
        }

    def _question(self, question: Question) -> dict[str, Json]:
        return {
            "label": question.label,
            "text": question.text,
            "messages": None if question.messages is None else list(question.messages),
            "n_tokens": question.n_tokens,
            "tokens": None if question.ids is None else self._tokens(question.ids),
            "choices": dict(question.choices),
            "continuations": {
                label: self._tokens(ids) for label, ids in question.continuations.items()
            },
        }

    def _tokens(self, ids: tuple[int, ...]) -> list[Json]:
        pieces = self.form.pieces(ids)
        return [{"id": i, "token": piece} for i, piece in zip(ids, pieces, strict=True)]


def preview(runner: PromptedRunner, given: TaskInput, example: Example, seed: int) -> Preview:
    """Return exactly what a fit of ``runner`` sends about ``example``.

    Args:
        runner: configured.
        given: what the fit gets of the task.
        example: one that it predicts.
        seed: of the fit.

    Raises:
        GroupbenchError: the runner cannot ask about the task, or something is missing here.
    """
    prompter = Prompter.of(runner, runner.abilities(), given, seed if runner.seeded else 0)
    builder = prompter.builder
    return Preview(
        prompter.prompt(example), str(prompter.mode), builder.form, builder.limit, prompter.k
    )
