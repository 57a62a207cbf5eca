from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llamas import LABELS, TOKENIZERS, llama2_tokenizer, llama3_tokenizer

from groupbench.llm import (
    ChatForm,
    Conversation,
    DoubleBos,
    PlainForm,
    TemplateRewritesTurns,
    split_labels,
)
from groupbench.llm.boundaries import Joint, common_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("abc positve<>[]/|\n .é猫🙂")), st.characters(codec="utf-8")
    ),
    max_size=40,
)
CONVERSATIONS = st.builds(
    Conversation,
    instruction=TEXT,
    shots=st.lists(st.tuples(TEXT, st.sampled_from(LABELS)), max_size=3).map(tuple),
    ask=TEXT,
)
SOME_LABELS = st.lists(st.sampled_from(LABELS), min_size=1, max_size=5, unique=True)


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]()


def whole_way(
    tokenizer: Any, text: str, endings: dict[str, tuple[str, int]]
) -> tuple[list[int], dict[str, list[int]]]:
    """Tokenise prompt and label together, from the first character, for each label by itself."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    full, n_end = {}, {}
    for label, (ending, stop) in endings.items():
        encoding = tokenizer(text + ending, add_special_tokens=False, return_offsets_mapping=True)
        full[label] = encoding.input_ids
        n_end[label] = sum(start >= len(text) + stop for start, _ in encoding.offset_mapping)
    n = 0
    while all(len(each) > n for each in [ids, *full.values()]) and all(
        each[n] == ids[n] for each in full.values()
    ):
        n += 1
    whole = {label: each[n:] for label, each in full.items()}
    bare = {label: each[: len(each) - n_end[label]] for label, each in whole.items()}
    clash = any(
        a != b and longer[: len(ids_)] == ids_
        for a, ids_ in bare.items()
        for b, longer in bare.items()
    )
    return ids[:n], whole if clash else bare


@settings(max_examples=60, deadline=None)
@given(conversation=CONVERSATIONS, labels=SOME_LABELS)
@pytest.mark.parametrize("manner", TOKENIZERS)
def test_labels_of_a_chat_are_cut_as_the_whole_text_is_tokenised(
    manner: str, conversation: Conversation, labels: list[str]
) -> None:
    tokenizer = TOKENIZERS[manner]()
    form = ChatForm(tokenizer)
    rendered = form.render(conversation)
    assert rendered.messages is not None
    endings = {}
    for label in labels:
        turn = {"role": "assistant", "content": label}
        text = tokenizer.apply_chat_template([*rendered.messages, turn], tokenize=False)
        assert text.startswith(rendered.text)
        ending = text[len(rendered.text) :]
        endings[label] = (ending, ending.index(label) + len(label))
    context, continuations = whole_way(tokenizer, rendered.text, endings)

    split = form.split(rendered, {label: label for label in labels})

    assert split.context == tuple(context)
    assert split.continuations == {label: tuple(ids) for label, ids in continuations.items()}


@settings(max_examples=60, deadline=None)
@given(conversation=CONVERSATIONS, labels=SOME_LABELS)
@pytest.mark.parametrize("manner", TOKENIZERS)
def test_labels_of_plain_text_are_cut_as_the_whole_text_is_tokenised(
    manner: str, conversation: Conversation, labels: list[str]
) -> None:
    tokenizer = TOKENIZERS[manner]()
    form = PlainForm(tokenizer)
    rendered = form.render(conversation)
    endings = {label: (f" {label}\n\n", 1 + len(label)) for label in labels}
    context, continuations = whole_way(tokenizer, rendered.text, endings)

    split = form.split(rendered, {label: label for label in labels})

    assert split.context == (tokenizer.bos_token_id, *context)
    assert split.continuations == {label: tuple(ids) for label, ids in continuations.items()}


@pytest.mark.parametrize("broken_at", ["\n\n", "\n", " "])
def test_a_prompt_is_cut_at_lines_only_where_no_token_spans_them(broken_at: str) -> None:
    tokenizer = joining_words(broken_at)
    form = PlainForm(tokenizer)
    labels = {"a": "good", "b": "bad"}
    endings = {name: (f" {label}\n\n", 1 + len(label)) for name, label in labels.items()}
    for word in ("films", "plots"):
        rendered = form.render(Conversation("Say.", (), f"Sentence: {word}\nAnswer:"))
        context, continuations = whole_way(tokenizer, rendered.text, endings)
        split = form.split(rendered, labels)
        assert split.context == tuple(context)
        assert split.continuations == {name: tuple(ids) for name, ids in continuations.items()}
    spans = any("s\nA" in tokenizer.decode([i]) for i in rendered.ids or ())
    assert spans == (broken_at != "\n"), "else this proves nothing"


def joining_words(broken_at: str) -> Any:
    """Return a tokenizer whose tokens span everything but ``broken_at``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(broken_at, "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [f"{word}\nAnswer: {label}" for word in ("films", "plots") for label in ("good", "bad")]
    backend.train_from_iterator(texts * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def said(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids)))


def test_each_template_has_its_own_spelling_of_a_label() -> None:
    conversation = Conversation("Classify.", (), "Sentence: good\nAnswer:")
    spelt = {}
    for manner, make in TOKENIZERS.items():
        form = ChatForm(make())
        split = form.split(form.render(conversation), {"positive": "positive", "no": "no"})
        spelt[manner] = make().convert_ids_to_tokens(list(split.continuations["positive"]))
        assert not split.with_end

    assert spelt == {"llama3": ["positive"], "llama2": ["▁positive"]}
    # What the label by itself would have been.
    alone = llama2_tokenizer()(" positive", add_special_tokens=False).tokens()
    assert alone != ["▁positive"]


