from __future__ import annotations

import json
from typing import Any

import pytest
from prompting import LABELS, an_example, make_task

from groupbench.llm import (
    MessagesForm,
    Mode,
    PromptBuilder,
    Reading,
    Reason,
    Said,
    Wording,
    answers_output,
    read_answer,
)
from groupbench.llm.readers import Step
from groupbench.predictions import NO_ANSWER, Outcome, Predictions
from groupbench.task import Example, Kind

JOY, SICK, FEAR = LABELS[Kind.MULTILABEL]


def read(kind: Kind, mode: Mode, *said: Said, **more: Any) -> Reading:
    task = make_task(kind)
    wording = Wording.of(task)
    prompt = PromptBuilder(task, wording, mode, MessagesForm(), limit=4096).build(an_example(kind))
    return read_answer(wording, mode, prompt, said, **more)


@pytest.mark.parametrize(
    ("said", "reason", "outcome"),
    [
        (Said("positive"), None, Outcome.OK),
        (Said("positive", "stop"), None, Outcome.OK),
        (Said("positive", "length"), Reason.LENGTH, Outcome.TRUNCATED),
        (Said("posi", "length"), Reason.LENGTH, Outcome.TRUNCATED),
        (Said("", "length"), Reason.LENGTH, Outcome.TRUNCATED),
        (Said("posi"), Reason.UNPARSABLE, Outcome.INVALID),
        (Said("not positive"), Reason.AMBIGUOUS, Outcome.INVALID),
        (Said(None), Reason.EMPTY, Outcome.INVALID),
        (Said(" "), Reason.EMPTY, Outcome.INVALID),
        (Said("positive", "content_filter"), Reason.CONTENT_FILTER, Outcome.REFUSED),
        (Said(None, "stop", "I cannot say."), Reason.REFUSAL, Outcome.REFUSED),
    ],
)
def test_every_reply_ends_with_an_outcome(
    said: Said, reason: Reason | None, outcome: Outcome
) -> None:
    reading = read(Kind.SINGLE, Mode.TEXT, said)

    assert (reading.reason, reading.outcome) == (reason, outcome)
    assert reading.names == (frozenset({"positive"}) if reason is None else frozenset())
    assert reading.step == (Step.EXACT if reason is None else None)
    assert reading.raw == (said.text or said.refusal or "")


@pytest.mark.parametrize(
    ("text", "names", "reason"),
    [
        (json.dumps({JOY: True, SICK: False, FEAR: True}), {JOY, FEAR}, None),
        (json.dumps({"Joy": "yes", SICK: "no", "FEAR": 0}), {JOY}, None),
        (json.dumps({JOY: False, SICK: False, FEAR: False}), set(), None),
        (json.dumps({JOY: True, SICK: False}), set(), Reason.UNPARSABLE),
        (json.dumps({JOY: True, "Joy": False, SICK: False, FEAR: False}), set(), Reason.AMBIGUOUS),
        (json.dumps({JOY: "maybe", SICK: True, FEAR: True}), set(), Reason.UNPARSABLE),
        (json.dumps({"labels": [FEAR]}), {FEAR}, None),
        (json.dumps([FEAR, JOY]), {FEAR, JOY}, None),
        ("[]", set(), None),
        (f"{SICK}; {JOY}", {SICK, JOY}, None),
        ("none", set(), None),
        ("pride, joy", {JOY}, None),
        ("pride", set(), Reason.UNPARSABLE),
        ("-", set(), Reason.UNPARSABLE),
    ],
)
def test_labels_are_read_from_json_and_from_lists(
    text: str, names: set[str], reason: Reason | None
) -> None:
    for mode in (Mode.JSON, Mode.TEXT):
        reading = read(Kind.MULTILABEL, mode, Said(text))
        assert (set(reading.names), reading.reason) == (names, reason)


def test_unknown_items_are_counted() -> None:
    assert read(Kind.MULTILABEL, Mode.TEXT, Said("joy, pride, envy")).counts == {"unknown": 2}


def test_labels_chosen_one_by_one_are_put_together() -> None:
    yes, no = Said("yes"), Said("No.")
    assert read(Kind.MULTILABEL, Mode.CHOICE, yes, no, yes).names == {JOY, FEAR}
    failed = read(Kind.MULTILABEL, Mode.CHOICE, yes, Said("yes", "length"), yes)
    assert (failed.names, failed.reason) == (frozenset(), Reason.LENGTH)


def test_as_many_replies_as_questions_are_wanted() -> None:
    with pytest.raises(ValueError, match="1 replies to 3 questions"):
        read(Kind.MULTILABEL, Mode.CHOICE, Said("yes"))


