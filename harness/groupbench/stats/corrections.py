"""Corrections of p-values for many tests at once."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from groupbench.predictions import FloatArray


def none(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Return the p-values as they are."""
    return np.array(p_values, dtype=np.float64)


def bonferroni(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Return p-values times their number: bounds the chance of any false rejection."""
    p = none(p_values)
    return np.minimum(p * len(p), 1.0)


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Return p-values adjusted by Holm's step-down method, never weaker than Bonferroni.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p = none(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def bh(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Return p-values adjusted by Benjamini and Hochberg: bounds the false discovery rate.

    >>> bh([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.04, 0.04]
    """
    p = none(p_values)
    order = np.argsort(-p, kind="stable")
    factors = len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(p[order] * factors), 1.0)
    return adjusted


CORRECTIONS: Mapping[str, Callable[[Sequence[float] | FloatArray], FloatArray]] = MappingProxyType(
    {"none": none, "bonferroni": bonferroni, "holm": holm, "bh": bh}
)
"""By the name that settings use."""
