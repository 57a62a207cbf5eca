"""What tokens cost, and how the cap is held."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.errors import SettingError
from groupbench.llm.prices import Price, Prices
from groupbench.llm.spending import Reservation, Spending, output_bound
from groupbench.llm.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path

PRICE = Price(
    "m",
    input=2.0,
    output=10.0,
    cached_input=0.5,
    cache_write=2.5,
    long_above=1000,
    long_input_times=2.0,
    long_output_times=1.5,
)


def test_each_kind_of_token_has_its_price() -> None:
    assert PRICE.usd(Usage(1000)) == pytest.approx(1000 * 2.0e-6)
    assert PRICE.usd(Usage(1000, cached=400)) == pytest.approx((600 * 2.0 + 400 * 0.5) * 1e-6)
    assert PRICE.usd(Usage(1000, cache_write=400)) == pytest.approx((600 * 2 + 400 * 2.5) * 1e-6)
    assert PRICE.usd(Usage(tokens_out=7, reasoning=5)) == pytest.approx(7 * 10e-6)
    assert PRICE.usd(Usage(1000), batch=True) == pytest.approx(1000 * 1.0e-6)
    assert Price("m", 2.0, 10.0).usd(Usage(10, cached=10)) == pytest.approx(10 * 2.0e-6)


def test_a_prompt_above_the_threshold_makes_the_whole_request_dearer() -> None:
    assert PRICE.usd(Usage(1001, tokens_out=10)) == pytest.approx(
        (1001 * 2.0 * 2.0 + 10 * 10.0 * 1.5) * 1e-6
    )


@given(
    st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 50), st.integers(0, 500)
)  # fmt: skip
def test_nothing_costs_more_than_its_worst_case(
    tokens_in: int, cached: int, tokens_out: int, slack: int
) -> None:
    read = min(cached, tokens_in)
    usage = Usage(tokens_in, read, (tokens_in - read) // 2, tokens_out)
    worst = PRICE.worst_usd(tokens_in + slack, tokens_out + slack)
    assert PRICE.usd(usage) <= worst * (1 + 1e-12)


def test_the_prices_that_come_along_are_whole() -> None:
    prices = Prices.load()
    assert prices.as_of is not None
    assert prices.source.startswith("https://")
    assert prices["gpt-4o-mini"].model == "gpt-4o-mini-2024-07-18"
    luna = prices["gpt-6-luna"]
    assert luna.usd(Usage(1_000_000 // 4, cached=0, tokens_out=2_000_000)) == pytest.approx(1.025)
    assert luna.usd(Usage(1_000_000, tokens_out=1_000_000)) == pytest.approx(0.20 + 0.75)
    names = [name for price in prices.models.values() for name in (price.model, *price.aliases)]
    assert len(names) == len(set(names))
    for price in prices.models.values():
        assert price.input < price.output
        assert (price.cached_input or 0) < price.input
        assert price.shutdown is None or price.successor in prices.models


def test_a_model_that_was_shut_down_is_refused_with_its_successor() -> None:
    price = Prices.load()["gpt-4"]
    assert price.refusal(date(2026, 10, 22)) is None
    assert price.refusal(date(2026, 10, 23)) == (
        "gpt-4-0613 was shut down on 2026-10-23: use gpt-6-luna."
    )
    assert price.warning(date(2026, 10, 23)) is None


def test_a_model_is_warned_about_sixty_days_before_it_goes() -> None:
    price = Prices.load()["gpt-4.1-2025-04-14"]
    assert price.warning(date(2026, 11, 14)) is None
    assert price.warning(date(2026, 11, 15)) == (
        "gpt-4.1-2025-04-14 is shut down on 2027-01-14, in 60 days: use gpt-6-luna."
    )
    assert price.refusal(date(2026, 11, 15)) is None


def test_the_day_that_the_provider_names_holds_against_the_files() -> None:
    price = Prices.load()["gpt-6-luna"]
    today = date(2026, 11, 20)
    assert price.warning(today) is None
    assert price.warning(today, announced=date(2026, 12, 1)) is not None
    assert price.refusal(today, announced=today) == (
        "gpt-6-luna was shut down on 2026-11-20: choose another model."
    )


def test_an_alias_is_warned_about_and_a_snapshot_is_not() -> None:
    prices = Prices.load()
    assert prices.alias_warning("gpt-4o") == (
        "gpt-4o may be pointed to another model any day: name gpt-4o-2024-08-06."
    )
    assert prices.alias_warning("gpt-4o-2024-08-06") is None
    assert prices.alias_warning("unheard-of") is None


def test_a_users_file_lies_over_the_prices_that_come_along(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'as_of = 2026-12-01\n[models."gpt-6-luna"]\ninput = 0.2\n'
        '[models.ours]\ninput = 1\noutput = 2\naliases = ["o"]\n'
    )
    prices = Prices.load(path)
    assert prices.as_of == date(2026, 12, 1)
    assert (prices["gpt-6-luna"].input, prices["gpt-6-luna"].output) == (0.2, 0.50)
    assert prices["o"] == Price("ours", 1, 2, aliases=("o",))
    assert prices.get("unheard-of") is None
    assert Prices.load()["gpt-6-luna"].input == 0.10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[models.ours]\ninput = 1\n", 'models."ours": output is missing'),
        ("[models.ours]\ninput = -1\noutput = 2\n", 'models."ours" input = -1: expected a number'),
        ("[models.ours]\ninput = nan\noutput = 2\n", "input = nan: expected a number"),
        ("[models.ours]\ninput = true\noutput = 2\n", "input = True: expected a number"),
        ("[models.ours]\ninputs = 1\noutput = 2\n", "no field 'inputs'. Did you mean 'input'?"),
        ("[models.ours]\ninput=1\noutput=1\naliases='x'\n", "aliases = 'x': expected a list"),
        ("[models.ours]\ninput=1\noutput=1\nshutdown='soon'\n", "shutdown = 'soon': expected a da"),
        (
            "[models.ours]\ninput=1\noutput=1\nshutdown=2027-01-14T00:00:00Z\n",
            "expected a date such as 2027-01-14",
        ),
        ("[models.ours]\ninput=1\noutput=1\nlong_above=-1\n", "long_above = -1: expected a number"),
        ("[models]\nours = 3\n", 'models."ours" = 3: expected a table'),
        ("models = 3\n", "models = 3: expected a table"),
        ("model = 3\n", "no field 'model'. Did you mean 'models'?"),
        ("as_of = 'today'\n", "as_of = 'today': expected a date"),
        ("= 3\n", "not TOML"),
    ],
)
def test_a_wrong_price_file_is_named_with_field_value_and_mend(
    text: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=re.escape(words)) as refused:
        Prices.load(path)
    assert str(path) in str(refused.value)


def test_a_price_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"none\.toml cannot be read: No such file"):
        Prices.load(tmp_path / "none.toml")


def test_a_cap_without_a_price_refuses_to_start() -> None:
    with pytest.raises(SettingError, match=r"max_usd = 5\.0: the price of ours is not known"):
        Spending(None, 5.0, "ours")


def test_without_a_price_nothing_is_counted_and_nothing_refused() -> None:
    spending = Spending(None)
    reservation = spending.reserve(10**9, None)
    assert reservation is not None
    spending.settle(reservation, Usage(5))
    assert (spending.usd, spending.unknown_usd, spending.in_flight) == (0.0, 0.0, 0)


def test_a_reservation_is_settled_once_with_what_is_known() -> None:
    spending = Spending(PRICE, 1.0)
    worst = PRICE.worst_usd(100, 10)
    one, two, three = (spending.reserve(100, 10) for _ in range(3))
    assert one is not None
    assert two is not None
    assert three is not None
    assert spending.reserved_usd == pytest.approx(3 * worst)
    for _ in range(2):
        spending.settle(one, Usage(50, tokens_out=1))
        spending.settle(two, None)
        spending.settle(three, Usage())
    assert spending.usd == pytest.approx(PRICE.usd(Usage(50, tokens_out=1)))
    assert spending.unknown_usd == pytest.approx(worst)
    assert spending.reserved_usd == spending.in_flight == 0


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 90), st.integers(0, 3)), max_size=60))
def test_whatever_calls_do_the_cap_is_never_passed(
    calls: list[tuple[int, int, int]],
) -> None:
    cap, open_calls = 0.005, list[tuple[Reservation, Usage]]()
    spending = Spending(PRICE, cap)
    for tokens_in, tokens_out, ending in calls:
        reservation = spending.reserve(tokens_in, tokens_out)
        if reservation is not None:
            open_calls.append((reservation, Usage(tokens_in, tokens_in // 3, 0, tokens_out)))
        if open_calls and ending:
            ended, usage = open_calls.pop(0)
            spending.settle(ended, {1: usage, 2: None, 3: Usage()}[ending])
        assert spending.usd + spending.unknown_usd + spending.reserved_usd <= cap * (1 + 1e-9)


def test_the_output_of_a_request_is_bounded_over_all_its_choices() -> None:
    assert output_bound({"max_completion_tokens": 5}) == 5
    assert output_bound({"max_tokens": 1, "prompt": [[1], [2], [3]]}) == 3
    assert output_bound({"max_tokens": 2, "prompt": ["a", "b"], "n": 2}) == 8
    assert output_bound({"messages": []}) is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, Usage(7, tokens_out=3)),
        ({"prompt_tokens": 7}, Usage(7)),
        ({"prompt_tokens": 7, "completion_tokens": None}, Usage(7)),
        (
            {
                "prompt_tokens": 7,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(7, 4, 2, 3, 2),
        ),
        (
            {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(7, 7),
        ),
        ({"prompt_tokens": 7, "prompt_tokens_details": None}, Usage(7)),
        ({"prompt_tokens": "7"}, None),
        ({"prompt_tokens": -7}, None),
        ({"prompt_tokens": True}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_is_read_where_it_can_be_believed(usage: object, expected: Usage | None) -> None:
    assert Usage.of({"usage": usage}) == expected
