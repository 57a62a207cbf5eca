"""The executor ``local``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench_local.session import LocalSession


@dataclass(frozen=True)
class LocalExecutor:
    """Runs each fit in a process of its own on this machine, several side by side."""

    name: ClassVar[str] = "local"
    summary: ClassVar[str] = "a process for each fit, side by side on this machine"

    workers: int = 0
    """Fits at once; 0: as many as the usable cores allow."""
    threads: int = 1
    """Threads of each fit. Several fits with one thread each beat one fit with all threads."""
    max_memory_gb: float = 0.0
    """Kill a fit whose processes hold more resident memory than this; 0: no limit."""
    max_minutes: float = 0.0
    """Kill a fit that runs longer than this; 0: no limit."""

    def __post_init__(self) -> None:
        for name, least in (
            ("workers", 0),
            ("threads", 1),
            ("max_memory_gb", 0),
            ("max_minutes", 0),
        ):
            value = getattr(self, name)
            if not value >= least:
                raise ValueError(f"{name} is {value}, and must be at least {least}.")

    def availability(self) -> str | None:
        """Return why it cannot be used here, with the mend; ``None`` if it can."""
        if not hasattr(os, "fork"):
            return "it needs Linux or macOS: on Windows, run groupbench under WSL"
        return None

    def open(self, preload: Sequence[str]) -> LocalSession:
        """Start a session; modules of ``preload`` that cannot be imported are passed over."""
        from groupbench_local.session import LocalSession

        return LocalSession(self, preload)

    def n_workers(self) -> int:
        """Return how many fits run at once."""
        from groupbench_local.machine import usable_cores

        return self.workers or max(1, usable_cores() // self.threads)
