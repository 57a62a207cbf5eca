"""Groupings with their evidence, as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.decisions import grouping_json
from groupbench.errors import NothingToRunError
from groupbench.settings import settings_of

if TYPE_CHECKING:
    from groupbench.run import Run

SCHEMA = "groupbench/grouping/1"


def grouping_documents(run: Run) -> list[dict[str, Any]]:
    """Return a ``grouping`` document for each strategy (and draw) of ``run``.

    Computes the fits that strategies need to decide, no others. The first runner that shares a
    model and can run here is asked.

    Raises:
        NothingToRunError: no such runner.
        GroupbenchError: a strategy refused, or its evidence could not be had.
    """
    for use in run.resolved.runners:
        runner = use.identity.runner
        if runner.trains and runner.shares and runner.availability() is None:
            break
    else:
        raise NothingToRunError("No runner was chosen that shares a model and can run here.")
    bench = run.benches[use.identity.label]
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
