"""Which plugins are installed, and which of them are wanted. Nothing is imported to find out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from groupbench.errors import UnknownNameError
from groupbench.plugins.distributions import entry_points

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLUGINS = "groupbench"
"""The entry-point group of plugins."""
COMMANDS = "groupbench.commands"
"""The entry-point group of commands; an entry point's name is the command's."""


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One entry point as its distribution declares it; without ``value``, a folder of cards."""

    plugin: str
    """The entry point's name, or the folder."""
    value: str
    """The hook module, as the entry point writes it."""
    distribution: str
    version: str

    @property
    def module(self) -> str:
        """The hook module's dotted name."""
        return self.value.partition(":")[0].strip()

    @property
    def package(self) -> str:
        """The top-level package it lives in."""
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        if not self.value:
            return f"folder {self.plugin}"
        return f"plugin {self.plugin} ({self.distribution} {self.version})"

    def called(self, name: str) -> bool:
        """Return whether ``name`` means this plugin: ``plugin``, ``dist`` or ``dist/plugin``."""
        return name in {self.plugin, self.distribution, f"{self.distribution}/{self.plugin}"}


def installed(group: str) -> list[Source]:
    """Return the entry points of a group, in a stable order."""
    return sorted(
        {
            Source(entry.name, entry.value, entry.distribution, entry.version)
            for entry in entry_points(group)
        }
    )


def select(
    sources: Sequence[Source], *, blocked: Iterable[str] = (), only: Iterable[str] | None = None
) -> list[Source]:
    """Return the sources that ``only`` names (``None``: all) and ``blocked`` does not.

    Raises:
        UnknownNameError: one of the names means no plugin; a typo would otherwise block nothing.
    """
    blocked, wanted = list(blocked), None if only is None else list(only)
    for name in [*blocked, *(wanted or ())]:
        if not any(source.called(name) for source in sources):
            raise UnknownNameError("plugin", name, [source.plugin for source in sources])
    return [
        source
        for source in sources
        if (wanted is None or any(source.called(name) for name in wanted))
        and not any(source.called(name) for name in blocked)
    ]


def named_by_environment() -> list[str] | None:
    """Return the plugins that ``GROUPBENCH_PLUGINS=a,b|none`` names; ``None`` if it is not set."""
    text = os.environ.get("GROUPBENCH_PLUGINS", "").strip()
    if not text:
        return None
    return [] if text == "none" else [name.strip() for name in text.split(",") if name.strip()]
