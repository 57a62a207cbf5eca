from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.llm import Reason, read_label, read_list
from groupbench.llm.readers import Step, json_values
from groupbench.predictions import Outcome

MOOD = {
    "very positive": ["very positive"],
    "positive": ["positive", "pos"],
    "negative": ["negative"],
}


@pytest.mark.parametrize(
    ("text", "name", "step"),
    [
        ("positive", "positive", Step.EXACT),
        ("**Negative**", "negative", Step.EXACT),
        (' "Positive." ', "positive", Step.EXACT),
        ("ＰＯＳＩＴＩＶＥ", "positive", Step.EXACT),  # noqa: RUF001 - full width, which NFKC undoes
        ('{"label": "pos"}', "positive", Step.EXACT),
        ('```json\n{"answer": "Negative"}\n```', "negative", Step.EXACT),
        ('Here it is: {"label": "very positive", "why": "good"}', "very positive", Step.EXACT),
        ("Answer: positive", "positive", Step.FIRST_LINE),
        ("**Answer:** positive", "positive", Step.FIRST_LINE),
        ("The label is **negative**.", "negative", Step.FIRST_LINE),
        ("So the correct answer is: very positive", "very positive", Step.FIRST_LINE),
        ("Label=negative\nIt says the plot is bad.", "negative", Step.FIRST_LINE),
        ("\n\npositive\n\nIt is not bad at all.", "positive", Step.FIRST_LINE),
        ("I would call this positive.", "positive", Step.MENTION),
        ("This sounds very positive to me", "very positive", Step.MENTION),
        ("Sentiment → 'negative'!", "negative", Step.MENTION),
    ],
)
def test_a_label_is_read_and_the_step_is_named(text: str, name: str, step: Step) -> None:
    read = read_label(text, MOOD)

    assert (read.name, read.step, read.reason) == (name, step, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not positive", Reason.AMBIGUOUS),
        ("It isn't negative", Reason.AMBIGUOUS),
        ("positive or negative", Reason.AMBIGUOUS),
        ("positive rather than anything else", Reason.AMBIGUOUS),
        ("positive, and very positive", Reason.AMBIGUOUS),
        ('{"label": "not positive"}', Reason.AMBIGUOUS),
        ("positively", Reason.UNPARSABLE),
        ("posi", Reason.UNPARSABLE),
        ("None", Reason.UNPARSABLE),
        ('{"label": "great"}', Reason.UNPARSABLE),
        ('{"label": null}', Reason.UNPARSABLE),
        ("{[{", Reason.UNPARSABLE),
        ("", Reason.EMPTY),
        (" \n\t", Reason.EMPTY),
    ],
)
def test_nothing_is_read_where_nothing_is_said_clearly(text: str, reason: Reason) -> None:
    read = read_label(text, MOOD)

    assert (read.name, read.step, read.reason) == (None, None, reason)
    assert reason.outcome is Outcome.INVALID


def test_a_negation_that_belongs_to_a_label_is_none() -> None:
    surfaces = {"none": ["none"], "no change": ["no change"], "not so": ["not_so", "not so"]}

    assert read_label("I see no change here", surfaces).name == "no change"
    assert read_label("it is not so", surfaces).name == "not so"
    assert read_label("None.", surfaces).name == "none"
    assert read_label("it is not no change", surfaces).reason is Reason.AMBIGUOUS


def test_relation_labels_with_brackets_are_read() -> None:
    surfaces = {name: [name] for name in ("Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)")}

    assert read_label("It is Cause-Effect(e2,e1), I think", surfaces).name == "Cause-Effect(e2,e1)"
    assert read_label("cause-effect", surfaces).reason is Reason.UNPARSABLE


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    read = read_label(text, MOOD)
    assert (read.name is None) is (read.reason is not None)
    read_list(text, MOOD)
    list(json_values(text))


@given(st.sampled_from(sorted(MOOD)), st.sampled_from(["", "Answer: ", "The answer is "]))
def test_a_shown_surface_is_always_read_back(name: str, before: str) -> None:
    assert read_label(before + name, MOOD).name == name


KINDS = {
    "joy": ["joy"],
    "sick": ["sign, symptom or illness"],
    "both": ["fear and anger"],
    "fear": ["fear"],
}


@pytest.mark.parametrize(
    ("text", "names", "unknown"),
    [
        ("joy", {"joy"}, 0),
        ("Joy, fear.", {"joy", "fear"}, 0),
        ("joy; sign, symptom or illness", {"joy", "sick"}, 0),
        ("sign, symptom or illness, joy", {"joy", "sick"}, 0),
        ("joy and fear and anger", {"joy", "both"}, 0),
        ("Labels: joy and fear", {"joy", "fear"}, 0),
        ("- joy\n- fear", {"joy", "fear"}, 0),
        ("1. joy\n2. pride", {"joy"}, 1),
        ("none", set(), 0),
        ("None.", set(), 0),
        ("[]", set(), 0),
        ("pride", set(), 1),
        ("not joy", set(), 1),
    ],
)
def test_a_list_is_read_item_by_item(text: str, names: set[str], unknown: int) -> None:
    assert read_list(text, KINDS) == (frozenset(names), unknown)


def test_no_text_is_no_list_and_a_label_called_none_is_a_label() -> None:
    assert read_list("  ", KINDS) is None
    assert read_list("none", {"none": ["none"], "joy": ["joy"]}) == (frozenset({"none"}), 0)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (Reason.UNPARSABLE, Outcome.INVALID),
        (Reason.AMBIGUOUS, Outcome.INVALID),
        (Reason.EMPTY, Outcome.INVALID),
        (Reason.REFUSAL, Outcome.REFUSED),
        (Reason.CONTENT_FILTER, Outcome.REFUSED),
        (Reason.LENGTH, Outcome.TRUNCATED),
        (Reason.PROMPT_TOO_LONG, Outcome.TRUNCATED),
    ],
)
def test_every_reason_has_its_outcome(reason: Reason, outcome: Outcome) -> None:
    assert reason.outcome is outcome
