"""Lessons: what a language model is trained on about one example, in token ids.

Prompt and answer are those of prediction: the same wording, shots and template, and the answer as
the template writes it, with the mark that ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from groupbench.errors import SettingError
from groupbench.task import Kind

if TYPE_CHECKING:
    from groupbench.llm.prompter import Prompter
    from groupbench.task import Example


@dataclass(frozen=True, slots=True)
class Lesson:
    """One prompt and its right answer. ``prompt + answer`` is what the model reads."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    """With the end mark. Only these are learned."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def lessons_of(prompter: Prompter, example: Example) -> tuple[Lesson, ...]:
    """Return the lessons of an example, one for each question; none where its prompt is given up.

    An example is not among its own shots. Of entities only those that are shown are asked for.

    Args:
        prompter: of the example's task; its form must give token ids.
        example: with its gold.

    Raises:
        SettingError: prompt and answer cannot be told apart in tokens.
    """
    prompt = prompter.lesson_prompt(example)
    builder = prompter.builder
    shown = example
    if builder.task.kind is Kind.TOKEN and prompt.input_cut and isinstance(example.gold, tuple):
        gold = example.gold[: len(prompt.given)]
        shown = replace(example, input=prompt.given, gold=gold)
    found = []
    for question in prompt.questions:
        if question.rendered is None or question.rendered.ids is None:
            raise SettingError("Training needs token ids, and this model is sent messages.")
        answer = builder.answer(shown, question.label)
        try:
            ids = builder.form.answer(question.rendered, answer)
        except SettingError as problem:
            raise SettingError(f"task {builder.task.name}: {problem}") from None
        found.append(Lesson(question.rendered.ids, ids))
    return tuple(found)
