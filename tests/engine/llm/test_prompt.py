from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llamas import TOKENIZERS, llama2_tokenizer, llama3_tokenizer
from prompting import LABELS, an_example, make_task, train_of

from groupbench.errors import SettingError
from groupbench.llm import (
    ChatForm,
    MessagesForm,
    Mode,
    OnLong,
    PlainForm,
    PromptBuilder,
    Reason,
    ShotPool,
    Wording,
    plan_reads,
)
from groupbench.llm.budget import MARGIN
from groupbench.task import Example, Kind, Task

if TYPE_CHECKING:
    from groupbench.llm import Form, Prompt

MODES = [
    (kind, mode) for kind in Kind for mode in Mode
    if kind is not Kind.TOKEN or mode in {Mode.JSON, Mode.TEXT}
]  # fmt: skip
FORMS: dict[str, Any] = {
    "llama3": lambda: ChatForm(llama3_tokenizer()),
    "llama2": lambda: ChatForm(llama2_tokenizer(system=False)),
    "base": lambda: PlainForm(llama2_tokenizer()),
    "remote": MessagesForm,
}


def builder(
    kind: Kind = Kind.SINGLE,
    mode: Mode = Mode.TEXT,
    form: Form | None = None,
    *,
    task: Task | None = None,
    limit: int = 4096,
    **more: Any,
) -> PromptBuilder:
    task = task or make_task(kind)
    return PromptBuilder(task, Wording.of(task), mode, form or MessagesForm(), limit=limit, **more)


@pytest.mark.parametrize(
    ("kind", "mode", "name"),
    [
        (kind, mode, name)
        for kind, mode in MODES
        for name in FORMS
        if (mode, name) != (Mode.SCORE, "remote")  # needs token ids
    ],
)
def test_every_kind_can_be_asked_in_every_mode_and_form(kind: Kind, mode: Mode, name: str) -> None:
    make = builder(kind, mode, FORMS[name]())
    shots = ShotPool(make.task, train_of(kind)).pick(4, seed=0)
    example = an_example(kind, 99)

    prompt = make.build(example, shots)

    one_by_one = kind is Kind.MULTILABEL and mode in {Mode.SCORE, Mode.CHOICE}
    assert [q.label for q in prompt.questions] == (list(LABELS[kind]) if one_by_one else [None])
    assert prompt.reason is None
    assert not prompt.input_cut
    assert prompt.shots == tuple(shot.id for shot in shots)
    assert (prompt.schema is not None) is (mode is Mode.JSON)
    for question in prompt.questions:
        for text in (prompt.parts["instruction"], prompt.parts["labels"], prompt.parts["input"]):
            assert question.text.count(text) == 1
        for shot in shots:
            assert make.wording.input_text(shot.input) in question.text
        assert (question.ids is None) is (name == "remote")
        if mode in {Mode.SCORE, Mode.CHOICE}:
            names = ("yes", "no") if one_by_one else LABELS[kind]
            assert tuple(question.choices) == names
        if mode is Mode.SCORE:
            assert question.ids is not None
            assert all(question.continuations.values())
            plan = plan_reads(question.continuations)
            assert plan.labels == tuple(question.choices)


def test_a_prompt_reads_like_this() -> None:
    make = builder(
        Kind.SINGLE,
        Mode.SCORE,
        PlainForm(llama3_tokenizer()),
        task=make_task(prompt={"verbalisers": {"negative": "bad", "positive": "good",
                                               "neutral": "neither"}}),
    )  # fmt: skip
    shots = [Example("a", "It fails.", 0), Example("b", "It {labels} works.", 1)]

    prompt = make.build(Example("x", "So so.", None), shots)

    assert prompt.text == (
        "Classify the sentence.\nAnswer with one of: bad, good, neither.\n\n"
        "Sentence: It fails.\nAnswer: bad\n\n"
        "Sentence: It {labels} works.\nAnswer: good\n\n"
        "Sentence: So so.\nAnswer:"
    )
    tokenizer = llama3_tokenizer()
    (question,) = prompt.questions
    assert question.ids is not None
    assert question.ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(list(question.ids[1:])) == prompt.text
    spelt = {name: tokenizer.decode(list(ids)) for name, ids in question.continuations.items()}
    assert spelt == {"negative": " bad", "positive": " good", "neutral": " neither"}
    assert spelt == question.choices


