"""What must hold of the calibration suites: the bounds, each with what they missed by."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

from groupbench_tasks.calibration.recovery import ALL, CLASS, DOMAIN, FAMILY, SINGLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench_tasks.calibration.recovery import Recovery

ORDER_TASKS = ("f1_pair", "f2_order")
"""Tasks of which a bag of words and bigrams knows nothing."""

HIDDEN_BITS = 0.10
FAMILY_GAIN = 0.12
HIDDEN_WITH_FAMILY = 0.93
HIDDEN_WITHOUT = (0.40, 0.60)
ALL_SLACK = 0.01
ORDER_GAIN = 0.40
HIDDEN_ALONE = 0.65
AGREE_GAIN = 0.08


def information(found: Recovery, tolerance: float, n_errors: float = 0.0) -> list[str]:
    """Return tasks whose V-information is not what was planted.

    Args:
        found: the measurement.
        tolerance: in bits, for tasks that are not hidden.
        n_errors: the tolerance is at least so many standard errors.
    """
    missed = []
    for task, planted in found.planted_bits.items():
        if planted is None:
            continue
        allowed = (
            HIDDEN_BITS
            if task in found.hidden
            else max(tolerance, n_errors * found.std_error_bits[task])
        )
        off = found.v_information_bits[task] - planted
        if abs(off) > allowed:
            missed.append(
                f"{task}: {off:+.3f} bits from the planted {planted:.3f} (+-{allowed:.3f})"
            )
    return missed


def classes(found: Recovery, by: str = CLASS) -> list[str]:
    """Return whether the strategy's groups are other than the planted ones."""
    index = found.agreement[by]
    return [] if index == 1 else [f"adjusted Rand index with {by} is {index:.2f}"]


def transfer(found: Recovery) -> list[str]:
    """Return where training with the family does not win as planted, or other groups help."""
    missed = []
    gain = found.average(FAMILY) - found.average(SINGLE)
    if gain < FAMILY_GAIN:
        missed.append(f"{FAMILY} gains {gain:+.3f} over {SINGLE}, below {FAMILY_GAIN}")
    missed += [
        f"{task} with its family: {score:.3f}, below {HIDDEN_WITH_FAMILY}"
        for task in found.hidden
        if (score := found.accuracy[FAMILY][task]) < HIDDEN_WITH_FAMILY
    ]
    for by in (CLASS, DOMAIN):
        score = found.average(by, found.hidden)
        if not HIDDEN_WITHOUT[0] <= score <= HIDDEN_WITHOUT[1]:
            missed.append(f"hidden tasks {by}: {score:.3f}, outside {HIDDEN_WITHOUT}")
    if (lead := found.average(FAMILY) - found.average(ALL)) < -ALL_SLACK:
        missed.append(f"{FAMILY} is {-lead:.3f} below {ALL}")
    return missed


def transfer_in_the_mean(found: Sequence[Recovery]) -> list[str]:
    """Return whether training all tasks in one model is as good as by family, over seeds."""
    lead = mean(f.average(FAMILY) - f.average(ALL) for f in found)
    return [] if lead > 0 else [f"{FAMILY} leads {ALL} by {lead:+.4f} in the mean"]


def references(found: Recovery, linear: Mapping[str, float]) -> list[str]:
    """Return where bigrams do nearly as well, or a hidden task is solved without a partner.

    Args:
        found: the measurement of a neural runner.
        linear: accuracy by task of logistic regression on tf-idf of bigrams.
    """
    missed = []
    for task in ORDER_TASKS:
        gain = found.accuracy[SINGLE][task] - linear[task]
        if gain < ORDER_GAIN:
            missed.append(f"{task}: {gain:+.3f} over bigrams, below {ORDER_GAIN}")
    alone = {
        SINGLE: found.accuracy[SINGLE],
        CLASS: found.accuracy[CLASS],
        DOMAIN: found.accuracy[DOMAIN],
        "bigrams": linear,
    }
    return missed + [
        f"{task}, {who}: {scores[task]:.3f}, above {HIDDEN_ALONE}"
        for who, scores in alone.items()
        for task in found.hidden
        if scores[task] > HIDDEN_ALONE
    ]


def agreeing(found: Recovery, randoms: Sequence[str]) -> list[str]:
    """Return what does not hold where difficulty and family agree.

    Args:
        found: the measurement of `calibration-agree`.
        randoms: names of its random groupings, of the sizes of the families.
    """
    missed = classes(found, FAMILY)
    gain = found.average(FAMILY) - found.average(SINGLE)
    if gain < AGREE_GAIN:
        missed.append(f"{FAMILY} gains {gain:+.3f} over {SINGLE}, below {AGREE_GAIN}")
    lead = found.average(FAMILY) - mean(found.average(name) for name in randoms)
    if lead <= 0:
        missed.append(f"{FAMILY} leads random groups by {lead:+.3f}")
    return missed
