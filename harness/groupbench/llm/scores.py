"""From stored label scores to predictions: normalised and calibrated afterwards, at no request.

n is examples, K labels. Everything is in nats and float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from groupbench.errors import SettingError
from groupbench.predictions import NO_ANSWER, Outcome, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from groupbench.llm.reads import LabelReads
    from groupbench.predictions import FloatArray, IntArray

TIE = 1e-6
"""Scores closer than this, in nats, are a tie: servers do not agree with themselves beyond it."""


class Normalisation(StrEnum):
    """What a label's log-probabilities are divided by, if anything."""

    SUM = "sum"
    """Nothing: the log-likelihood of the label."""
    PER_TOKEN = "per_token"  # noqa: S105 - not a secret
    PER_BYTE = "per_byte"
    """UTF-8 bytes of the surface."""
    FIRST_TOKEN = "first_token"  # noqa: S105 - not a secret
    """The first token alone, only where labels differ in it."""


class Calibration(StrEnum):
    """What is known without the input and taken off."""

    NONE = "none"
    CONTENT_FREE = "content_free"
    """Zhao et al. 2021: the mean log-softmax over inputs that say nothing."""
    PMI = "pmi"
    """Holtzman et al. 2021: the score after the cue alone."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelScores:
    """Scores of labels as they are stored. A row of NaN is an example that was not scored."""

    labels: tuple[str, ...]
    sums: FloatArray
    """Shape ``[n, K]``."""
    first: FloatArray
    """Of each label's first token. Shape ``[n, K]``."""
    n_tokens: IntArray
    """Shape ``[n, K]``."""
    n_bytes: IntArray
    """UTF-8 bytes of the surfaces. Shape ``[K]``."""
    first_tokens_differ: bool = True
    """Whether no two labels begin with the same token, in any example."""

    def __post_init__(self) -> None:
        shape = (len(self.sums), len(self.labels))
        for name in ("sums", "first", "n_tokens"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, wanted {shape}")
        if self.n_bytes.shape != shape[1:]:
            raise ValueError(f"n_bytes has shape {self.n_bytes.shape}, wanted {shape[1:]}")

    @classmethod
    def stack(
        cls,
        labels: Sequence[str],
        surfaces: Sequence[str],
        reads: Sequence[LabelReads | None],
        *,
        first_tokens_differ: bool = True,
    ) -> LabelScores:
        """Return the scores of examples whose labels were read.

        Args:
            labels: in the order of the reads.
            surfaces: what each is called.
            reads: one for each example; ``None`` where it could not be scored.
            first_tokens_differ: as `first_tokens_differ` finds of each example's continuations.
        """
        shape = (len(reads), len(labels))
        sums, first = np.full(shape, np.nan), np.full(shape, np.nan)
        n_tokens = np.zeros(shape, dtype=np.int64)
        for row, read in enumerate(reads):
            if read is not None:
                sums[row], first[row], n_tokens[row] = read.sums, read.first, read.n_tokens
        n_bytes = np.array([len(surface.encode()) for surface in surfaces], dtype=np.int64)
        return cls(tuple(labels), sums, first, n_tokens, n_bytes, first_tokens_differ)

    def normalised(self, how: Normalisation = Normalisation.SUM) -> FloatArray:
        """Return the scores by which labels are compared, shape ``[n, K]``.

        Raises:
            SettingError: first tokens are to be compared, and some labels share theirs.
        """
        match how:
            case Normalisation.SUM:
                return self.sums
            case Normalisation.PER_TOKEN:
                return np.asarray(self.sums / np.maximum(self.n_tokens, 1))
            case Normalisation.PER_BYTE:
                return np.asarray(self.sums / np.maximum(self.n_bytes, 1))
            case Normalisation.FIRST_TOKEN:
                if not self.first_tokens_differ:
                    raise SettingError(
                        "normalisation = 'first_token': some labels begin with the same token; word"
                        " them apart in [prompt.verbalisers], or use sum."
                    )
                return self.first


@dataclass(frozen=True, slots=True, eq=False)
class Picked:
    """The label of each example."""

    predicted: IntArray
    """Label indices; `NO_ANSWER` where scores are NaN. Shape ``[n]``."""
    n_ties: int
    """Examples in which an equal label came later than the one picked."""


def first_tokens_differ(continuations: Sequence[Sequence[int]]) -> bool:
    """Return whether no two labels of an example begin with the same token."""
    heads = [tuple(ids[:1]) for ids in continuations]
    return len(set(heads)) == len(heads)


def pick(scores: FloatArray) -> Picked:
    """Return the highest label of each row of ``[n, K]``; within `TIE` of it, the earliest."""
    scored = _scored(scores)
    best = scores[scored].max(axis=1, keepdims=True) if scored.any() else np.zeros((0, 1))
    near = scores[scored] >= best - TIE
    predicted = np.full(len(scores), NO_ANSWER, dtype=np.int32)
    predicted[scored] = near.argmax(axis=1)
    return Picked(predicted, int((near.sum(axis=1) > 1).sum()))


def log_softmax(scores: FloatArray) -> FloatArray:
    """Return log-probabilities over the last axis: each sums to 1. Shape of ``scores``."""
    top = scores.max(axis=-1, keepdims=True)
    shifted = scores - top
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def calibrated(scores: FloatArray, how: Calibration, reference: FloatArray | None) -> FloatArray:
    """Return scores without what is known without the input, shape ``[n, K]``.

    Args:
        scores: normalised. Shape ``[n, K]``.
        how: which calibration.
        reference: scores normalised alike; content_free: of the inputs that say nothing, shape
            ``[m, K]``; pmi: of the cue alone, ``[1, K]``; none: ``None``.

    Raises:
        ValueError: the reference does not fit.
    """
    if how is Calibration.NONE:
        return scores
    if reference is None or reference.ndim != 2 or reference.shape[1:] != scores.shape[1:]:  # noqa: PLR2004 - a matrix
        raise ValueError(f"calibration {how} needs reference scores of shape [m, K]")
    if how is Calibration.PMI and len(reference) != 1:
        raise ValueError("calibration pmi needs the scores after one cue")
    prior = log_softmax(reference).mean(axis=0) if how is Calibration.CONTENT_FREE else reference[0]
    return np.asarray(scores - prior)


def label_output(
    scores: FloatArray,
    outcomes: Sequence[Outcome] | None = None,
    input_cut: Sequence[bool] | None = None,
) -> tuple[Output, int]:
    """Return the output of a single or pair task, and how many examples were ties.

    Args:
        scores: normalised and calibrated. Shape ``[n, K]``; NaN rows were not scored.
        outcomes: of each example. A NaN row must not be ``ok``.
        input_cut: whether each input was shortened.

    Raises:
        ValueError: a row is NaN and its outcome ``ok``, or no row is and its outcome is not.
    """
    scored = _scored(scores)
    _demand_outcomes(scored, outcomes)
    picked = pick(scores)
    log_probs = np.full(scores.shape, -np.log(scores.shape[1]))  # not scored: nothing is known
    log_probs[scored] = log_softmax(scores[scored])
    output = Output(
        predicted=picked.predicted,
        log_probs=log_probs,
        outcomes=None if outcomes is None else tuple(outcomes),
        input_cut=None if input_cut is None else tuple(input_cut),
    )
    return output, picked.n_ties


def multilabel_output(
    scores: FloatArray,
    outcomes: Sequence[Outcome] | None = None,
    input_cut: Sequence[bool] | None = None,
    *,
    threshold: float = 0.5,
) -> tuple[Output, int]:
    """Return the output of a multilabel task, and how many yes and no were ties.

    Args:
        scores: of yes and no for each label. Shape ``[n, K, 2]``; NaN rows were not scored.
        outcomes: of each example. A NaN row must not be ``ok``.
        input_cut: whether each input was shortened.
        threshold: the probability from which on a label is there; 0.5 or fitted on dev-A.

    Raises:
        ValueError: a row is NaN and its outcome ``ok``, or no row is and its outcome is not.
    """
    scored = _scored(scores)
    _demand_outcomes(scored, outcomes)
    log_probs = np.full(scores.shape[:2], np.log(0.5))
    log_probs[scored] = log_softmax(scores[scored])[..., 0]
    predicted = np.full(scores.shape[:2], NO_ANSWER, dtype=np.int32)
    near = scores[scored][..., 0] - scores[scored][..., 1]
    # In log-odds, where a tie of scores is `TIE` wide; a tie is yes, the earlier answer.
    odds = np.log(threshold) - np.log1p(-threshold)
    predicted[scored] = near >= odds - TIE
    output = Output(
        predicted=predicted,
        log_probs=log_probs,
        outcomes=None if outcomes is None else tuple(outcomes),
        input_cut=None if input_cut is None else tuple(input_cut),
    )
    return output, int((np.abs(near) <= TIE).sum())


def fit_threshold(log_probs: FloatArray, gold: IntArray) -> float:
    """Return the probability threshold with the highest micro F1; of equals that nearest to 0.5.

    Args:
        log_probs: that each label is there, of dev-A. Shape ``[n, K]``.
        gold: 0 or 1. Shape ``[n, K]``.
    """
    levels = np.unique(np.clip(np.exp(log_probs), 0.01, 0.99))
    ends = np.concatenate([[0.0], levels, [1.0]])
    grid = np.unique(np.append((ends[1:] + ends[:-1]) / 2, 0.5))
    flat, truth = np.exp(log_probs).ravel(), gold.ravel() > 0
    order = np.argsort(-flat)
    hits = np.concatenate([[0], np.cumsum(truth[order])])
    n_said = np.searchsorted(-flat[order], -grid, side="right")
    f1 = 2 * hits[n_said] / np.maximum(n_said + truth.sum(), 1)
    best = grid[f1 >= f1.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def _scored(scores: FloatArray) -> np.typing.NDArray[np.bool_]:
    """Return which examples have no NaN, shape ``[n]``."""
    return np.asarray(~np.isnan(scores).any(axis=tuple(range(1, scores.ndim))))


def _demand_outcomes(
    scored: np.typing.NDArray[np.bool_], outcomes: Sequence[Outcome] | None
) -> None:
    said = [True] * len(scored) if outcomes is None else [o is Outcome.OK for o in outcomes]
    if scored.tolist() != said:
        raise ValueError("outcomes do not fit: an example is ok if and only if it was scored")