def test_choices_carry_the_separator_of_the_template() -> None:
    asked = {
        name: builder(mode=Mode.CHOICE, form=make()).build(an_example(Kind.SINGLE)).questions[0]
        for name, make in FORMS.items()
    }
    assert {name: q.choices["positive"] for name, q in asked.items()} == {
        "llama3": "positive",
        "llama2": " positive",
        "base": " positive",
        "remote": "positive",
    }


@pytest.mark.parametrize(
    ("kind", "mode", "answer"),
    [
        (Kind.SINGLE, Mode.TEXT, "positive"),
        (Kind.SINGLE, Mode.JSON, '{"label": "positive"}'),
        (Kind.PAIR, Mode.TEXT, "equivalent"),
        (Kind.MULTILABEL, Mode.TEXT, "joy; sign, symptom or illness"),
        (
            Kind.MULTILABEL,
            Mode.JSON,
            '{"joy": true, "sign, symptom or illness": true, "fear": false}',
        ),
        (
            Kind.TOKEN,
            Mode.JSON,
            '{"entities": [{"text": "Aspirin", "type": "drug"},'
            ' {"text": "head ache", "type": "disease"}]}',
        ),
    ],
)
def test_shots_answer_in_the_form_that_is_asked_for(kind: Kind, mode: Mode, answer: str) -> None:
    gold: Any = {
        Kind.SINGLE: 1, Kind.PAIR: 1, Kind.MULTILABEL: (0, 1), Kind.TOKEN: (1, 0, 0, 3, 4, 0)
    }[kind]  # fmt: skip
    prompt = builder(kind, mode).build(an_example(kind, 9), [an_example(kind, 0, gold)])

    messages = prompt.questions[0].messages
    assert messages is not None
    assert [m["content"] for m in messages if m["role"] == "assistant"] == [answer]


def test_no_label_is_said_in_words_that_no_label_has() -> None:
    make = builder(Kind.MULTILABEL)
    assert "[assistant]\nnone\n" in make.build(
        an_example(Kind.MULTILABEL, 1), [an_example(Kind.MULTILABEL, 0, ())]
    ).text  # fmt: skip
    taken = builder(task=make_task(Kind.MULTILABEL, ("None", "joy")))
    assert "[assistant]\nno labels\n" in taken.build(
        an_example(Kind.MULTILABEL, 1), [an_example(Kind.MULTILABEL, 0, ())]
    ).text  # fmt: skip


def test_questions_about_single_labels_share_all_but_their_last_line() -> None:
    make = builder(Kind.MULTILABEL, Mode.SCORE, ChatForm(llama3_tokenizer()))
    shots = ShotPool(make.task, train_of(Kind.MULTILABEL)).pick(8, seed=1)

    prompt = make.build(an_example(Kind.MULTILABEL, 99), shots)

    end = prompt.text.index(prompt.parts["input"]) + len(prompt.parts["input"])
    assert {q.text[:end] for q in prompt.questions} == {prompt.text[:end]}
    assert len({q.text for q in prompt.questions}) == 3
    messages = prompt.questions[0].messages
    assert messages is not None
    answers = [m["content"] for m in messages if m["role"] == "assistant"]
    assert {"yes", "no"} == set(answers)
    again = make.build(an_example(Kind.MULTILABEL, 98), shots)
    assert (
        again.questions[0].text.split("Sentence: I am glad and well. Number 98")[0]
        == (prompt.text.split("Sentence: I am glad and well. Number 99")[0])
    )


