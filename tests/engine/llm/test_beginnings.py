from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llamas import llama2_tokenizer, llama3_tokenizer
from prompting import LABELS, make_task, train_of

from groupbench.llm import ChatForm, Mode, PlainForm, PromptBuilder, Wording
from groupbench.llm.beginnings import Beginnings, n_shared
from groupbench.llm.encoding import Encoder
from groupbench.task import Example, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytest.importorskip("transformers")

TOKENIZERS: dict[str, Callable[[], Any]] = {
    "llama3": llama3_tokenizer,
    "llama2": llama2_tokenizer,
}
HEADS = (
    "Classify the sentence. " * 12 + "\n\n",
    "<|begin_of_text|>" + "The plot works. " * 20 + "<|eot_id|>" + "negative 1234567" * 20,
    "<s>[INST] " + "Sentence: good \n\nAnswer: no</s>" * 12,
    "  \n\n\n" + "naïve 日本語 " * 30 + "\n\n",
)
TAILS = st.lists(
    st.sampled_from([*"aA1. \n\u0301é", "\n\n", "</s>", "<s>", "<|eot_id|>"]), max_size=40
).map("".join)


@pytest.mark.parametrize("manner", sorted(TOKENIZERS))
@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.tuples(st.sampled_from(HEADS), TAILS), min_size=2, max_size=12))
def test_a_text_has_the_ids_of_the_whole_whatever_was_tokenised_before(
    manner: str, parts: list[tuple[str, str]]
) -> None:
    tokenizer = TOKENIZERS[manner]()
    encoder = Encoder(tokenizer)
    for head, tail in parts:
        text = head + tail
        assert encoder.ids(text) == tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize(
    ("manner", "chat"), [("llama3", True), ("llama2", True), ("llama3", False)]
)
def test_what_prompts_share_is_tokenised_once(manner: str, chat: bool) -> None:
    tokenizer = TOKENIZERS[manner]()
    counting = Counting(tokenizer)
    task = make_task(Kind.SINGLE)
    form = ChatForm(counting) if chat else PlainForm(counting)
    builder = PromptBuilder(task, Wording.of(task), Mode.SCORE, form, limit=4000)
    shots = tuple(train_of(Kind.SINGLE)[:16])
    n_tokens = []
    for i in range(8):
        counting.n_characters = 0
        prompt = builder.build(
            Example(f"x-{i}", f"{LABELS[Kind.SINGLE][i % 3]} as {i}.", None), shots
        )
        n_tokens.append(prompt.n_tokens)
    assert min(n_tokens) > 300
    assert 0 < counting.n_characters < 800, "the last: little more than its own text, per label"
    if (manner, chat) == ("llama3", False):
        assert counting.n_characters < 100, "labels follow a line that all prompts share"


class Counting:
    """A tokenizer that counts the characters it is given, all of which come by its call."""

    backend_tokenizer = None

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.n_characters = 0

    def __call__(self, text: Any, **options: Any) -> Any:
        self.n_characters += sum(map(len, [text] if isinstance(text, str) else text))
        return self._tokenizer(text, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def test_a_tokenizer_that_looks_back_is_given_whole_texts() -> None:
    given_texts: list[str] = []

    def encode(text: str) -> list[int]:
        given_texts.append(text)
        return [ord(character) + len(text) for character in text]

    def starts(text: str, low: int, high: int) -> Sequence[int]:
        return [at for at in range(low, high + 1) if text[at : at + 1] == "|"]

    beginnings = Beginnings(encode, starts)
    texts = ["x" * 300 + f"|{i}" for i in range(5)]
    for text in texts:
        assert beginnings.ids(text) == [ord(character) + len(text) for character in text]
    assert given_texts[-3:] == texts[-3:]


def test_more_beginnings_than_are_kept_are_still_right() -> None:
    def starts(text: str, low: int, high: int) -> Sequence[int]:
        return [at for at in range(low, high + 1) if text[at : at + 1] == "|"]

    beginnings = Beginnings(lambda text: list(map(ord, text)), starts)
    texts = [f"{head}" * 300 + f"|{i}" for i in range(3) for head in "abcdefgh" for _ in "12"]
    assert all(beginnings.ids(text) == list(map(ord, text)) for text in texts)


@given(st.text("ab", max_size=12), st.text("ab", max_size=12))
def test_the_shared_beginning_of_two_texts_is_as_long_as_it_can_be(a: str, b: str) -> None:
    n = n_shared(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]
