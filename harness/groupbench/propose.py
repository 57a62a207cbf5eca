"""Groupings with their evidence, as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.decisions import grouping_json
from groupbench.errors import NothingToRunError, PolicyError
from groupbench.policy import refusal
from groupbench.settings import settings_of

if TYPE_CHECKING:
    from groupbench.run import Run
    from groupbench.runner import Runner

SCHEMA = "groupbench/grouping/1"


def grouping_documents(run: Run) -> list[dict[str, Any]]:
    """Return a ``grouping`` document for each strategy (and draw) of ``run``.

    Computes the fits that strategies need to decide, no others. The first runner that shares a
    model and can run here is asked.

    Raises:
        NothingToRunError: no such runner.
        PolicyError: that runner may not see the tasks.
        GroupbenchError: a strategy refused, or its evidence could not be had.
    """
    unfit = {}
    for use in run.resolved.runners:
        reason = _unfit(use.identity.runner)
        if reason is None:
            break
        unfit[use.identity.label] = reason
    else:
        shown = "; ".join(f"{label} {reason}" for label, reason in unfit.items())
        raise NothingToRunError(
            f"There is no runner to decide groups of: {shown}. Choose one that fine-tunes groups"
            " and can run here, for example --runner encoder."
        )
    bench = run.benches[use.identity.label]
    allowed = run.resolved.experiment.allow
    if (refused := refusal(bench.full_suite, bench.runner, allowed)) is not None:
        raise PolicyError(refused)
    documents = []
    with run.scheduler:
        plans = [bench.plan(draw) for choice in use.strategies for draw in choice.draws]
        bench.complete([order for plan in plans for order in bench.orders(plan.fits)])
        for choice in use.strategies:
            for draw in choice.draws:
                content = grouping_json(bench.propose(draw))
                documents.append(
                    {
                        "schema": SCHEMA,
                        "grouping": choice.label,
                        "settings": settings_of(draw),
                        "runner": use.identity.label,
                        "suite": run.resolved.suite.name,
                        "seeds": list(bench.seeds),
                        "groups": content["groups"],
                        "evidence": content["evidence"],
                        "stability": content["evidence"].get("stability"),
                        "warnings": content["warnings"],
                    }
                )
    return documents


def _unfit(runner: Runner) -> str | None:
    """Return why no groups are decided of ``runner``; ``None`` if they are."""
    if not runner.trains:
        return "fine-tunes nothing"
    if not runner.shares:
        return "fits each task alone"
    reason = runner.availability()
    return None if reason is None else f"cannot run here ({reason})"