@settings(max_examples=40, deadline=None)
@given(
    n_words=st.integers(1, 120),
    limit=st.integers(60, 700),
    k=st.sampled_from([0, 2, 8]),
    mode=st.sampled_from([Mode.SCORE, Mode.TEXT]),
    manner=st.sampled_from(sorted(TOKENIZERS)),
)
def test_a_prompt_and_its_answer_stay_within_the_limit(
    n_words: int, limit: int, k: int, mode: Mode, manner: str
) -> None:
    make = builder(mode=mode, form=ChatForm(TOKENIZERS[manner]()), limit=limit)
    shots = train_of(Kind.SINGLE)[:k]
    text = " ".join(f"word{i}" for i in range(n_words))

    prompt = make.build(Example("x", text, None), shots)

    assert len(prompt.shots) + prompt.shots_dropped == k
    if prompt.reason is not None:
        assert prompt.reason is Reason.PROMPT_TOO_LONG
        assert prompt.questions == ()
        return
    (question,) = prompt.questions
    assert prompt.parts["instruction"] in question.text
    assert prompt.parts["labels"] in question.text
    assert isinstance(prompt.given, str)
    assert text.startswith(prompt.given)
    assert prompt.given in question.text
    assert len(prompt.given.split()) == n_words - prompt.words_dropped
    assert prompt.input_cut is (prompt.words_dropped > 0)
    assert question.ids is not None
    longest = max([prompt.max_tokens, *map(len, question.continuations.values())])
    assert len(question.ids) + longest + (MARGIN if mode is Mode.TEXT else 0) <= limit


def test_an_input_that_is_not_to_be_cut_is_given_up() -> None:
    text = " ".join(["word"] * 200)
    cut = builder(limit=300).build(Example("x", text, None))
    refused = builder(limit=300, on_long=OnLong.REFUSE).build(Example("x", text, None))

    assert cut.input_cut
    assert cut.reason is None
    assert refused.reason is Reason.PROMPT_TOO_LONG


@pytest.mark.parametrize("at", [10, 190])
def test_a_cut_keeps_the_arguments_of_a_relation_or_the_example_is_given_up(at: int) -> None:
    words = ["word"] * 200
    words[2] = "[E1] flu [/E1]"
    words[at] = "[E2] virus [/E2]"

    prompt = builder(limit=300).build(Example("x", " ".join(words), None))

    if at == 10:
        assert prompt.input_cut
        assert "[E2] virus [/E2]" in prompt.text
        assert prompt.parts["cue"] == "Relation of flu to virus:"
    else:
        assert prompt.reason is Reason.PROMPT_TOO_LONG
        assert prompt.questions == ()


def test_words_of_a_token_task_are_cut_as_words_and_leave_room_for_the_answer() -> None:
    words = tuple(f"word{i}" for i in range(200))
    make = builder(Kind.TOKEN, Mode.JSON, ChatForm(llama3_tokenizer()), limit=800)

    prompt = make.build(Example("x", words, None))

    assert prompt.given == words[: 200 - prompt.words_dropped]
    assert prompt.words_dropped > 0
    n_input = make.form.count(" ".join(prompt.given))
    assert prompt.max_tokens == 32 + 3 * n_input
    assert prompt.n_tokens + prompt.max_tokens + MARGIN <= 800


def test_shots_over_their_share_of_the_budget_are_told() -> None:
    make = builder(limit=1000)
    long = Example("a", "word " * 300, 0)

    assert make.too_long(4)(long)
    assert not make.too_long(1)(long)
    assert not make.too_long(4)(an_example(Kind.SINGLE, 0, 0))


@pytest.mark.parametrize("mode", [Mode.SCORE, Mode.CHOICE])
def test_entities_are_not_scored_or_chosen(mode: Mode) -> None:
    with pytest.raises(SettingError, match="a token task is not answered so; use json or text"):
        builder(Kind.TOKEN, mode)


def test_messages_cannot_be_scored() -> None:
    with pytest.raises(SettingError, match="needs token ids"):
        builder(mode=Mode.SCORE).build(an_example(Kind.SINGLE))


def texts(prompt: Prompt) -> list[str]:
    return [question.text for question in prompt.questions]


