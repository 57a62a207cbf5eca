from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompting import GIVEN, make_task

from groupbench.cards.card import load_card
from groupbench.errors import CardError
from groupbench.llm import Wording
from groupbench.llm.folding import fold, text_key
from groupbench.llm.template import PLACEHOLDERS, fill
from groupbench.task import Kind

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("kind", "asked", "labels"),
    [
        (
            Kind.SINGLE,
            "Sentence: The film was good.",
            "Answer with one of: negative, positive, neutral.",
        ),
        (
            Kind.PAIR,
            "Text 1: The cat sat.\nText 2: A cat was sitting.",
            "Answer with one of: not_equivalent, equivalent.",
        ),
        (
            Kind.MULTILABEL,
            "Sentence: I am glad and well.",
            # A comma in a label: semicolons part the list.
            "Decide for each: joy; sign, symptom or illness; fear.",
        ),
        (Kind.TOKEN, "Sentence: Aspirin helps against head ache .", "Entity types: drug; disease."),
    ],
)
def test_every_kind_has_default_wording(kind: Kind, asked: str, labels: str) -> None:
    wording = Wording.of(make_task(kind))

    assert wording.input_text(GIVEN[kind]) == asked
    assert wording.labels_text() == labels
    assert wording.cue_text(GIVEN[kind]) == "Answer:"
    assert wording.warnings == ()


def test_a_card_overrides_each_part() -> None:
    task = make_task(
        Kind.PAIR,
        prompt={
            "instruction": "Does the {name_b} follow from the {name_a}?",
            "input": "A {name_a}: {a}\nA {name_b}: {b}",
            "labels": "Say {labels}!",
            "cue": "So:",
            "name_a": "premise",
            "name_b": "hypothesis",
            "verbalisers": {"not_equivalent": ["no", "nope"], "equivalent": "yes"},
        },
    )
    wording = Wording.of(task)

    assert wording.instruction_text() == "Does the Hypothesis follow from the Premise?"
    assert wording.input_text(("It {b}.", "x")) == "A Premise: It {b}.\nA Hypothesis: x"
    assert wording.labels_text() == "Say no, yes!"
    assert wording.cue_text(None) == "So:"
    assert wording.surfaces == {"not_equivalent": ("no", "nope"), "equivalent": ("yes",)}


def test_entity_types_are_listed_with_their_definitions() -> None:
    prompt = {
        "definitions": {"drug": "a substance given"},
        "verbalisers": {"drug": "Drug", "disease": ["Disease", "illness"]},
    }
    wording = Wording.of(make_task(Kind.TOKEN, prompt=prompt))

    assert wording.names == ("drug", "disease")
    assert wording.labels_text() == "Entity types: Drug: a substance given; Disease."


MARKED = "The [E1] flu [/E1] is caused by a [E2] virus [/E2]."


def test_marked_arguments_make_the_cue_ask_for_their_relation() -> None:
    wording = Wording.of(make_task())

    assert wording.cue_text(MARKED) == "Relation of flu to virus:"
    assert wording.cue_text("Only [E1] one [/E1] is marked.") == "Answer:"
    assert wording.cue_text(None) == "Answer:"
    worded = Wording.of(make_task(prompt={"cue": "{e2}, and {e1}:"}))
    assert worded.cue_text(MARKED) == "virus, and flu:"
    assert worded.cue_text(None) == "E2, and E1:"  # nothing of the input shows


@pytest.mark.parametrize(
    ("prompt", "text", "n_words"),
    [
        ({}, MARKED, 11),
        ({}, "Only [E1] one [/E1] is marked.", 0),
        ({"cue": "{e1}:"}, MARKED, 4),
        ({"cue": "Answer:"}, MARKED, 0),
        ({"cue": "Relation:", "instruction": "How is [E1] related to [E2]?"}, MARKED, 11),
        ({"cue": "Relation:", "instruction": "Is [E1] a disease?"}, MARKED, 4),
        ({"cue": "So,", "verbalisers": {"cause": ["e1 causes e2"], "none": ["not"]}}, MARKED, 11),
        ({}, "[E1]flu[/E1]s and [E2]a virus[/E2], too", 4),
    ],
)
def test_words_up_to_the_arguments_that_are_spoken_of_are_needed(
    prompt: dict[str, Any], text: str, n_words: int
) -> None:
    labels = ["cause", "none"] if "verbalisers" in prompt else None
    wording = Wording.of(make_task(labels=labels, prompt=prompt))
    assert wording.n_words_needed(text) == n_words
    assert wording.n_words_needed(("words", "of", "[E1]", "tokens")) == 0


