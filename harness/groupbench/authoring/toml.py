"""Writing TOML: just what a card needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from groupbench.report.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 100


def text(value: str) -> str:
    r"""Return a basic string.

    >>> print(text('say "no"\n'))
    "say \"no\"\n"

    Raises:
        ValueError: it holds half a surrogate pair, which no TOML can hold.
    """
    value.encode()  # a UnicodeEncodeError is a ValueError
    # JSON escapes all that TOML wants escaped, in a way that TOML reads, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def texts(values: Sequence[str], *, indent: int = 0) -> str:
    """Return an array of strings: on one line where it fits beside ``indent`` characters."""
    parts = [text(value) for value in values]
    line = f"[{', '.join(parts)}]"
    if len(line) + indent <= WIDTH:
        return line
    return "[\n" + "".join(f"  {part},\n" for part in parts) + "]"


def key(name: str) -> str:
    """Return a key, quoted where it must be."""
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else text(name)


def comment(said: str) -> str:
    """Return a comment on one line, whatever ``said`` holds."""
    return f"# {plain(said)}"
