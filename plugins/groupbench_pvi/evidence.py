"""What a PVI grouping rests on, as JSON, and what to beware of, as sentences."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

from groupbench.information import cluster_index
from groupbench.task import Kind
from groupbench.temperature import at_edge
from groupbench_pvi.pairs import Verdict
from groupbench_pvi.two_sample import POWER, MeanDifference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.grouping import Group
    from groupbench.suite import Suite
    from groupbench_pvi.measurement import TaskInformation
    from groupbench_pvi.pairs import Comparing, Comparison, Pair

FEW_EXAMPLES = 100
"""Below this many dev-B examples, cross-fitting is recommended."""

FEW_CLUSTERS = 20
"""Below this many clusters, a standard error between clusters is itself uncertain."""


def task_row(information: TaskInformation) -> dict[str, Any]:
    """Return one task's V-information, in bits (multilabel: bits per label)."""
    mean = information.mean
    error = mean.std_error_bits
    n_clusters = cluster_index(mean.clusters)[1]
    spread = MeanDifference(mean.v_information_bits, error, max(1.0, n_clusters - 1.0))
    row = {
        "task": information.name,
        "kind": str(information.task.kind),
        "n": len(mean.ids),
        "v_entropy_bits": mean.v_entropy_bits,
        "conditional_v_entropy_bits": mean.conditional_v_entropy_bits,
        "v_information_bits": mean.v_information_bits,
        "normalised": information.normalised,
        "std_error_bits": error,
        "ci": list(spread.interval(0.95)),
        "sd_bits": float(mean.pvi.std(ddof=1)),
        "sd_between_seeds_bits": _seed_spread(information),
        "label_entropy_bits": information.label_entropy_bits,
        "temperatures": [part.temperature for part in information.parts],
        "flags": flags(information),
    }
    if any(cluster is not None for cluster in mean.clusters):
        row["n_clusters"] = n_clusters
    if information.task.kind is Kind.MULTILABEL:
        row["sum_bits"] = mean.v_information_bits * len(information.task.labels)
    if information.smoothing:
        row["smoothing"] = information.smoothing
    return finite(row)


def summary_row(information: TaskInformation) -> dict[str, Any]:
    """Return one task's PVI in few columns, in bits, for the evidence of a grouping."""
    row = task_row(information)
    temperatures = row["temperatures"]
    return {
        "task": row["task"],
        "n": row["n"],
        "mean": row["v_information_bits"],
        "ci": row["ci"],
        "flags": row["flags"],
        "std_error": row["std_error_bits"],
        "sd": row["sd_bits"],
        "sd_between_seeds": row["sd_between_seeds_bits"],
        "label_entropy": row["label_entropy_bits"],
        "normalised": row["normalised"],
        "temperature": sum(temperatures) / len(temperatures),
        "n_clusters": row.get("n_clusters"),
    }


def flags(information: TaskInformation) -> list[str]:
    """Return what is odd about a task's PVI, in a word each."""
    mean = information.mean
    bits, error = mean.v_information_bits, mean.std_error_bits
    found = {
        "negative": bits < 0,
        "nothing-learned": abs(bits) <= 2 * error,
        "one-label": information.label_entropy_bits == 0,
        "smoothed-null": information.smoothing > 0,
        "temperature-at-edge": any(at_edge(part.temperature) for part in information.parts),
        "few-examples": len(mean.ids) < FEW_EXAMPLES,
        "input-cut": any(any(part.predictions.input_cut) for part in information.parts),
    }
    return [name for name, holds in found.items() if holds]


def pair_row(pair: Pair, effect: str) -> dict[str, Any]:
    """Return one pair, with the chosen effect size. Differences are first minus second."""
    effects = {
        "cliff": pair.cliffs_delta,
        "cohen": pair.cohens_d,
        "wasserstein": pair.wasserstein,
    }
    return finite(
        {
            "a": pair.a,
            "b": pair.b,
            "verdict": str(pair.verdict),
            "difference": pair.means.difference,
            "ci": list(pair.interval),
            "power": pair.power,
            "p": pair.p,
            "p_adjusted": pair.p_adjusted,
            "p_welch": pair.p_equal,
            "p_tost": pair.p_equivalent,
            "effect": effects[effect],
            "accepted": pair.accepted,
            "detectable": pair.detectable,
        }
    )


def affinity(suite: Suite, comparison: Comparison, unit: str) -> dict[str, Any]:
    """Return minus the absolute difference of means, in the order of the suite."""
    distance = {
        frozenset((pair.a, pair.b)): -abs(pair.means.difference) for pair in comparison.pairs
    }
    matrix = [
        [None if a == b else distance[frozenset((a, b))] for b in suite.names] for a in suite.names
    ]
    return {"tasks": list(suite.names), "matrix": matrix, "unit": f"minus difference in {unit}"}


