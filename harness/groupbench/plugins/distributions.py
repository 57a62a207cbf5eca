"""Installed distributions and their entry points, as the files on the import path tell them.

`importlib.metadata` says the same, but importing it (and with it e-mail, sockets and archives)
costs as much as all of click, each time that somebody asks for help. It is asked where files in
folders are not all there is: an archive on the path, or a finder with distributions of its own.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDINGS = (".dist-info", ".egg-info")
_SEPARATORS = re.compile(r"[-_.]+")


class EntryPoint(NamedTuple):
    """One entry point as its distribution declares it."""

    name: str
    value: str
    distribution: str
    version: str


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group. Of a distribution found twice the first one counts."""
    return _asked(group) if _more_than_folders() else _read(group)


def _more_than_folders() -> bool:
    others = (f for f in sys.meta_path if f is not PathFinder)
    if any(hasattr(finder, "find_distributions") for finder in others):
        return True
    return any(os.path.isfile(place) for place in sys.path)  # noqa: PTH113 - quick


def _asked(group: str) -> list[EntryPoint]:
    from importlib import metadata

    return [
        EntryPoint(entry.name, entry.value, entry.dist.name, entry.dist.version)
        if entry.dist is not None
        else EntryPoint(entry.name, entry.value, "unknown", "unknown")
        for entry in metadata.entry_points(group=group)
    ]


def _read(group: str) -> list[EntryPoint]:
    found = []
    for folder in _folders():
        text = _text(folder, "entry_points.txt")
        if f"[{group}]" not in text:
            continue
        name, version = _identity(folder)
        found += [EntryPoint(entry, v, name, version) for entry, v in _section(text, group)]
    return found


def _folders() -> Iterator[str]:
    """Yield the metadata folder of each distribution, in the order of the import path."""
    seen: set[str] = set()
    for place in sys.path:
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 - names alone, fast
        except OSError:
            continue
        for name in names:
            if name.endswith(_ENDINGS):
                distribution = _SEPARATORS.sub("-", name.rpartition(".")[0].partition("-")[0])
                if distribution.lower() not in seen:
                    seen.add(distribution.lower())
                    yield os.path.join(place or ".", name)  # noqa: PTH118 - fast


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _identity(folder: str) -> tuple[str, str]:
    """Return a distribution's name and version: the head of its metadata, up to an empty line."""
    head = (_text(folder, "METADATA") or _text(folder, "PKG-INFO")).partition("\n\n")[0]
    fields = dict(line.partition(": ")[::2] for line in reversed(head.splitlines()))
    return fields.get("Name", "unknown").strip(), fields.get("Version", "unknown").strip()


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of one section of ``entry_points.txt``."""
    inside = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()
