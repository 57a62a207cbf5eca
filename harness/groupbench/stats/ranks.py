"""Ranks that admit ties, and tiers of entries that the data cannot tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.stats.corrections import holm
from groupbench.stats.uncertainty import ALPHA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TIE = 1e-12


def ranks(scores: Sequence[float]) -> list[int]:
    """Return each score's rank, 1 for the highest; equal scores share the better rank.

    >>> ranks([0.5, 0.9, 0.5, 0.1])
    [2, 1, 2, 4]
    """
    return [1 + sum(other > score + _TIE for other in scores) for score in scores]


def tiers(
    scores: Sequence[float],
    p_value: Callable[[int, int], float],
    *,
    alpha: float = ALPHA,
) -> list[int]:
    """Return each entry's tier. Tier 1: not significantly below the best.

    The best of those without a tier is the anchor. Each of the others is tested against it, the
    p-values are corrected by Holm's method for their number, and those that are not significantly
    below join its tier; the next tier begins with the best of the rest. Anchors are fixed, so two
    entries of one tier may differ from each other, and an entry whose score is less certain may be
    in a better tier than one with a higher score.

    Args:
        scores: higher is better.
        p_value: of the difference between two entries, by their positions; two-sided, symmetric.
        alpha: chance of setting any entry apart that is as good, within one tier.
    """
    tier_of = [0] * len(scores)
    left = list(range(len(scores)))
    tier = 0
    while left:
        tier += 1
        best = max(scores[i] for i in left)
        # Equal scores are all anchors, so that the order of entries decides nothing.
        anchors = [i for i in left if scores[i] >= best - _TIE]
        members = set(anchors)
        for anchor in anchors:
            others = [i for i in left if i != anchor]
            adjusted = holm([p_value(anchor, i) for i in others])
            members |= {i for i, p in zip(others, adjusted, strict=True) if p >= alpha}
        for i in members:
            tier_of[i] = tier
        left = [i for i in left if i not in members]
    return tier_of
