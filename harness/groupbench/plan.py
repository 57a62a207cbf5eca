"""What a run would compute, before anything is: for ``--dry-run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.cell import Status
from groupbench.errors import GroupbenchError
from groupbench.estimates import estimates_of
from groupbench.fits import Fit
from groupbench.grouping import Group
from groupbench.task import Split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.combination import Combination
    from groupbench.keys import FitOrder
    from groupbench.run import Run

SCHEMA = "groupbench/plan/1"


def plan_document(run: Run) -> dict[str, Any]:
    """Return what ``run`` would compute, as the ``plan`` document. Nothing is computed.

    ``naive`` counts the fits that strategies would train if they shared nothing. A strategy whose
    evidence is not stored yet is listed as undecided and counted as if it left every task alone:
    a partition sees as many examples whatever its groups. Seconds come from the stored fits of
    the same runners, and are ``null`` where there are none. ``estimates`` has a row for each runner
    that asks a model (`groupbench.estimates`), with what its missing fits would send; those of
    runners that cannot run here are in no sum. ``refused``, ``skipped`` and ``failed`` are the
    combinations that cannot be done, as far as that is known now.
    """
    distinct: dict[str, FitOrder] = {}
    naive = 0
    undecided: list[str] = []
    refused: list[dict[str, Any]] = []
    skipped: list[FitOrder] = []
    for combination in run.combinations():
        orders, decided = ([], True) if combination.status else _orders(run, combination)
        if combination.status is not None:
            if combination.status is Status.SKIPPED and combination.strategy is None:
                skipped += _alone(run, combination)
            refused.append(
                {
                    "grouping": combination.label,
                    "runner": combination.identity.label,
                    "status": str(combination.status),
                    "reason": combination.reason,
                }
            )
            continue
        if not decided:
            undecided.append(f"{combination.label}/{combination.identity.label}")
        keys = {order.key: order for order in orders}
        naive += len(keys)
        distinct.update(keys)
    missing = [order for order in distinct.values() if run.scheduler.stored(order) is None]
    steps = sum(_example_steps(order) for order in missing)
    estimates = estimates_of(missing, skipped)
    return {
        "schema": SCHEMA,
        "fits": {
            "distinct": len(distinct),
            "naive": naive,
            "cached": len(distinct) - len(missing),
        },
        "undecided": undecided,
        "example_steps": steps,
        "seconds": _seconds(run, missing),
        "tokens": estimates.tokens,
        "usd": estimates.usd,
        "usd_worst": estimates.usd_worst,
        "max_usd": run.resolved.experiment.limits.max_usd,
        "estimates": [each.to_json() for each in estimates.runners],
        "refused": [row for row in refused if row["status"] == Status.REFUSED],
        "skipped": [row for row in refused if row["status"] == Status.SKIPPED],
        "failed": [row for row in refused if row["status"] == Status.FAILED],
    }


def _orders(run: Run, combination: Combination) -> tuple[list[FitOrder], bool]:
    """Return the fits of a combination, evidence included, and whether it is decided.

    One whose strategy cannot decide is marked, with the reason.
    """
    evidence = run.evidence(combination)
    decided = all(run.scheduler.stored(order) is not None for order in evidence)
    if decided and combination.status is None:
        run.decide(combination)
    if decided:
        final = [o for _, _, serving in combination.cells() for o in serving.values()]
    else:
        final = _alone(run, combination)
    return [*evidence, *final], decided


def _alone(run: Run, combination: Combination) -> list[FitOrder]:
    """Return a fit of each task by itself, for each seed."""
    bench = run.benches[combination.identity.label]
    seeds = bench.seeds if bench.runner.seeded else bench.seeds[:1]
    return [
        bench.order(Group.of([name]), seed) for name in run.resolved.suite.names for seed in seeds
    ]


def _example_steps(order: FitOrder) -> int:
    """Return about how many training examples a fit sees, repeats included."""
    if not order.runner.trains:
        return 0
    rows = [len(task.examples(Split.TRAIN)) for task in order.tasks]
    estimate = getattr(order.runner, "example_steps", None)
    return int(estimate(rows)) if estimate is not None else sum(rows)


def _work(order: FitOrder) -> int:
    """Return what the time of a fit goes with: training examples, else those it predicts."""
    if order.runner.trains:
        return _example_steps(order)
    return sum(len(task.examples(split)) for task in order.tasks for split in order.splits)


def _seconds(run: Run, missing: Iterable[FitOrder]) -> float | None:
    """Return about how long the missing fits take one after the other, from stored fits."""
    speeds: dict[str, list[float]] = {}
    for record in run.store.records("fits"):
        ingredients = record.meta.get("ingredients")
        if not isinstance(ingredients, dict):
            continue
        name = str(ingredients.get("runner")) + str(ingredients.get("settings"))
        try:
            costs = Fit(None, record, run.store).costs  # type: ignore[arg-type] # only its costs are read
        except (GroupbenchError, OSError, ValueError):
            continue
        seconds = costs.train_seconds + costs.predict_seconds
        work = costs.example_steps or costs.n_predicted
        speeds.setdefault(name, []).append(seconds / max(work, 1))
    total = 0.0
    for order in missing:
        name = str(order.ingredients["runner"]) + str(order.ingredients["settings"])
        known = speeds.get(name)
        if not known:
            return None
        total += _work(order) * sum(known) / len(known)
    return round(total, 1)