def test_the_end_mark_is_scored_only_where_a_label_begins_another(tokenizer: Any) -> None:
    form = ChatForm(tokenizer)
    rendered = form.render(Conversation("", (), "cause?"))
    apart = form.split(rendered, {"a": "yes", "b": "no"})
    clash = form.split(rendered, {"a": "very", "b": "very positive"})

    assert not apart.with_end
    assert tokenizer.eos_token_id not in apart.continuations["a"]
    assert clash.with_end
    assert clash.continuations["a"][-1] == tokenizer.eos_token_id
    assert clash.continuations["b"][-1] == tokenizer.eos_token_id


def test_where_a_token_spans_the_joint_all_labels_back_off_alike() -> None:
    tokenizer = llama3_tokenizer()
    surfaces = {"a": "itive", "b": "ition"}
    split = split_labels(tokenizer, "Answer: pos", Joint("", "\n\n"), surfaces)

    assert split.backed_off > 0
    assert said(tokenizer, split.context[1:]) == "Answer:"
    for label, surface in surfaces.items():
        assert said(tokenizer, split.continuations[label]) == f" pos{surface}"


def test_a_label_that_stands_in_the_end_mark_is_still_found() -> None:
    # "eot_id" is a label here and part of what ends a turn.
    tokenizer = llama3_tokenizer()
    form = ChatForm(tokenizer)
    split = form.split(form.render(Conversation("", (), "x")), {"a": "eot_id", "b": "joy"})

    assert said(tokenizer, split.continuations["a"]) == "eot_id"
    assert said(tokenizer, split.continuations["b"]) == "joy"


def with_template(template: str) -> Any:
    from copy import deepcopy

    tokenizer = deepcopy(llama3_tokenizer())
    tokenizer.chat_template = template
    return tokenizer


def test_a_template_that_rewrites_answers_is_refused() -> None:
    shouting = llama3_tokenizer().chat_template.replace("| trim", "| trim | upper")
    form = ChatForm(with_template(shouting))
    rendered = form.render(Conversation("", (), "x"))

    with pytest.raises(TemplateRewritesTurns, match=r"'yes' as it is.*mode = 'text'"):
        form.split(rendered, {"a": "yes"})


def test_a_template_with_two_bos_is_refused() -> None:
    doubled = "{{ bos_token }}" + llama3_tokenizer().chat_template
    form = ChatForm(with_template(doubled))

    with pytest.raises(DoubleBos, match="two BOS"):
        form.render(Conversation("", (), "x"))


def test_a_template_without_bos_gets_the_one_its_tokenizer_wants() -> None:
    bare = llama3_tokenizer().chat_template.replace("{{ bos_token }}", "")
    with_bos = ChatForm(llama3_tokenizer())
    without = ChatForm(with_template(bare))
    conversation = Conversation("Classify.", (), "x")

    sent = without.render(conversation)

    assert sent.ids == with_bos.render(conversation).ids
    assert without.split(sent, {"a": "yes", "b": "no"}).context == sent.ids


def test_every_turn_of_llama_2_opens_with_a_bos_and_that_is_right() -> None:
    form = ChatForm(llama2_tokenizer())
    rendered = form.render(Conversation("Classify.", (("good", "yes"), ("bad", "no")), "x"))

    assert rendered.ids is not None
    assert rendered.ids.count(llama2_tokenizer().bos_token_id) == 3


@pytest.mark.parametrize(("system", "role"), [(True, "system"), (False, "user")])
def test_an_instruction_moves_where_the_system_role_is_refused(system: bool, role: str) -> None:
    form = ChatForm(llama2_tokenizer(system=system))
    rendered = form.render(Conversation("Classify.", (("good", "yes"),), "bad"))

    assert form.system is system
    assert f"instruction in the {role} turn" in form.name
    assert rendered.messages is not None
    assert rendered.messages[0]["role"] == role
    assert rendered.messages[0]["content"].startswith("Classify.")
    assert rendered.text.count("Classify.") == 1


def test_a_system_turn_that_a_template_passes_over_counts_as_refused() -> None:
    silent = (
        "{% for message in messages if message.role != 'system' %}{{ message.content }}{% endfor %}"
    )
    form = ChatForm(with_template(silent))

    assert not form.system
    assert "Classify." in form.render(Conversation("Classify.", (), "x")).text


def test_shots_are_turns_or_stand_in_the_last_one(tokenizer: Any) -> None:
    conversation = Conversation("Classify.", (("good", "yes"), ("bad", "no")), "fine")
    turns = ChatForm(tokenizer).render(conversation).messages
    inline = ChatForm(tokenizer, shots_as="inline").render(conversation).messages

    assert turns is not None
    assert inline is not None
    roles = ["system", "user", "assistant", "user", "assistant", "user"]
    assert [turn["role"] for turn in turns] == roles
    assert [turn["role"] for turn in inline] == ["system", "user"]
    assert inline[1]["content"] == "good yes\n\nbad no\n\nfine"


def test_options_reach_the_template() -> None:
    dated = "{{ bos_token }}{{ date_string }} {{ messages[-1]['content'] }}"
    form = ChatForm(with_template(dated), template_options={"date_string": "26 Jul 2024"})

    assert form.render(Conversation("", (), "x")).text.endswith("26 Jul 2024 x")


def test_the_common_prefix_of_one_sequence_is_all_of_it() -> None:
    assert common_prefix([[1, 2]]) == 2
    assert common_prefix([[1, 2], []]) == 0
