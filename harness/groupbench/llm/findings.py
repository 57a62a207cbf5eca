"""What servers were found to be, kept for those who ask nobody: a dry run, and people who look.

Keys of stored answers hold what a server says of itself, which is known once it was asked. Nothing
here decides an answer: each run looks at its servers again.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

from groupbench.canonical import digest
from groupbench.llm.responses import default_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_PRIVATE = 0o600


def keep_finding(key: str, found: Mapping[str, str]) -> None:
    """Keep what a server was found to be, in place of what it was before.

    Where the cache cannot be written nothing is kept: only estimates get worse.

    Args:
        key: of the service.
        found: what an address says of it; never an API key.
    """
    path = _path(key)
    aside = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(file, "w", encoding="utf-8") as written:
            json.dump(dict(found), written)
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()


def finding_of(key: str, names: Iterable[str]) -> dict[str, str] | None:
    """Return what a server was found to be when it was last used; ``None``: it never was.

    Args:
        key: of the service.
        names: that must be told, or it is of another version.
    """
    try:
        found = json.loads(_path(key).read_text(encoding="utf-8"))
        return {name: str(found[name]) for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(key: str) -> Path:
    return default_path().parent / "servers" / f"{digest(key)}.json"
