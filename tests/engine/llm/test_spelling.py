from __future__ import annotations

import pytest

from groupbench.llm import Prompt, Question, Said
from groupbench.llm.asked import Tally
from groupbench.llm.spelling import Spelling, count_spellings, is_canonical

END = 9


def question(**spellings: tuple[int, ...]) -> Question:
    choices = {"good": " good", "very good": " very good", "odd": " odd"}
    return Question("Answer:", (1, 2), None, 2, choices=choices, spellings=spellings)


SPELT = question(**{"good": (5,), "very good": (7, 5, END)})  # one that is scored with its end


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        (Said(" good", "stop", None, (5,)), True),
        (Said(" good", "stop", None, (5, END)), True),
        (Said(" good", "stop", None, (3, 4)), False),
        (Said(" very good", "stop", None, (7, 5)), True),
        (Said(" very good", "stop", None, (7, 3, 4)), False),
        (Said(" odd", "stop", None, (6,)), False),  # no spelling of it follows this prompt
        (Said(" good", "stop", None, None), None),
        (Said(" other", "length", None, (5,)), None),
        (Said(None, "stop", None, (5,)), None),
    ],
)
def test_a_choice_is_compared_with_the_tokens_of_its_label(
    said: Said, canonical: bool | None
) -> None:
    assert is_canonical(SPELT, said) is canonical


def tally(*ids: tuple[int, ...] | None) -> Tally:
    counted = Tally()
    prompt = Prompt("x", (SPELT,) * len(ids), {}, (), "", 4)
    count_spellings(prompt, [Said(" good", "stop", None, each) for each in ids], counted)
    return counted


def test_the_share_is_over_all_splits_and_low_ones_are_warned_about() -> None:
    spelling = Spelling.of([tally(*[(5,)] * 7, (3,)), tally((5, END), (4, 3))])
    assert spelling.facts() == {"answers": 10, "canonical_share": 0.8}
    warning = spelling.warning("mood")
    assert warning is not None
    assert warning.startswith("mood: only 80% of 10 chosen answers are spelt as the tokenizer")
    assert "mode = 'score'" in warning
    assert Spelling.of([tally(*[(5,)] * 9, (3,))]).warning("mood") is None


def test_a_share_that_is_not_known_is_null_and_no_warning() -> None:
    spelling = Spelling.of([tally(None, None), Tally()])
    assert spelling.facts() == {"answers": 0, "canonical_share": None}
    assert spelling.warning("mood") is None
