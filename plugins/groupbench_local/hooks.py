"""What this plugin offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from groupbench.execute import Executor


@hookimpl
def groupbench_register_executors() -> list[type[Executor]]:
    """Offer the executor."""
    from groupbench_local.executor import LocalExecutor

    return [LocalExecutor]
