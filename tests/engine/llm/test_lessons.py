"""Lessons: the prompt of prediction, the right answer and its end mark, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from llamas import TOKENIZERS
from prompting import make_task, train_of

from groupbench.errors import SettingError
from groupbench.llm import Abilities, Joint, PromptedRunner, Prompter, form_of
from groupbench.llm.boundaries import Splitter
from groupbench.llm.lessons import lessons_of
from groupbench.runner import TaskInput
from groupbench.task import Example, Kind, Split, Task

pytest.importorskip("transformers")


def prompter_of(manner: str, task: Task, *, template: str = "auto", **settings: Any) -> Prompter:
    tokenizer = TOKENIZERS[manner]()
    form = form_of(tokenizer, template=template)
    can = frozenset({"token_prompts", "label_reads", "chat"})
    class_ = type("Asking", (PromptedRunner,), {"name": "asking", "__abstractmethods__": None})
    class_.__abstractmethods__ = frozenset()  # type: ignore[attr-defined] # only its settings are used
    given = TaskInput(task, tuple(train_of(task.kind)), (), {Split.TEST: ()})
    return Prompter.of(class_(**settings), Abilities(form, 1024, can), given, 0)


ANSWERS = {
    Kind.SINGLE: ["positive"],
    Kind.PAIR: ["equivalent"],
    Kind.MULTILABEL: ["yes", "yes", "no"],
    Kind.TOKEN: ['{"entities": [{"text": "Aspirin", "type": "drug"}]}'],
}
GOLDS: dict[Kind, Any] = {
    Kind.SINGLE: 1,
    Kind.PAIR: 1,
    Kind.MULTILABEL: (0, 1),
    Kind.TOKEN: (1, 0, 0, 0, 0, 0),
}


@pytest.mark.parametrize("manner", TOKENIZERS)
@pytest.mark.parametrize("template", ["chat", "plain"])
@pytest.mark.parametrize("kind", list(Kind))
def test_a_lesson_is_the_prompt_of_prediction_and_the_answer_with_its_end(
    manner: str, template: str, kind: Kind
) -> None:
    prompter = prompter_of(manner, make_task(kind), template=template)
    example = Example("x", train_of(kind)[0].input, GOLDS[kind])
    lessons = lessons_of(prompter, example)
    questions = prompter.prompt(example.without_gold()).questions
    tokenizer = TOKENIZERS[manner]()
    ends = {"chat": {"llama3": "<|eot_id|>", "llama2": " </s>"}[manner], "plain": "\n\n"}
    assert len(lessons) == len(questions) == len(ANSWERS[kind])
    for lesson, question, answer in zip(lessons, questions, ANSWERS[kind], strict=True):
        assert question.ids is not None
        assert lesson.prompt[: len(question.ids)] == question.ids
        whole = tokenizer.decode([*lesson.prompt, *lesson.answer])
        assert whole.endswith(f"{answer}{ends[template]}")
        assert tokenizer.decode(lesson.answer).strip().startswith(answer)
        if question.continuations:  # what is read of the label is what was learned
            read = [*question.ids, *question.continuations[wanted(kind, answer)]]
            assert [*lesson.prompt, *lesson.answer][: len(read)] == read


def wanted(kind: Kind, answer: str) -> str:
    """Return the name of the label that an answer is the surface of."""
    return {Kind.SINGLE: "positive", Kind.PAIR: "equivalent"}.get(kind, answer)


@pytest.mark.parametrize("shot_set", ["fixed", "per_example"])
def test_an_example_is_never_among_its_own_shots(shot_set: str) -> None:
    prompter = prompter_of("llama3", make_task(), shots=8, shot_set=shot_set)
    for example in train_of(Kind.SINGLE):
        shown = prompter.lesson_prompt(example).shots
        assert example.id not in shown
        assert len(shown) in {7, 8}


def test_entities_that_were_cut_off_are_not_asked_for() -> None:
    prompter = prompter_of("llama3", make_task(Kind.TOKEN), max_length=480)
    words = ("Aspirin", *("helps",) * 300, "head", "ache")
    example = Example("long", words, (1, *(0,) * 300, 3, 4))
    (lesson,) = lessons_of(prompter, example)
    said = TOKENIZERS["llama3"]().decode(lesson.answer)
    assert "Aspirin" in said
    assert "head" not in said


def test_a_token_that_spans_prompt_and_answer_is_refused() -> None:
    tokenizer = TOKENIZERS["llama3"]()
    splitter, prompt = Splitter(tokenizer), "Answer: pos"
    sent = tokenizer(prompt).input_ids
    with pytest.raises(SettingError, match="A token spans the end of the prompt, 'Answer: pos'"):
        splitter.after(prompt, sent, Joint("", "\n\n"), "itive")
    apart = splitter.after("Answer:", tokenizer("Answer:").input_ids, Joint(" ", ""), "positive")
    assert tokenizer.decode(apart) == " positive"
