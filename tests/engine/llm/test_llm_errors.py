"""What a failed request means."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from groupbench.llm.client import Reply
from groupbench.llm.errors import Action, retry_after, sort_error
from groupbench.llm.pace import Patience


def said(status: int, headers: dict[str, str] | None = None, **error: Any) -> Reply:
    return Reply(status, headers or {}, json.dumps({"error": error}))


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    verdict = sort_error(said(status, message="busy"))
    assert verdict.action is Action.RETRY
    assert (verdict.reason, verdict.message) == (str(status), "busy")
    assert verdict.slow_down == (status in {429, 503})
    assert verdict.trouble == (status >= 500)
    assert not verdict.lost, "an error status is not billed"


@pytest.mark.parametrize("status", [300, 307, 400, 401, 402, 403, 404, 405, 413, 422])
def test_what_would_fail_for_ever_stops_the_run(status: int) -> None:
    assert sort_error(said(status, message="no")).action is Action.STOP


def test_a_quota_that_is_used_up_is_no_rate_limit() -> None:
    assert sort_error(said(429, code="insufficient_quota")).action is Action.STOP
    assert sort_error(said(429, type="insufficient_quota")).action is Action.STOP
    assert sort_error(said(429, code="rate_limit_exceeded")).action is Action.RETRY


TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000."


@pytest.mark.parametrize(
    "error",
    [
        {"code": "context_length_exceeded", "message": "Too many.", "param": "messages"},
        {"code": 400, "param": "input_tokens", "message": TOO_LONG},
        {"code": 400, "param": "max_tokens", "message": "'max_tokens' is too large: 9."},
        {"code": 400, "param": None, "message": TOO_LONG},
        {"code": 400, "message": "The prompt is longer than the maximum model length of 8."},
    ],
)
def test_an_overflow_of_the_context_skips_the_example_in_every_shape(error: dict[str, Any]) -> None:
    verdict = sort_error(said(400, **error))
    assert (verdict.action, verdict.reason) == (Action.SKIP, "prompt_too_long")


@pytest.mark.parametrize(
    "error",
    [
        # OpenAI's newer models, asked with the older field: it would fail for every example.
        {
            "code": "unsupported_parameter",
            "param": "max_tokens",
            "message": "Unsupported parameter: use 'max_completion_tokens' instead.",
        },
        {"code": 400, "param": "max_tokens", "message": "max_tokens must be at least 1, got 0."},
        {"code": 400, "param": "logprobs", "message": "too large"},
    ],
)
def test_a_wrong_field_is_not_taken_for_an_overflow(error: dict[str, Any]) -> None:
    assert sort_error(said(400, **error)).action is Action.STOP


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation"])
def test_a_filtered_prompt_skips_the_example(code: str) -> None:
    verdict = sort_error(said(400, code=code))
    assert (verdict.action, verdict.reason) == (Action.SKIP, "content_filter")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"error": "Unauthorized"}', "Unauthorized"),
        ('{"object": "error", "message": "no such model", "code": 404}', "no such model"),
        ('{"detail": "Not Found"}', "Not Found"),
        ('"no"', "no"),
        ("[1]", "[1]"),
        ("<html><h1>502</h1>\n Bad  Gateway</html>", "502 Bad Gateway"),
        ("", ""),
        ('{"error": {"message": "' + "x" * 9000 + '"}}', "x" * 300),
    ],
)
def test_the_message_is_found_in_whatever_a_server_sends(text: str, message: str) -> None:
    assert sort_error(Reply(403, {}, text)).message == message


@pytest.mark.parametrize(
    ("failure", "lost"),
    [
        (TimeoutError(), True),
        (ConnectionResetError("reset"), True),
        (OSError("network is down"), True),
        (ConnectionRefusedError("nobody there"), False),
    ],
)
def test_a_connection_that_breaks_is_tried_again_and_may_have_cost(
    failure: Exception, *, lost: bool
) -> None:
    verdict = sort_error(failure)
    assert verdict.action is Action.RETRY
    assert verdict.lost == lost


def test_an_exception_that_nobody_foresaw_stops_the_run_and_says_its_name() -> None:
    verdict = sort_error(ZeroDivisionError("division by zero"))
    assert (verdict.action, verdict.reason) == (Action.STOP, "ZeroDivisionError")


NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0.0),
        # the server's clock, not ours, says how long that is
        (
            {
                "retry-after": "Fri, 20 Nov 2026 13:00:09 GMT",
                "date": "Fri, 20 Nov 2026 13:00:04 GMT",
            },
            5.0,
        ),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, NOW) == seconds
    assert sort_error(said(503, headers), NOW).wait_seconds == seconds


def test_the_backoff_doubles_up_to_its_most_with_full_jitter() -> None:
    patience, rng = Patience(), random.Random(3)  # noqa: S311 - seeded jitter
    for attempt, most in [(1, 0.5), (2, 1.0), (4, 4.0), (7, 30.0), (5000, 30.0)]:
        waits = [patience.backoff(attempt, rng) for _ in range(400)]
        assert 0 <= min(waits) < 0.05 * most
        assert 0.95 * most < max(waits) <= most
