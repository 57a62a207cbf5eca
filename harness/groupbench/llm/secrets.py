"""API keys: read from the environment only, and struck out of everything that is written.

A key that was read is known to its process: log records are made without it, whatever handler
writes them, and `struck` takes it out of messages and tracebacks. What never reads a key need not
import this module.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from groupbench.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STRUCK_OUT = "[key]"

MIN_LENGTH = 8
"""Characters of a key. Shorter ones could not be struck out without spoiling ordinary text."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def demand_variable(setting: str, name: str) -> None:
    """Refuse a setting that cannot name an environment variable: a key was put in its place.

    Settings are shown and stored, so that the key would be too.

    Raises:
        ValueError: it cannot; the message never shows it.
    """
    if name and _VARIABLE.fullmatch(name) is None:
        raise ValueError(
            f"{setting} must be the name of an environment variable, as MY_KEY. A key itself is no"
            " setting: put it in the environment and name its variable"
        )


def read_key(variable: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the API key that an environment variable holds, stripped.

    Raises:
        SettingError: it is not set, or what it holds cannot be a key. The message never shows it.
    """
    raw = (os.environ if environment is None else environment).get(variable, "")
    key = raw.strip()
    if not key:
        raise SettingError(f"No API key: set the environment variable {variable}.")
    # A line break inside would make an HTTP library print the whole header.
    if not (key.isascii() and key.isprintable()) or any(c.isspace() for c in key):
        raise SettingError(
            f"The environment variable {variable} is no API key: it holds a space, a line break or "
            "a character outside ASCII. Set it to the bare key."
        )
    if len(key) < MIN_LENGTH:
        raise SettingError(
            f"The environment variable {variable} is no API key: it has {len(key)} characters, "
            f"fewer than {MIN_LENGTH}. Set it to the whole key."
        )
    _remember(key)
    return key


def struck(text: str) -> str:
    """Return ``text`` without the keys that this process has read."""
    return _known.redact(text)


class Redactor:
    """Strikes out live keys, in whatever form they are written.

    >>> Redactor(["sk-canary-1234"])("Bearer sk-canary-1234 was refused")
    'Bearer [key] was refused'
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        forms = {form for key in keys if len(key) >= MIN_LENGTH for form in _forms(key)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        """Return ``text`` without keys: plain, quoted, URL-encoded or in base64."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, STRUCK_OUT)
        return text

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    def filter(self) -> logging.Filter:
        """Return a filter for log handlers that strikes keys out of messages and tracebacks."""
        return _RedactingFilter(self)


class _RedactingFilter(logging.Filter):
    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact
        self._format = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redact(record.getMessage()), None
        if record.exc_info and record.exc_text is None:
            record.exc_text = self._format.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self._redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redact(record.stack_info)
        return True


@dataclass(eq=False)
class _Known:
    """The keys that this process has read."""

    keys: frozenset[str] = frozenset()
    redact: Redactor = field(default_factory=Redactor)
    guards_logs: bool = False


_known = _Known()


def _remember(key: str) -> None:
    if key in _known.keys:
        return
    _known.keys |= {key}
    _known.redact = Redactor(_known.keys)
    if not _known.guards_logs:
        _known.guards_logs = True
        _guard_logs()


def _guard_logs() -> None:
    """Strike keys out of log records as they are made.

    A filter would have to sit on every handler, and libraries add theirs when they like.
    """
    make = logging.getLogRecordFactory()

    def make_without_keys(*args: object, **more: object) -> logging.LogRecord:
        record = make(*args, **more)
        _known.redact.filter().filter(record)
        return record

    logging.setLogRecordFactory(make_without_keys)


def _forms(key: str) -> set[str]:
    """Return how a key may be written: as it is, escaped, or in base64, alone or inside more."""
    quoted = {quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1], repr(key)[1:-1]}
    standard = {_base64_inside(key.encode(), before) for before in range(3)}
    encoded = standard | {form.translate(_URL_SAFE) for form in standard}
    return {key, *quoted, *(form for form in encoded if len(form) >= MIN_LENGTH)}


_URL_SAFE = str.maketrans("+/", "-_")


def _base64_inside(raw: bytes, before: int) -> str:
    """Return the base64 digits of ``raw`` that are the same whatever surrounds it.

    ``before`` bytes precede it in its group of three; a digit holds six bits. Basic authentication
    encodes ``user:key``.
    """
    digits = base64.b64encode(bytes(before) + raw).decode()
    return digits[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