@pytest.mark.parametrize("kind", [Kind.SINGLE, Kind.PAIR, Kind.MULTILABEL])
def test_a_null_prompt_keeps_the_answers_and_nothing_of_any_input(kind: Kind) -> None:
    make = builder(kind, Mode.SCORE, PlainForm(llama3_tokenizer()))
    shots = ShotPool(make.task, train_of(kind)).pick(4, seed=0)
    full = make.build(an_example(kind, 99), shots)

    null = make.null(shots)

    assert null.id == "null, shots"
    assert null.shots == full.shots
    assert [q.label for q in null.questions] == [q.label for q in full.questions]
    for null_question, full_question in zip(null.questions, full.questions, strict=True):
        lines = null_question.text.split("\n\n")
        full_lines = full_question.text.split("\n")
        assert len(lines) == 5
        # Each is the last line of its block in the full prompt: the cue and its answer.
        assert all(line in full_lines for line in lines)
        assert "Classify" not in null_question.text
        # The same labels are scored, so that both sides are one softmax over one label set.
        assert null_question.continuations == full_question.continuations


def test_a_null_prompt_without_shots_is_the_instruction_without_input() -> None:
    make = builder(Kind.SINGLE, Mode.SCORE, PlainForm(llama3_tokenizer()))

    null = make.null()

    assert null.id == "null, instruction"
    assert texts(null) == [
        "Classify the sentence.\nAnswer with one of: negative, positive, neutral.\n\nAnswer:"
    ]


def test_a_null_prompt_does_not_name_the_arguments_of_a_relation() -> None:
    make = builder(Kind.SINGLE, Mode.SCORE, PlainForm(llama3_tokenizer()))
    marked = "The [E1] flu [/E1] comes from a [E2] virus [/E2]."
    shots = [Example("a", marked, 0)]

    assert (
        "Relation of flu to virus: negative" in make.build(Example("x", marked, None), shots).text
    )
    assert texts(make.null(shots)) == ["Answer: negative\n\nAnswer:"]


def test_prompts_for_calibration() -> None:
    make = builder(Kind.SINGLE, Mode.SCORE, PlainForm(llama3_tokenizer()))
    shots = train_of(Kind.SINGLE)[:2]

    free = make.content_free(shots)

    assert [prompt.given for prompt in free] == ["N/A", "[MASK]", ""]
    assert all(prompt.shots == ("train-0", "train-1") for prompt in free)
    assert texts(make.cue_alone()) == ["Answer:"]
    pair = builder(Kind.PAIR, Mode.SCORE, PlainForm(llama3_tokenizer())).content_free()
    assert pair[0].given == ("N/A", "N/A")


def test_the_schema_is_an_object_with_every_property_required() -> None:
    schemas = {kind: builder(kind, Mode.JSON).build(an_example(kind)).schema for kind in Kind}
    for schema in schemas.values():
        assert schema is not None
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        properties: Any = schema["properties"]
        assert schema["required"] == list(properties)
        assert "uniqueItems" not in json.dumps(schema)
    single: Any = schemas[Kind.SINGLE]
    assert single["properties"]["label"]["enum"] == list(LABELS[Kind.SINGLE])
    several: Any = schemas[Kind.MULTILABEL]
    assert set(several["properties"]) == set(LABELS[Kind.MULTILABEL])
    token: Any = schemas[Kind.TOKEN]
    item = token["properties"]["entities"]["items"]
    assert item["properties"]["type"]["enum"] == ["drug", "disease"]
    assert item["required"] == ["text", "type"]


def test_output_caps() -> None:
    labels = {"verbalisers": {"negative": "né", "positive": "good", "neutral": "neither"}}
    make = builder(mode=Mode.CHOICE, task=make_task(prompt=labels))
    example = an_example(Kind.SINGLE)

    assert make.build(example).max_tokens == len("neither") + 2
    score = builder(mode=Mode.SCORE, form=PlainForm(llama3_tokenizer()))
    assert score.build(example).max_tokens == 1
    thinking = replace(make, reasoning_reserve=100)
    assert thinking.build(example).max_tokens == make.build(example).max_tokens + 100


def test_prompts_do_not_depend_on_the_gold() -> None:
    make = builder()
    assert make.build(an_example(Kind.SINGLE, 1, 2)) == make.build(an_example(Kind.SINGLE, 1))
