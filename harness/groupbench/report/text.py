"""Foreign text made safe to show: names, reasons and messages that others wrote."""

from __future__ import annotations

import math
import unicodedata

_JOINERS = frozenset("\u200c\u200d")
"""Format characters that words and emoji need; they move no cursor and turn no text around."""

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain(text: object) -> str:
    r"""Return ``text`` on one line, with nothing in it that a terminal would obey.

    Control characters (C0, C1, delete), bidirectional and other format controls, line separators
    and lone surrogates are shown as escapes. Words, accents and emoji stay.

    >>> plain("a\x1b[2Jb\u202ec")
    'a\\x1b[2Jb\\u202ec'
    """
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(_escaped(c) for c in shown)


def sentence(text: object) -> str:
    """Return ``text`` safe and with a full stop.

    >>> sentence("torch is not installed: pip install 'groupbench[encoder]'")
    "torch is not installed: pip install 'groupbench[encoder]'."
    """
    shown = plain(text).strip()
    if not shown:
        return ""
    return shown if shown[-1] in ".!?" else f"{shown}."


def duration(seconds: float) -> str:
    """Return a time that people read at a glance.

    >>> [duration(s) for s in (0, 0.04, 3.21, 75, 3700, 200_000)]
    ['0 s', '0.04 s', '3.2 s', '75 s', '62 min', '56 h']
    """
    if seconds <= 0:
        return "0 s"
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 10:  # noqa: PLR2004 - one digit before the point
        return f"{seconds:.1f} s"
    if seconds < 100:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def dollars(usd: float) -> str:
    """Return an amount with two digits that count, in US dollars.

    >>> [dollars(x) for x in (0, 0.0000123, 0.0456, 3.456, 1234.5)]
    ['0 USD', '0.000012 USD', '0.046 USD', '3.46 USD', '1,234.50 USD']
    """
    if usd == 0:
        return "0 USD"
    if abs(usd) >= 1:
        return f"{usd:,.2f} USD"
    digits = 1 - math.floor(math.log10(abs(usd)))
    return f"{usd:.{digits}f} USD"


def _escaped(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    category = unicodedata.category(character)
    hidden = category in {"Cc", "Cs", "Zl", "Zp"} or (
        category == "Cf" and character not in _JOINERS
    )
    if not hidden:
        return character
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004 - what two digits hold
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004
