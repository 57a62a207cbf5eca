from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.llm import plan_reads
from groupbench.llm.reads import CHUNK

CONTINUATIONS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.lists(st.integers(0, 400), max_size=5),
    min_size=1,
    max_size=8,
)


def log_prob(context: list[int], token: int) -> float:
    """A made-up language model."""
    return -5 * random.Random(f"{context} {token}").random()  # noqa: S311 - no secret


@given(continuations=CONTINUATIONS, context=st.lists(st.integers(0, 400), max_size=3))
def test_reads_give_the_sums_of_scoring_every_label_by_itself(
    continuations: dict[str, list[int]], context: list[int]
) -> None:
    plan = plan_reads(continuations)
    replies = [
        [{t: log_prob(prompt, t) for t in call.token_ids} for prompt in plan.prompts(context, call)]
        for call in plan.calls
    ]

    reads = plan.sums(replies)

    for i, (label, ids) in enumerate(continuations.items()):
        naive = [log_prob([*context, *ids[:j]], token) for j, token in enumerate(ids)]
        assert plan.labels[i] == label
        assert math.isclose(reads.sums[i], sum(naive), abs_tol=1e-12)
        assert reads.n_tokens[i] == len(ids)
        assert reads.first[i] == (naive[0] if naive else 0.0)


@given(CONTINUATIONS)
def test_prefixes_are_the_inner_nodes_of_the_trie(continuations: dict[str, list[int]]) -> None:
    plan = plan_reads(continuations)
    inner = {tuple(ids[:i]) for ids in continuations.values() for i in range(len(ids))}

    assert set(plan.prefixes) == inner | {()}
    assert len(set(plan.prefixes)) == len(plan.prefixes)


def test_labels_of_one_token_need_one_prompt() -> None:
    plan = plan_reads({"a": [7], "b": [9], "c": [8]})
    (call,) = plan.calls

    assert call.token_ids == (7, 8, 9)
    assert plan.prompts([1, 2], call) == [[1, 2]]


def test_more_than_128_tokens_are_read_in_chunks_after_the_prefixes_that_need_them() -> None:
    continuations = {f"label {i}": [1000 + i] for i in range(300)} | {"long": [1000, 5]}
    plan = plan_reads(continuations)
    calls = list(plan.calls)

    assert [len(call.token_ids) for call in calls] == [128, 128, 45]
    assert all(len(call.token_ids) <= CHUNK for call in calls)
    # Token 5 is in the first chunk, and it alone is read after another prefix.
    assert [call.prefixes for call in calls] == [(0, 1), (0,), (0,)]


def test_a_token_that_was_not_read_is_an_error_that_names_it() -> None:
    plan = plan_reads({"a": [7], "b": [9]})

    with pytest.raises(ValueError, match="token 9 after prefix 0"):
        plan.sums([[{7: -1.0}]])
    with pytest.raises(ValueError, match="zip"):
        plan.sums([])


def test_sums_are_float64() -> None:
    plan = plan_reads({"a": [7, 8]})
    reads = plan.sums([[{7: -1.0, 8: -9.0}, {7: -9.0, 8: -1e-9}]])

    assert reads.sums.dtype == np.float64
    assert reads.sums[0] == -1.0 - 1e-9
