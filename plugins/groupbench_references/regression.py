"""Logistic regression whose probabilities cover labels that training did not show."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench_references.priors import log_prior

if TYPE_CHECKING:
    from groupbench.predictions import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Regression:
    """A fitted model of one label out of ``n_labels``.

    Without at least two labels in training, or without features, it is the labels' frequencies.
    """

    prior: FloatArray
    """Log-frequencies in training, ``[n_labels]``."""
    seen: IntArray
    """The labels that training showed, in order."""
    model: Any
    """A scikit-learn ``LogisticRegression``, or ``None``."""
    n_iterations: int
    n_parameters: int
    warnings: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        features: Any,  # noqa: ANN401 - a scipy.sparse matrix
        labels: IntArray,
        n_labels: int,
        *,
        c: float,
        max_iterations: int,
    ) -> Regression:
        """Fit on a sparse matrix ``[n, d]`` and label indices ``[n]``."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        counts = np.bincount(labels, minlength=n_labels).astype(float)
        prior, seen = log_prior(counts), np.flatnonzero(counts)
        if len(seen) <= 1 or not features.shape[1]:
            return cls(prior, seen, None, n_iterations=1, n_parameters=n_labels)
        model = LogisticRegression(C=c, max_iter=max_iterations, tol=1e-3)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(features, labels)
        said = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
        return cls(
            prior,
            seen,
            model,
            n_iterations=int(np.max(model.n_iter_)),
            n_parameters=int(model.coef_.size + model.intercept_.size),
            warnings=(f"stopped after {max_iterations} iterations",) if said else (),
        )

    def log_probs(self, features: Any) -> FloatArray:  # noqa: ANN401 - a scipy.sparse matrix
        """Return natural log-probabilities, ``[n, n_labels]``.

        Labels that training did not show share what smoothing gives them, whatever the features.
        """
        n = features.shape[0]
        if self.model is None or not n:
            return np.tile(self.prior, (n, 1))
        scores = self.model.decision_function(features)
        if scores.ndim == 1:
            scores = np.stack([np.zeros(n), scores], axis=1)
        # shift by the row's highest, so that exp cannot overflow
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        logs = np.tile(self.prior, (n, 1))
        unseen_mass = 1.0 - np.exp(self.prior[self.seen]).sum()
        logs[:, self.seen] = scores + np.log1p(-max(unseen_mass, 0.0))
        return logs