def test_the_summary_of_a_task_opens_its_default_instruction() -> None:
    wording = Wording.of(make_task(summary="Mood of reviews."))

    assert wording.instruction_text() == "Mood of reviews. Classify the sentence."


def test_a_seeded_label_order_is_a_function_of_seed_and_task_alone() -> None:
    labels = tuple("abcdefgh")
    worded = {"verbalisers": {label: f"letter {label}" for label in labels}}
    orders = {
        seed: Wording.of(make_task(labels=labels, prompt=worded), label_order="seeded", seed=seed)
        for seed in range(5)
    }
    again = Wording.of(make_task(labels=labels[::-1], prompt=worded), label_order="seeded", seed=3)

    assert len({wording.shown for wording in orders.values()}) > 1
    assert again.shown == orders[3].shown
    assert all(wording.names == labels for wording in orders.values())
    assert Wording.of(make_task(labels=labels, prompt=worded)).shown == labels


@pytest.mark.parametrize("labels", [("0", "1"), ("A", "B"), ("LABEL_0", "LABEL_1"), ("-1", "+")])
def test_labels_that_say_nothing_are_warned_about_unless_they_are_worded(
    labels: tuple[str, str],
) -> None:
    worded = {"verbalisers": {labels[0]: "wrong", labels[1]: "right"}}
    if "+" not in labels:
        (warning,) = Wording.of(make_task(labels=labels)).warnings
        assert repr(labels[0]) in warning
        assert "[prompt.verbalisers]" in warning
    assert Wording.of(make_task(labels=labels, prompt=worded)).warnings == ()


def test_more_than_40_labels_are_warned_about() -> None:
    names = [f"label {word}" for word in map("".join, zip("ab" * 25, map(chr, range(97, 147))))]  # noqa: B905
    assert Wording.of(make_task(labels=names[:40])).warnings == ()
    assert "41 labels" in Wording.of(make_task(labels=names[:41])).warnings[0]


@pytest.mark.parametrize("labels", [("Yes", "yes."), ("a", "?")])
def test_labels_that_would_be_read_alike_must_be_worded(labels: tuple[str, str]) -> None:
    with pytest.raises(CardError, match="word the labels apart"):
        Wording.of(make_task(labels=labels))

    worded = {"verbalisers": {labels[0]: "first", labels[1]: "second"}}
    assert Wording.of(make_task(labels=labels, prompt=worded)).surface(labels[1]) == "second"


def test_labels_are_understood_with_blanks_but_shown_as_they_are() -> None:
    wording = Wording.of(make_task(Kind.PAIR))
    assert wording.surfaces["not_equivalent"] == ("not_equivalent", "not equivalent")

    taken = Wording.of(make_task(labels=("not_so", "not so")))
    assert taken.surfaces == {"not_so": ("not_so",), "not so": ("not so",)}


