"""What the encoder reads, and in which order: alignment, windows, batches."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupbench.apportion import apportion
from groupbench.errors import DataError
from groupbench.task import Example, Kind, Materialised, Task
from groupbench_encoder import tiny
from groupbench_encoder.batches import BatchPlan, Rule, Sampling, by_length
from groupbench_encoder.encode import Limits, encode, windows
from groupbench_encoder.subwords import Subwords

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY_WORD = st.text(max_size=12) | st.sampled_from(["\ud800", " ", "\u200b", "\x00", "é", "a-b.c"])


def named(special: list[str]) -> dict[str, str]:
    return dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))


def task(kind: Kind, labels: tuple[str, ...] = ("O", "B")) -> Task:
    return Task("t", kind, labels, ("accuracy",), Materialised({}))


@pytest.fixture(scope="module", params=["words", "wordpieces", "bytes"])
def subwords(request: pytest.FixtureRequest) -> Subwords:
    """Tokenizers of the three families that encoders have."""
    texts = ["the old red cat sat near the big small dog, again and again."] * 3
    if request.param == "words":
        return Subwords(tiny.train_tokenizer(texts, 64))
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    if request.param == "wordpieces":
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz", "the"]
        pieces += [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"]
        made = Tokenizer(
            models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token=pieces[1])
        )
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.post_processor = processors.TemplateProcessing(
            "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
        )
        return Subwords(
            PreTrainedTokenizerFast(
                tokenizer_object=made,
                model_input_names=["input_ids", "token_type_ids"],
                **named(pieces[:4]),
            )
        )
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=special, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    made.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)]
    )
    return Subwords(
        PreTrainedTokenizerFast(
            tokenizer_object=made,
            model_input_names=["input_ids", "attention_mask"],
            **named([special[i] for i in (1, 3, 0, 2)]),
        )
    )


@given(
    words=st.lists(ANY_WORD, min_size=1, max_size=40),
    max_length=st.integers(8, 30),
    stride=st.integers(0, 12),
    long_inputs=st.sampled_from(["cut", "windows"]),
)
@settings(max_examples=60, deadline=None)
def test_every_word_is_answered_once_and_at_its_own_first_subword(
    subwords: Subwords,
    words: list[str],
    max_length: int,
    stride: int,
    long_inputs: Literal["cut", "windows"],
) -> None:
    example = Example("x", tuple(words), (0,) * len(words))
    limits = Limits(max_length, long_inputs, stride)
    encoded = encode(task(Kind.TOKEN), [example], subwords, limits, gold=True)
    (pieces,) = encoded.pieces
    assert all(len(piece.ids) <= max_length for piece in pieces)
    answered = [int(word) for piece in pieces for word in piece.words]
    assert answered == sorted(answered)
    if long_inputs == "windows" or not encoded.cut[0]:
        assert answered == list(range(len(words)))
    else:
        assert answered == list(range(len(answered)))
    known = subwords.of_words(words)
    for piece in pieces:
        for word, position in zip(piece.words, piece.positions, strict=True):
            assert piece.ids[position] == known[words[word]][0]


@given(n=st.integers(0, 200), room=st.integers(1, 40), stride=st.integers(0, 60))
def test_windows_cover_everything_and_overlap_at_least_as_asked(
    n: int, room: int, stride: int
) -> None:
    starts, cut = windows(n, room, Limits(room + 2, "windows", stride))
    assert not cut
    covered = {p for start in starts for p in range(start, min(start + room, n))}
    assert covered == set(range(n))
    assert starts == sorted(set(starts))
    overlaps = [a + room - b for a, b in pairwise(starts)]
    assert all(overlap >= min(stride, room - 1) for overlap in overlaps)


def test_a_text_is_cut_at_its_end_and_says_so(subwords: Subwords) -> None:
    long, short = Example("a", "the cat " * 40, 0), Example("b", "the cat", 0)
    encoded = encode(task(Kind.SINGLE), [long, short], subwords, Limits(12), gold=True)
    assert encoded.cut == (True, False)
    whole = [*subwords.prefix, *subwords.of_texts([long.text])[0]]
    end = len(subwords.suffix)
    (piece,) = encoded.pieces[0]
    assert piece.ids.tolist() == [*whole[: 12 - end], *subwords.suffix]
    assert len(piece.ids) == 12


def test_encoding_agrees_with_the_tokenizer_where_everything_fits(subwords: Subwords) -> None:
    one, two = "the old cat sat", "near the dog"
    (single,) = encode(
        task(Kind.SINGLE), [Example("a", one, 0)], subwords, Limits(64), gold=True
    ).pieces
    assert single[0].ids.tolist() == subwords.tokenizer(one)["input_ids"]
    (pair,) = encode(
        task(Kind.PAIR), [Example("a", (one, two), 0)], subwords, Limits(64), gold=True
    ).pieces
    expected = subwords.tokenizer(one, two, return_token_type_ids=True)
    assert pair[0].ids.tolist() == expected["input_ids"]
    if subwords.has_types:
        assert pair[0].types.tolist() == expected["token_type_ids"]


@pytest.mark.parametrize("long_inputs", ["cut", "windows"])
@pytest.mark.parametrize("lengths", [(30, 3), (3, 30), (30, 30)])
def test_of_a_pair_the_longer_text_gives_way(
    subwords: Subwords, lengths: tuple[int, int], long_inputs: Literal["cut", "windows"]
) -> None:
    texts = ("the " * lengths[0], "cat " * lengths[1])
    example = Example("a", texts, 0)
    encoded = encode(task(Kind.PAIR), [example], subwords, Limits(24, long_inputs, 2), gold=True)
    assert all(len(piece.ids) <= 24 for piece in encoded.pieces[0])
    assert encoded.cut == (long_inputs == "cut" or lengths == (30, 30),)
    if lengths != (30, 30):
        short = subwords.of_texts([min(texts, key=len)])[0]
        for piece in encoded.pieces[0]:
            ids = piece.ids.tolist()
            assert any(ids[i : i + len(short)] == short for i in range(len(ids)))


def test_an_input_of_another_kind_is_refused_by_name(subwords: Subwords) -> None:
    for kind, wrong in (
        (Kind.SINGLE, ("a", "b")),
        (Kind.PAIR, "a"),
        (Kind.PAIR, ("a",)),
        (Kind.TOKEN, "a"),
    ):
        example = Example("row-7", wrong, None)
        with pytest.raises(DataError, match=r"task t.*row-7"):
            encode(task(kind), [example], subwords, Limits(16), gold=False)


RULES: tuple[Rule, ...] = ("proportional", "sqrt", "temperature", "annealed", "uniform")


def plan(sizes: Sequence[int], rule: Rule = "proportional", **options: int) -> BatchPlan:
    rng = np.random.default_rng(0)
    lengths = {f"t{i}": rng.integers(3, 40, size) for i, size in enumerate(sizes)}
    base = BatchPlan(lengths, batch_size=8, sampling=Sampling(rule), seed=1, epochs=3)
    return replace(base, **options)  # type: ignore[arg-type] # fields of a plan


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4), seed=st.integers(0, 9))
@settings(deadline=None)
def test_proportional_epochs_see_each_example_once(sizes: list[int], seed: int) -> None:
    seen: dict[tuple[int, str], list[int]] = {}
    for step in plan(sizes, seed=seed):
        for name, rows in step.rows.items():
            assert 1 <= len(rows) <= 8
            seen.setdefault((step.epoch, name), []).extend(rows.tolist())
    for epoch in range(3):
        for index, size in enumerate(sizes):
            assert sorted(seen[epoch, f"t{index}"]) == list(range(size))


@pytest.mark.parametrize("rule", RULES)
def test_a_plan_is_a_pure_function_and_every_rule_has_as_many_steps(rule: Rule) -> None:
    steps = [
        [(name, rows.tolist()) for name, rows in step.rows.items()] for step in plan((80, 16), rule)
    ]
    again = [
        [(name, rows.tolist()) for name, rows in step.rows.items()] for step in plan((80, 16), rule)
    ]
    assert steps == again
    assert len(steps) == 3 * (10 + 2)
    other = [
        [(name, rows.tolist()) for name, rows in step.rows.items()]
        for step in plan((80, 16), rule, seed=2)
    ]
    assert steps != other


def test_rules_draw_small_tasks_as_often_as_they_say() -> None:
    def share(rule: Rule, epoch: int) -> float:
        steps = [s for s in plan((640, 160), rule) if s.epoch == epoch]
        return sum("t1" in step.rows for step in steps) / len(steps)

    assert share("proportional", 0) == pytest.approx(0.2)
    assert share("sqrt", 0) == pytest.approx(1 / 3, abs=0.01)
    assert share("temperature", 0) == pytest.approx(1 / 3, abs=0.01)
    assert share("uniform", 0) == pytest.approx(0.5)
    assert share("annealed", 0) == pytest.approx(0.2)
    assert share("annealed", 2) == pytest.approx(1 / (1 + 4**0.2), abs=0.01)


def test_a_cap_makes_large_tasks_count_as_less() -> None:
    sizes = {"big": 10_000, "small": 100}
    assert Sampling("temperature", 1.0, 300).weights(sizes, 0, 1) == {"big": 0.75, "small": 0.25}


@given(weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=6), total=st.integers(0, 99))
def test_shares_are_whole_and_sum_to_all(weights: list[float], total: int) -> None:
    counts = apportion(weights, total)
    assert sum(counts) == total
    exact = [weight * total / sum(weights) for weight in weights]
    assert all(abs(c - e) <= 1 for c, e in zip(counts, exact, strict=True))


def test_a_budget_of_steps_replaces_epochs_and_surgery_takes_all_tasks_together() -> None:
    assert len(list(plan((16, 16), steps=7))) == 7
    steps = list(plan((80, 16), together=True))
    assert {frozenset(step.rows) for step in steps} == {frozenset({"t0", "t1"})}
    assert len(steps) == 3 * 6


def test_batches_hold_examples_of_like_length() -> None:
    rng = np.random.default_rng(0)
    lengths = {"t": rng.integers(3, 100, 4000)}
    made = BatchPlan(lengths, 32, Sampling(), seed=0, epochs=1)
    batches = [lengths["t"][step.rows["t"]] for step in made]
    padding = 1 - sum(b.sum() for b in batches) / sum(b.max() * len(b) for b in batches)
    assert padding < 0.05


@given(
    lengths=st.lists(st.integers(1, 50), max_size=40),
    size=st.integers(1, 9),
    tokens=st.integers(1, 200),
)
def test_prediction_batches_hold_every_row_once_within_the_limit(
    lengths: list[int], size: int, tokens: int
) -> None:
    array = np.asarray(lengths, np.int64)
    batches = list(by_length(array, size, tokens))
    assert sorted(int(row) for rows in batches for row in rows) == list(range(len(lengths)))
    assert all(
        len(b) == 1 or (array[b].max() * len(b) <= tokens and len(b) <= size) for b in batches
    )
