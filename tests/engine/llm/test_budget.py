from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.llm.budget import FEWEST_WORDS, Fitted, OnLong, fit_budget, side_lengths
from groupbench.task import Input, Kind

WORDS = st.integers(1, 60).map(lambda n: " ".join(f"w{i}" for i in range(n)))
INPUTS = st.one_of(
    st.tuples(st.just(Kind.SINGLE), WORDS),
    st.tuples(st.just(Kind.PAIR), st.tuples(WORDS, WORDS)),
    st.tuples(st.just(Kind.TOKEN), WORDS.map(lambda text: tuple(text.split()))),
)
SHOTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), max_size=8)
FIXED = 10
"""Tokens of instruction and labels, which never go."""


@given(
    kind_and_input=INPUTS,
    shots=SHOTS,
    limit=st.integers(1, 250),
    on_long=st.sampled_from(OnLong),
)
def test_what_is_left_fits_and_as_little_goes_as_can(
    kind_and_input: tuple[Kind, Input],
    shots: list[tuple[str, int]],
    limit: int,
    on_long: OnLong,
) -> None:
    kind, given_input = kind_and_input

    def size(kept: tuple[int, ...], text: Input) -> int:
        return FIXED + sum(shots[i][1] for i in kept) + sum(side_lengths(kind, text))

    strata = [frozenset(label) for label, _ in shots]
    fitted = fit_budget(kind, given_input, strata, size, limit, on_long=on_long)
    whole, kept = side_lengths(kind, given_input), side_lengths(kind, fitted.input)

    assert fitted.shots_dropped == len(shots) - len(fitted.kept)
    if not fitted.fits:
        shortest = sum(min(n, FEWEST_WORDS) for n in whole)
        least = shortest if on_long is OnLong.CUT and max(whole) > FEWEST_WORDS else sum(whole)
        assert FIXED + least > limit
        return
    assert size(fitted.kept, fitted.input) <= limit
    assert fitted.words_dropped == sum(whole) - sum(kept)
    if fitted.words_dropped:
        assert on_long is OnLong.CUT
        assert fitted.kept == ()  # every shot goes before the first word
        assert max(kept) >= FEWEST_WORDS
        # Only longer sides were cut, and one more word on each of them would not fit.
        assert all(k == n or k == max(kept) for k, n in zip(kept, whole, strict=True))
        assert size((), fitted.input) + sum(k < n for k, n in zip(kept, whole, strict=True)) > limit
    elif fitted.shots_dropped:
        counts = [sum(shots[i][0] == label for i in fitted.kept) for label in "abc"]
        there = [sum(label == shot[0] for shot in shots) for label in "abc"]
        for n, had in zip(counts, there, strict=True):
            assert n == had or n >= max(counts) - 1


def test_an_input_is_cut_at_a_word_with_its_spacing_kept() -> None:
    words = [f"w{i}" for i in range(20)]
    text = "\n".join([" ".join(words[:10]), "  ".join(words[10:])])

    fitted = fit_budget(Kind.SINGLE, text, [], lambda _, t: len(str(t)), 70)

    assert isinstance(fitted.input, str)
    assert text.startswith(fitted.input)
    assert text[len(fitted.input)] in " \n"
    assert len(fitted.input) <= 70
    assert fitted.words_dropped == 20 - len(fitted.input.split())


@pytest.mark.parametrize(("n_words", "fits"), [(15, False), (16, True), (400, True)])
def test_below_16_words_an_input_is_given_up(n_words: int, fits: bool) -> None:
    text = " ".join(["word"] * n_words)

    fitted = fit_budget(Kind.SINGLE, text, [], lambda _, t: side_lengths(Kind.SINGLE, t)[0], 14)
    enough = fit_budget(Kind.SINGLE, text, [], lambda _, t: side_lengths(Kind.SINGLE, t)[0], 16)

    assert not fitted.fits
    assert enough.fits is (fits or n_words <= 16)


def test_what_must_stay_is_not_cut_and_else_the_input_is_given_up() -> None:
    text = " ".join(f"w{i}" for i in range(100))

    def fitted(limit: int, fewest: int) -> Fitted:
        return fit_budget(
            Kind.SINGLE,
            text,
            [],
            lambda _, t: side_lengths(Kind.SINGLE, t)[0],
            limit,
            fewest=fewest,
        )

    assert fitted(50, 40).words_dropped == 50
    assert fitted(50, 50).words_dropped == 50
    assert not fitted(50, 51).fits
    assert fitted(50, 3).fits
    assert not fitted(15, 3).fits, "16 words are always left"


@given(
    costs=st.lists(st.integers(0, 40), min_size=17, max_size=300),
    limit=st.integers(1, 4000),
)
def test_as_much_is_kept_as_fits_however_dear_single_words_are(
    costs: list[int], limit: int
) -> None:
    n_asked = 0

    def size(_: object, text: Input) -> int:
        nonlocal n_asked
        n_asked += 1
        return sum(costs[: side_lengths(Kind.SINGLE, text)[0]])

    fitted = fit_budget(Kind.SINGLE, " ".join(["w"] * len(costs)), [], size, limit)

    (kept,) = side_lengths(Kind.SINGLE, fitted.input)
    if fitted.fits:
        assert sum(costs[:kept]) <= limit
        assert kept == len(costs) or sum(costs[: kept + 1]) > limit
    else:
        assert sum(costs[:FEWEST_WORDS]) > limit
    assert n_asked <= 20
