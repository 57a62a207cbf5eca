"""Dividing examples: seeded, stratified, whole clusters together."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from groupbench.task import Example, Kind, Split

if TYPE_CHECKING:
    from collections.abc import Sequence


def divide(
    examples: Sequence[Example], kind: Kind, shares: Sequence[float], *, seed: int
) -> list[tuple[Example, ...]]:
    """Divide ``examples`` into parts of about the given shares.

    Clusters stay whole. Within that, each stratum (the label; of multilabel and token examples,
    the set of labels they hold) is spread over the parts in proportion: clusters are dealt, in
    seeded order, to the part that lacks most of the cluster's commonest stratum. The answer does
    not depend on the order of ``examples``; each part keeps their order.

    Args:
        examples: what to divide.
        kind: the task's kind, which decides the strata.
        shares: wanted share of each part; they sum to 1.
        seed: of the dealing order.

    Returns:
        One tuple of examples for each share.
    """
    clusters: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        clusters[example.cluster if example.cluster is not None else f"\0{example.id}"].append(
            example
        )
    strata = {e.id: stratum(kind, e) for e in examples}
    totals: dict[tuple[int, ...], int] = defaultdict(int)
    for name in strata.values():
        totals[name] += 1
    rng = np.random.default_rng(seed)
    names = sorted(clusters)
    order = sorted(
        rng.permutation(len(names)), key=lambda i: -len(clusters[names[i]])
    )  # large clusters first, else no room is left for them
    filled: list[dict[tuple[int, ...], int]] = [defaultdict(int) for _ in shares]
    sizes = [0] * len(shares)
    part_of: dict[str, int] = {}
    for index in order:
        members = clusters[names[index]]
        held: dict[tuple[int, ...], int] = defaultdict(int)
        for example in members:
            held[strata[example.id]] += 1
        main = max(held, key=lambda s: (held[s], s))
        part = max(
            range(len(shares)),
            key=lambda p: (
                round(shares[p] * totals[main] - filled[p][main], 9),
                round(shares[p] * len(examples) - sizes[p], 9),
                -p,
            ),
        )
        for name, count in held.items():
            filled[part][name] += count
        sizes[part] += len(members)
        for example in members:
            part_of[example.id] = part
    return [tuple(e for e in examples if part_of[e.id] == part) for part in range(len(shares))]


def stratum(kind: Kind, example: Example) -> tuple[int, ...]:
    """Return what an example is stratified by: its label, or the set of labels it holds."""
    gold = example.gold
    if gold is None:
        return ()
    if isinstance(gold, int):
        return (gold,)
    return tuple(sorted(set(gold))) if kind is Kind.TOKEN else tuple(gold)


def cap(examples: Sequence[Example], kind: Kind, n: int, *, seed: int) -> tuple[Example, ...]:
    """Return at most about ``n`` examples, stratified, whole clusters together."""
    if len(examples) <= n:
        return tuple(examples)
    share = n / len(examples)
    return divide(examples, kind, [share, 1 - share], seed=seed)[0]


def with_dev_divided(
    train: tuple[Example, ...],
    validation: tuple[Example, ...],
    test: tuple[Example, ...],
    kind: Kind,
    *,
    seed: int = 0,
) -> dict[Split, tuple[Example, ...]]:
    """Return the four splits, validation halved into dev-A and dev-B.

    The seed is fixed, not a training seed: every fit of a task has the same dev-A and dev-B.
    """
    dev_a, dev_b = divide(validation, kind, [0.5, 0.5], seed=seed)
    return {Split.TRAIN: train, Split.DEV_A: dev_a, Split.DEV_B: dev_b, Split.TEST: test}
