"""What this plugin offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.hookspecs import hookimpl
from groupbench_lora.runner import LoraRunner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.runner import Runner


@hookimpl
def groupbench_register_runners() -> Iterable[type[Runner]]:
    """Return the runner ``lora``."""
    return (LoraRunner,)
