"""One temperature a fit, picked on dev-A, so that overtraining does not pass for difficulty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from groupbench.information import surprisal_bits, unit_means

if TYPE_CHECKING:
    from groupbench.predictions import Predictions

LOWEST, HIGHEST = 0.1, 20.0
"""Ends of the grid."""

GRID = np.unique(np.append(np.geomspace(LOWEST, HIGHEST, 80), 1.0))
"""Temperatures tried. 1 is among them, so that scaling never raises the loss it looks at."""


def fit_temperature(dev_a: Predictions) -> float:
    """Return the temperature with the lowest mean surprisal on dev-A.

    Guo et al., "On calibration of modern neural networks" (ICML 2017, arXiv:1706.04599), section
    4.2; multilabel: the log-odds are divided. Ties go to the one nearest to 1. Without an example
    there is nothing to pick by: 1.
    """
    losses = [temperature_loss(dev_a, float(t)) for t in GRID] if len(dev_a) else []
    if not losses:
        return 1.0
    lowest = min(losses)
    ties = [float(t) for t, loss in zip(GRID, losses, strict=True) if loss == lowest]
    return min(ties, key=lambda t: abs(np.log(t))) if ties else 1.0


def temperature_loss(predictions: Predictions, temperature: float) -> float:
    """Return the mean surprisal over examples, in bits (token: of sentence means)."""
    _, means = unit_means(predictions, surprisal_bits(predictions, temperature))
    return float(means.mean()) if len(means) else float("nan")


def at_edge(temperature: float) -> bool:
    """Return whether the grid's end was picked: the best temperature may lie beyond it."""
    return not LOWEST < temperature < HIGHEST
