"""What this plugin offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.hookspecs import hookimpl
from groupbench_openai.runner import OpenAIRunner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.runner import Runner


@hookimpl
def groupbench_register_runners() -> Iterable[type[Runner]]:
    """Return the runner ``openai``."""
    return (OpenAIRunner,)
