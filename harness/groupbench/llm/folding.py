"""Folding: what counts as the same text, for answers and for duplicates."""

from __future__ import annotations

import re
import unicodedata

_OUTER = "\"'`*“”‘’«»„"  # noqa: RUF001 - the quotation marks that people and models use
_ENDS = ".,;:!?…"
_WORD = re.compile(r"\w+")


def fold(text: str) -> str:
    """Return ``text`` as answers are compared: without outer quotes, asterisks, end punctuation.

    NFKC, case folded, white space as single blanks. Folding twice changes nothing.

    >>> fold(" **Very  Positive.** ")
    'very positive'
    """
    before = None
    while text != before:
        before = text
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = " ".join(text.split()).strip(_OUTER).rstrip(_ENDS)
    return text


def text_key(text: str) -> str:
    """Return what equal texts share: their words, without case, punctuation and spacing.

    >>> text_key("It works, well!") == text_key("it works well")
    True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(folded)) or " ".join(folded.split())