CUT = '{"entities": [{"text": "aspirin", "type": "Drug"}, {"text": "hea'


def test_entities_become_tags_and_what_was_dropped_is_counted() -> None:
    spans = [
        {"text": "aspirin", "type": "Drug"},
        {"text": "head ache", "type": "disease"},
        {"text": "ache", "type": "symptom"},
        {"text": "fever", "type": "disease"},
    ]
    reading = read(Kind.TOKEN, Mode.JSON, Said(json.dumps({"entities": spans})))

    assert reading.reason is None
    assert reading.tags == ("B-drug", "O", "O", "B-disease", "I-disease", "O")
    assert reading.counts == {"ok": 2, "bad_type": 1, "not_in_text": 1}


def test_cut_entities_are_an_outcome_unless_they_are_salvaged() -> None:
    cut = Said(CUT, "length")

    assert read(Kind.TOKEN, Mode.JSON, cut).outcome is Outcome.TRUNCATED
    salvaged = read(Kind.TOKEN, Mode.JSON, cut, salvage=True)
    assert salvaged.outcome is Outcome.OK
    assert salvaged.salvaged
    assert salvaged.tags == ("B-drug", "O", "O", "O", "O", "O")
    refused = Said(CUT, "content_filter")
    assert read(Kind.TOKEN, Mode.JSON, refused, salvage=True).outcome is Outcome.REFUSED


@pytest.mark.parametrize("kind", Kind)
def test_answers_become_predictions_and_none_is_a_default_label(kind: Kind) -> None:
    task = make_task(kind)
    wording = Wording.of(task)
    builder = PromptBuilder(task, wording, Mode.TEXT, MessagesForm(), limit=400)
    gold: Any = {
        Kind.SINGLE: 1, Kind.PAIR: 1, Kind.MULTILABEL: (0,), Kind.TOKEN: (1, 0, 0, 3, 4, 0)
    }[kind]  # fmt: skip
    right = {
        Kind.SINGLE: "positive", Kind.PAIR: "equivalent", Kind.MULTILABEL: "joy",
        Kind.TOKEN: '[{"text": "Aspirin", "type": "drug"}]',
    }[kind]  # fmt: skip
    examples = [an_example(kind, i, gold) for i in range(3)]
    word = "unbelievable" * 3000  # no place to cut it
    given: Any = {Kind.PAIR: (word, "x"), Kind.TOKEN: (word,)}.get(kind, word)
    examples.append(Example("long", given, (0,) if kind is Kind.TOKEN else gold))
    prompts = [builder.build(example) for example in examples]
    said = [[Said(right)], [Said("rubbish")], [Said(None, None, "No!")], []]
    readings = [
        read_answer(wording, Mode.TEXT, prompt, each)
        for prompt, each in zip(prompts, said, strict=True)
    ]

    output = answers_output(task, examples, prompts, readings)
    predictions = Predictions.assemble(task, examples, output)

    ends = (Outcome.OK, Outcome.INVALID, Outcome.REFUSED, Outcome.TRUNCATED)
    assert predictions.outcomes == ends
    assert predictions.raw == (right, "rubbish", "No!", "")
    rows = predictions.predicted.tolist()
    if kind is Kind.TOKEN:
        assert rows == [1, 0, 0, 0, 0, 0, *[0] * 13]
    elif kind is Kind.MULTILABEL:
        assert rows == [[1, 0, 0], *[[NO_ANSWER] * 3] * 3]
    else:
        assert rows == [1, NO_ANSWER, NO_ANSWER, NO_ANSWER]


def test_words_that_were_cut_off_are_predicted_outside() -> None:
    task = make_task(Kind.TOKEN)
    wording = Wording.of(task)
    words = ("Aspirin", *(f"word{i}" for i in range(120)))
    example = Example("x", words, (1,) + (0,) * 120)
    prompt = PromptBuilder(task, wording, Mode.JSON, MessagesForm(), limit=900).build(example)
    assert 0 < prompt.words_dropped < 105

    said = (
        '{"entities": [{"text": "Aspirin", "type": "drug"}, {"text": "word119", "type": "drug"}]}'
    )
    reading = read_answer(wording, Mode.JSON, prompt, [Said(said)])
    output = answers_output(task, [example], [prompt], [reading])
    predictions = Predictions.assemble(task, [example], output)

    assert predictions.input_cut == (True,)
    assert predictions.predicted.tolist() == [1, *[0] * 120]
    assert reading.counts == {"ok": 1, "not_in_text": 1}