FAULTS: dict[str, tuple[str, str, list[str]]] = {
    "unknown placeholder": ("single", 'input = "Text: {txt} {text}"', ["[prompt] input", "{txt}"]),
    "placeholder of another kind": ("single", 'cue = "{a}:"', ["[prompt] cue", "{a}"]),
    "input without text": ("single", 'input = "Text:"', ["[prompt] input", "{text}"]),
    "pair without a text": ("pair", 'input = "{a}"', ["[prompt] input", "{b}"]),
    "labels without labels": ("single", 'labels = "Choose."', ["[prompt] labels", "{labels}"]),
    "part of another kind": ("single", 'question = "{label}?"', ["question"]),
    "two alike": (
        "single",
        'verbalisers = {bad = "Poor.", good = "**poor**"}',
        ["good", "**poor**", "bad"],
    ),
    "only punctuation": ("single", 'verbalisers = {bad = "?", good = "g"}', ["bad", "'?'"]),
    "empty wording": ("single", 'verbalisers = {bad = " ", good = "g"}', ["bad", "' '"]),
    "no wording": ("single", 'verbalisers = {bad = "b"}', ["'good'"]),
    "tags are not worded": ("token", 'verbalisers = {"B-x" = "b"}', ["B-x"]),
    "unknown type": ("token", 'definitions = {y = "b"}', ["definitions", "'y'"]),
    "definition": ("token", "definitions = {x = 1}", ["definitions", "x = 1"]),
    "definitions of labels": ("single", 'definitions = {bad = "b"}', ["definitions"]),
}


def card(folder: Path, kind: str, prompt: str) -> Path:
    labels = '["O", "B-x", "I-x"]' if kind == "token" else '["bad", "good"]'
    text = f'name = "mood"\nkind = "{kind}"\nlabels = {labels}\nmetrics = ["accuracy"]\n'
    path = folder / "card.toml"
    path.write_text(f"{text}[prompt]\n{prompt}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_wording_is_found_when_the_card_loads(fault: str, tmp_path: Path) -> None:
    kind, prompt, words = FAULTS[fault]
    path = card(tmp_path, kind, prompt)
    assert tomllib.loads(path.read_text())

    with pytest.raises(CardError) as error:
        load_card(path)

    message = str(error.value)
    assert "\n" not in message
    for word in [str(path), *words]:
        assert word in message


def test_a_card_words_entity_types(tmp_path: Path) -> None:
    prompt = 'verbalisers = {x = ["Thing", "object"]}\ndefinitions = {x = "anything named"}'
    wording = Wording.of(load_card(card(tmp_path, "token", prompt)).task())

    assert wording.surfaces == {"x": ("Thing", "object")}
    assert wording.labels_text() == "Entity types: Thing: anything named."


def test_a_task_without_a_card_is_checked_too() -> None:
    with pytest.raises(CardError, match="verbalisers is not JSON"):
        Wording.of(make_task(prompt={"verbalisers": "{"}))
    with pytest.raises(CardError, match="which words negative already"):
        Wording.of(
            make_task(prompt={"verbalisers": {"negative": "x", "positive": "X", "neutral": "y"}})
        )
    with pytest.raises(CardError, match="no entity type"):
        Wording.of(make_task(Kind.TOKEN, labels=("O",)))


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(f' "**{text}**". ') == fold(text)


@given(st.text(alphabet="ab ,.!\n", min_size=1))
def test_texts_that_differ_in_case_spacing_and_punctuation_share_a_key(text: str) -> None:
    assert text_key(f"  {text.upper()} ") == text_key(text.replace(" ", "  "))


@given(st.text(), st.text())
def test_what_is_filled_in_is_never_filled_again(a: str, b: str) -> None:
    assert fill("{a}|{b}", {"a": a, "b": b}) == f"{a}|{b}"


def test_default_wording_holds_only_known_placeholders() -> None:
    for kind in Kind:
        wording = Wording.of(make_task(kind))
        for part in PLACEHOLDERS[kind]:
            template: Any = getattr(wording, part)
            known = dict.fromkeys(PLACEHOLDERS[kind][part], "")
            assert "{" not in fill(template, known), (kind, part)


def test_every_public_name_can_be_had() -> None:
    import groupbench.llm

    assert all(hasattr(groupbench.llm, name) for name in groupbench.llm.__all__)
    assert set(groupbench.llm.__all__) <= set(dir(groupbench.llm))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = groupbench.llm.nothing


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, groupbench.llm, groupbench.llm.answers, groupbench.llm.builder\n"
        "heavy = {'torch', 'transformers', 'openai', 'vllm', 'tokenizers'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
