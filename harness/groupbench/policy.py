"""What a run may do, decided before the first byte: where text may go, what may be spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.runner import Place
from groupbench.task import DataClass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.experiment import Allow
    from groupbench.runner import Runner
    from groupbench.suite import Suite


def refusal(suite: Suite, runner: Runner, allowed: Iterable[Allow]) -> str | None:
    """Return why ``runner`` must not see ``suite``, with the mend; ``None`` if it may.

    Open tasks may go anywhere, all tasks to a local runner; anything else only if the experiment
    names the pair of task and runner.
    """
    place = runner.place()
    if place is Place.LOCAL:
        return None
    named = {allow.task for allow in allowed if allow.runner == runner.name}
    kept = [t for t in suite if t.data_class is not DataClass.OPEN and t.name not in named]
    if not kept:
        return None
    tasks = ", ".join(f"{task.name} ({task.data_class})" for task in kept)
    return (
        f"{tasks} may not be sent to {runner.name}, which is {place}: "
        f"name each pair in an [[allow]] of the experiment file if it may."
    )


def unpriced(runner: Runner, max_usd: float | None) -> str | None:
    """Return why a limit of dollars cannot be held for ``runner``, with the mend; else ``None``.

    A runner that is billed has ``unpriced()``, which says why it does not know what it costs.
    """
    ask = getattr(runner, "unpriced", None)
    if max_usd is None or ask is None or (reason := ask()) is None:
        return None
    return f"max_usd = {max_usd} cannot be held: {reason}"
