"""Keys are read from the environment and struck out of everything else."""

from __future__ import annotations

import base64
import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupbench.errors import SettingError
from groupbench.llm.secrets import Redactor, read_key, struck

KEY = "sk-canary-0123456789+/abc"


@pytest.mark.parametrize("raw", [KEY, f" {KEY}", f"{KEY}\n", f"{KEY}\r\n", f"\t{KEY} "])
def test_a_key_is_stripped(raw: str) -> None:
    assert read_key("MY_KEY", {"MY_KEY": raw}) == KEY


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "set the environment variable MY_KEY"),
        (" \n", "set the environment variable MY_KEY"),
        ("sk-first-half\nsk-second-half", "line break"),
        ("Bearer sk-first-half", "space"),
        ("sk-schlüssel-0123", "outside ASCII"),
        ("sk-\x00-0123456789", "outside ASCII"),
        ("sk-ab", "5 characters"),
    ],
)
def test_what_cannot_be_a_key_is_refused_and_never_shown(raw: str | None, words: str) -> None:
    with pytest.raises(SettingError, match=words) as refused:
        read_key("MY_KEY", {} if raw is None else {"MY_KEY": raw})
    assert "MY_KEY" in str(refused.value)
    assert "sk-" not in str(refused.value)


def test_a_key_that_was_read_is_in_no_log_record_whoever_writes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = read_key("MY_KEY", {"MY_KEY": "sk-read-0123456789"})
    assert struck(f"Bearer {key}") == "Bearer [key]"
    logger = logging.getLogger("some.library")
    with caplog.at_level(logging.DEBUG):
        logger.debug("headers %s", {"authorization": f"Bearer {key}"})
        try:
            int(key)
        except ValueError:
            logger.exception("failed with %s", key)
    assert len(caplog.records) == 2
    assert key not in caplog.text
    assert "[key]" in caplog.text
    assert "Traceback" in caplog.text


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    assert read_key("MY_KEY") == KEY


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        f"Authorization: Bearer {KEY}",
        repr({"Authorization": KEY}),
        json.dumps({"key": KEY}),
        f"https://host/v1?key={quote(KEY, safe='')}",
        base64.b64encode(KEY.encode()).decode(),
    ],
)
def test_a_key_is_struck_out_in_every_form(written: str) -> None:
    clean = Redactor([KEY])(f"before {written} after")
    assert "canary" not in clean
    assert base64.b64encode(KEY.encode()).decode()[:20] not in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert "[key]" in clean


@given(
    st.text("abcXYZ019+/-_.=~%", min_size=8, max_size=60),
    st.binary(max_size=5),
    st.binary(max_size=5),
)
def test_a_key_is_found_in_base64_whatever_surrounds_it(
    key: str, before: bytes, after: bytes
) -> None:
    whole = before + key.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(whole).decode()
        assert Redactor([key])(text) != text


def test_ordinary_text_stays_as_it_is() -> None:
    text = "none of the answers is empty"
    assert Redactor(["none", "", "EMPTY", KEY])(text) == text
    assert KEY not in repr(Redactor([KEY]))


def test_logs_and_their_tracebacks_are_clean() -> None:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Lines()
    handler.addFilter(Redactor([KEY]).filter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("headers: %s", {"Authorization": f"Bearer {KEY}"})
    try:
        raise ValueError(f"Illegal header value {KEY!r}")  # noqa: TRY301 - what is logged
    except ValueError:
        logger.exception("it failed", stack_info=True)
    text = "\n".join(lines)
    assert "Bearer [key]" in text
    assert "ValueError: Illegal header value '[key]'" in text
    assert KEY not in text
