"""One decision: measure, compare, form groups, say what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.errors import DataError
from groupbench.grouping import Grouping
from groupbench.information import Aggregate
from groupbench_pvi.deciding import Forming, form, stability
from groupbench_pvi.evidence import (
    affinity,
    composition,
    finite,
    pair_row,
    summary_row,
    unproven_joins,
    warnings_of,
)
from groupbench_pvi.measurement import measure, rescaled
from groupbench_pvi.pairs import TaskSample, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.information import Pointwise
    from groupbench.suite import Suite
    from groupbench.workbench import Workbench
    from groupbench_pvi.measurement import TaskInformation
    from groupbench_pvi.pairs import Comparison
    from groupbench_pvi.strategy import Pvi


def propose(settings: Pvi, suite: Suite, workbench: Workbench) -> Grouping:
    """Return the grouping of ``settings``, decided once from the evidence of all seeds."""
    information = measure(suite, workbench, settings.measuring())
    how = settings.comparing()
    forming = Forming(
        rule=settings.rule,
        max_size=settings.max_group_size,
        min_size=settings.min_group_size,
        same_kind=settings.same_kind,
        same_domain=settings.same_domain,
    )
    samples = [_samples(item, settings) for item in information]
    words = settings.measuring().aggregate is Aggregate.TOKEN

    def decide(seeds: slice) -> tuple[Comparison, Sequence[Any], bool]:
        tasks = [
            TaskSample.of(item.name, by_seed[seeds], words=words)
            for item, by_seed in zip(information, samples, strict=True)
        ]
        comparison = compare(tasks, how)
        formed = form(suite, comparison, forming)
        return comparison, formed.groups, formed.exact

    comparison, groups, exact = decide(slice(None))
    alone = [decide(slice(i, i + 1))[1] for i in range(len(workbench.seeds))]
    warnings = warnings_of(suite, information, comparison, groups, how)
    if not exact:
        warnings.append(
            "The clique partition of so many alike tasks was searched heuristically: fewer groups "
            "may exist."
        )
    if chained := unproven_joins(comparison, groups):
        listed = ", ".join(f"{a} and {b}" for a, b in chained[:3])
        warnings.append(
            f"{len(chained)} pairs share a group without having been accepted ({listed}"
            f"{', ...' if len(chained) > 3 else ''}): rule=components chains."  # noqa: PLR2004 - those listed
        )
    if words:
        warnings.append(
            "aggregate=token pools words for the means; tests use sentence means, since words of a "
            "sentence are dependent."
        )
    evidence: dict[str, Any] = {
        "test": how.test if how.test != "effect" else f"effect ({how.effect})",
        "alpha": how.alpha,
        "margin": how.margin,
        "unit": settings.unit,
        "correction": how.correction,
        "rule": settings.rule,
        "exact": exact,
        "null": settings.null,
        "calibrated": settings.calibrate,
        "tasks": [summary_row(item) for item in information],
        "pairs": [pair_row(pair, how.effect) for pair in comparison.pairs],
        "verdicts": {
            str(verdict): sum(pair.verdict is verdict for pair in comparison.pairs)
            for verdict in Verdict
        },
        "affinity": affinity(suite, comparison, settings.unit),
        "composition": composition(suite, groups),
        "stability": stability(workbench.seeds, alone, groups),
    }
    if comparison.gate is not None:
        gate = {"test": settings.gate, "statistic": comparison.gate.statistic}
        evidence["gate"] = finite(gate | {"p": comparison.gate.p})
    if comparison.n_each is not None:
        evidence["subsamples"] = {"n": comparison.n_each, "draws": how.equal_sizes}
    return Grouping(tuple(groups), evidence=evidence, warnings=tuple(warnings))


def compared(information: Sequence[TaskInformation], settings: Pvi) -> Comparison:
    """Return all pairs of tasks, over all seeds, as a grouping of ``settings`` would see them."""
    words = settings.measuring().aggregate is Aggregate.TOKEN
    tasks = [
        TaskSample.of(item.name, _samples(item, settings), words=words) for item in information
    ]
    return compare(tasks, settings.comparing())


def _samples(information: TaskInformation, settings: Pvi) -> list[Pointwise]:
    """Return a task's PVI of each seed in the unit that pairs are compared in."""
    if not settings.normalise:
        return list(information.by_seed)
    if information.label_entropy_bits == 0:
        raise DataError(
            f"{information.task.where}: all training labels are the same, so normalised PVI is "
            "undefined. Leave the task out, or set normalise=false."
        )
    entropy = information.label_entropy_bits
    return [rescaled(sample, entropy) for sample in information.by_seed]