def composition(suite: Suite, groups: Sequence[Group]) -> dict[str, Any]:
    """Return how groups lie across domains: likeness of difficulty is not shared structure."""
    joined = {pair for group in groups for pair in combinations(sorted(group.trains), 2)}
    every = list(combinations(sorted(suite.names), 2))
    within = {pair for pair in every if suite[pair[0]].domain == suite[pair[1]].domain}
    return {
        "domains": len({task.domain for task in suite}),
        "groups_within_one_domain": sum(
            len({suite[name].domain for name in group.trains}) == 1 for group in groups
        ),
        "groups_across_domains": sum(
            len({suite[name].domain for name in group.trains}) > 1 for group in groups
        ),
        "joined_pairs": len(joined),
        "joined_pairs_within_domain": len(joined & within),
        "share_within_domain": len(joined & within) / len(joined) if joined else None,
        "share_within_domain_of_all_pairs": len(within) / len(every) if every else None,
    }


def warnings_of(
    suite: Suite,
    information: Sequence[TaskInformation],
    comparison: Comparison,
    groups: Sequence[Group],
    how: Comparing,
) -> list[str]:
    """Return what to beware of, in sentences: power, priors, clusters, domains, failures."""
    found = [*_about_tasks(information), *_about_pairs(comparison, how)]
    entropies = [item.label_entropy_bits for item in information]
    if not how.normalised and entropies and max(entropies) - min(entropies) > how.margin:
        found.append(
            f"Label entropies run from {min(entropies):.2f} to {max(entropies):.2f} bits, so tasks "
            "that are solved alike still differ in raw PVI; normalise=true compares shares instead."
        )
    facts = composition(suite, groups)
    crossing = facts["joined_pairs"] - facts["joined_pairs_within_domain"]
    if crossing:
        found.append(
            f"{crossing} of {facts['joined_pairs']} joined pairs cross domains: equal difficulty "
            "is not shared structure. Compare with random groups of the same sizes."
        )
    return found


def _about_tasks(information: Sequence[TaskInformation]) -> list[str]:
    found = []
    by_flag: dict[str, list[str]] = {}
    for item in sorted(information, key=lambda i: i.name):
        for flag in flags(item):
            by_flag.setdefault(flag, []).append(item.name)
    unlearned = sorted({*by_flag.get("negative", ()), *by_flag.get("nothing-learned", ())})
    if unlearned:
        found.append(
            "Mean PVI is not shown to be above 0 (no better than the label prior), so that "
            f"likeness to other tasks means nothing: {', '.join(unlearned)}."
        )
    sentences = {
        "one-label": "Training labels are all the same, so there is nothing to know: {}.",
        "smoothed-null": "A declared label does not occur in training; the null's counts were "
        "smoothed by 0.5: {}.",
        "temperature-at-edge": "The best temperature may lie beyond the grid: {}.",
        "few-examples": f"Fewer than {FEW_EXAMPLES} dev-B examples; cross_fit=5 would measure on "
        "train as well: {}.",
    }
    for flag, sentence in sentences.items():
        if flag in by_flag:
            found.append(sentence.format(", ".join(by_flag[flag])))
    few = [
        item.name
        for item in sorted(information, key=lambda i: i.name)
        if any(c is not None for c in item.mean.clusters)
        and cluster_index(item.mean.clusters)[1] < FEW_CLUSTERS
    ]
    if few:
        found.append(f"Fewer than {FEW_CLUSTERS} clusters in dev-B: {', '.join(few)}.")
    return found


def _about_pairs(comparison: Comparison, how: Comparing) -> list[str]:
    found = []
    pairs = comparison.pairs
    undecided = [pair for pair in pairs if pair.verdict is Verdict.UNDECIDED]
    if undecided:
        weak = sum(pair.power < POWER for pair in undecided)
        found.append(
            f"{len(undecided)} of {len(pairs)} pairs are undecided: neither alike within "
            f"{how.margin:g} nor different; {weak} of them had less than {POWER:.0%} power to show "
            "such a difference."
        )
    if how.test not in ("tost", "effect"):
        unproven = sum(pair.accepted and pair.verdict is not Verdict.SIMILAR for pair in pairs)
        if unproven:
            found.append(
                f"{unproven} pairs were let through because no difference was seen, which is not "
                "evidence that there is none; test=tost asks for that."
            )
    return found


def unproven_joins(comparison: Comparison, groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Return pairs inside groups that the configured test did not accept: chains."""
    joined = {pair for group in groups for pair in combinations(group.trains, 2)}
    return [(p.a, p.b) for p in comparison.pairs if not p.accepted and (p.a, p.b) in joined]


def finite(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``document`` with ``None`` where a number is not finite: JSON has no infinity."""
    return {name: _finite(value) for name, value in document.items()}


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def _seed_spread(information: TaskInformation) -> float | None:
    means = [sample.v_information_bits for sample in information.by_seed]
    if len(means) < 2:  # noqa: PLR2004 - one seed shows no spread
        return None
    middle = sum(means) / len(means)
    return math.sqrt(sum((m - middle) ** 2 for m in means) / (len(means) - 1))
