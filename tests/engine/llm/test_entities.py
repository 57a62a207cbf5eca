from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.llm import Reason, bio_to_spans, read_entities, spans_to_bio
from groupbench.llm.entities import tag_indices

TYPES = ("PER", "LOC")
SENTENCE = ("Ada", "Lovelace", "met", "Ada", "in", "New", "York", ".")


@st.composite
def tagged(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Return distinct words, and well-formed BIO tags of them."""
    n = draw(st.integers(0, 12))
    words = [f"{draw(st.sampled_from(['Ab', 'é', '猫', '(']))}{i}" for i in range(n)]
    tags: list[str] = []
    for _ in words:
        last = tags[-1] if tags else "O"
        more = [f"I-{last[2:]}"] if last != "O" else []
        tags.append(draw(st.sampled_from(["O", "B-PER", "B-LOC", *more])))
    return words, tags


@given(tagged())
def test_tags_survive_the_way_to_spans_and_back(sentence: tuple[list[str], list[str]]) -> None:
    words, tags = sentence
    spans = bio_to_spans(words, tags)

    assert spans_to_bio(words, spans, TYPES) == (tags, Counter({"ok": len(spans)} if spans else {}))
    assert len(spans) == sum(tag[0] == "B" for tag in tags)


SPANS = st.lists(
    st.one_of(
        st.none(),
        st.text(max_size=5),
        st.fixed_dictionaries(
            {
                "text": st.one_of(
                    st.integers(), st.sampled_from(["", "a", "a b", "A  B", "b", "c\n"]), st.text()
                ),
                "type": st.sampled_from([*TYPES, "DATE", None]),
            }
        ),
    ),
    max_size=8,
)


@given(st.lists(st.sampled_from(["a", "b", "ab", "c"]), max_size=8), SPANS)
def test_whatever_the_spans_tags_are_well_formed_and_every_span_is_accounted_for(
    tokens: list[str], spans: list[Any]
) -> None:
    tags, report = spans_to_bio(tokens, spans, TYPES)

    assert len(tags) == len(tokens)
    assert sum(report.values()) == len(spans)
    assert sum(tag[0] == "B" for tag in tags) == report["ok"]
    for before, tag in zip(["O", *tags], tags, strict=False):
        assert tag[0] != "I" or before[2:] == tag[2:]


@pytest.mark.parametrize(
    ("spans", "tags", "report"),
    [
        (
            [("Ada", "PER"), ("Ada Lovelace", "PER")],  # the longer text first, then what is free
            {0: "B-PER", 1: "I-PER", 3: "B-PER"},
            {"ok": 2},
        ),
        ([("ada", "PER"), ("ADA", "PER"), ("Ada", "PER")], {0: "B-PER", 3: "B-PER"},
         {"ok": 2, "taken": 1}),
        ([("new  york", "LOC")], {5: "B-LOC", 6: "I-LOC"}, {"ok": 1}),
        ([("York", "CITY")], {}, {"bad_type": 1}),
        ([("Lovel", "PER"), ("Yor", "LOC")], {}, {"part_of_token": 2}),
        ([("Byron", "PER"), ("", "PER")], {}, {"not_in_text": 2}),
        ([("Lovelace met", "PER"), ("met", "PER")], {1: "B-PER", 2: "I-PER"},
         {"ok": 1, "taken": 1}),
    ],
)  # fmt: skip
def test_spans_take_whole_tokens_leftmost_and_free(
    spans: list[tuple[str, str]], tags: dict[int, str], report: dict[str, int]
) -> None:
    wanted = [tags.get(i, "O") for i in range(len(SENTENCE))]
    said = [{"text": text, "type": kind} for text, kind in spans]

    assert spans_to_bio(SENTENCE, said, TYPES) == (wanted, Counter(report))


def test_letters_whose_lower_case_is_longer_do_not_move_offsets() -> None:
    tokens = ("İİ", "Ada", "ΌΣ")
    spans = [{"text": "ADA", "type": "PER"}, {"text": "όσ", "type": "LOC"}]
    assert spans_to_bio(tokens, spans, TYPES)[0] == ["O", "B-PER", "B-LOC"]


def test_an_i_that_continues_nothing_begins_a_span() -> None:
    spans = bio_to_spans(["a", "b", "c", "d"], ["I-PER", "I-LOC", "I-LOC", "O"])
    assert spans == [{"text": "a", "type": "PER"}, {"text": "b c", "type": "LOC"}]


def test_tags_become_indices_even_where_a_card_has_only_one_of_the_two() -> None:
    assert tag_indices(["O", "B-x", "I-x"], ["O", "B-x", "I-x"]) == [0, 1, 2]
    assert tag_indices(["O", "B-x", "I-x"], ["O", "B-x"]) == [0, 1, 1]
    assert tag_indices(["O", "B-x", "I-x"], ["O", "I-x"]) == [0, 1, 1]


ADA = {"text": "Ada", "type": "PER"}


@pytest.mark.parametrize(
    "text",
    [
        '{"entities": [{"text": "Ada", "type": "PER"}]}',
        'Here:\n```json\n{"entities": [{"text": "Ada", "type": "PER"}]}\n```\nDone.',
        '[{"text": "Ada", "type": "PER"}]',
        'As asked [1]: {"entities": [{"text": "Ada", "type": "PER"}]}',
    ],
)
def test_entities_are_found_in_what_stands_around_them(text: str) -> None:
    read = read_entities(text)
    assert (read.spans, read.reason, read.salvaged) == ((ADA,), None, False)


def test_no_entities_are_an_answer() -> None:
    assert read_entities('{"entities": []}').reason is None
    assert read_entities('{"entities": []}').spans == ()


CUT = '{"entities": [{"text": "Ada", "type": "PER"}, {"text": "New Yo'


@pytest.mark.parametrize(
    ("text", "truncated", "reason"),
    [
        (CUT, True, Reason.LENGTH),
        ('{"entities": [{"text": "Ada", "type": "PER"}]}', True, Reason.LENGTH),
        (CUT, False, Reason.UNPARSABLE),
        ("There are none.", False, Reason.UNPARSABLE),
        ('{"label": "PER"}', False, Reason.UNPARSABLE),
        ('{"entities": "Ada"}', False, Reason.UNPARSABLE),
        (" ", False, Reason.EMPTY),
        ("", True, Reason.LENGTH),
    ],
)
def test_an_answer_that_is_not_whole_has_its_reason(
    text: str, truncated: bool, reason: Reason
) -> None:
    assert read_entities(text, truncated=truncated).reason is reason


@pytest.mark.parametrize("truncated", [True, False])
def test_salvage_keeps_the_complete_objects(truncated: bool) -> None:
    read = read_entities(CUT, truncated=truncated, salvage=True)
    assert (read.spans, read.reason, read.salvaged) == ((ADA,), None, True)

    nothing = read_entities('{"entities": [{"text": "A', truncated=truncated, salvage=True)
    assert nothing.reason is (Reason.LENGTH if truncated else Reason.UNPARSABLE)


@given(st.text(), st.booleans(), st.booleans())
def test_any_answer_is_read_without_an_error(text: str, truncated: bool, salvage: bool) -> None:
    read = read_entities(text, truncated=truncated, salvage=salvage)
    spans_to_bio(SENTENCE, read.spans, TYPES)
