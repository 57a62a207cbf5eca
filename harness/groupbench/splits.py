"""Dividing examples: seeded, stratified, whole clusters together."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

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
    import numpy as np

    clusters: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        cluster = example.cluster
        clusters[f"\0{example.id}" if cluster is None else cluster].append(example)
    strata = {e.id: stratum(kind, e) for e in examples}
    wanted = {
        name: [share * total for share in shares]
        for name, total in Counter(strata.values()).items()
    }
    room = [share * len(examples) for share in shares]
    filled = {name: [0] * len(shares) for name in wanted}
    sizes = [0] * len(shares)
    part_of: dict[str, int] = {}
    names = sorted(clusters)
    order = np.random.default_rng(seed).permutation(len(names)).tolist()
    # Large clusters first, else no room is left for them.
    for index in sorted(order, key=lambda i: -len(clusters[names[i]])):
        members = clusters[names[index]]
        held = Counter(strata[e.id] for e in members) if len(members) > 1 else None
        main = max(held, key=lambda s: (held[s], s)) if held else strata[members[0].id]
        part, lack, space = -1, 0.0, 0.0
        for p, (want, have) in enumerate(zip(wanted[main], filled[main], strict=True)):
            # Rounded, so that ties are ties whatever the shares' binary digits are.
            p_lack, p_space = round(want - have, 9), round(room[p] - sizes[p], 9)
            if part < 0 or (p_lack, p_space) > (lack, space):
                part, lack, space = p, p_lack, p_space
        for name, count in held.items() if held else ((main, 1),):
            filled[name][part] += count
        sizes[part] += len(members)
        for example in members:
            part_of[example.id] = part
    parts: list[list[Example]] = [[] for _ in shares]
    for example in examples:
        parts[part_of[example.id]].append(example)
    return [tuple(part) for part in parts]


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
    kept = divide(examples, kind, [share, 1 - share], seed=seed)[0]
    # Where each stratum has one example or few, the larger part takes them all.
    return kept or tuple(examples[:n])


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
