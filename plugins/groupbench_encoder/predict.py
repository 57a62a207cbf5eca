"""Answers of a model: log-probabilities, labels and losses of whole splits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from groupbench.predictions import Output
from groupbench.task import Kind
from groupbench_encoder.batches import by_length
from groupbench_encoder.collate import collate
from groupbench_encoder.model import log_probs

if TYPE_CHECKING:
    from groupbench_encoder.encode import Encoded, Ints
    from groupbench_encoder.model import GroupModel
    from groupbench_encoder.prepare import PreparedTask

BATCH = 128
MAX_TOKENS = 16_384
CPU_TOKENS = 2_048
"""Of one forward pass, padding included. A single longer example goes alone.

Larger tensors make a processor's time go to memory that is mapped anew at every step: batches of
32 x 256 tokens took twice as long.
"""

OUTSIDE = "O"


def device_of(model: GroupModel) -> torch.device:
    """Return where the model's weights are."""
    return next(model.parameters()).device


def tokens_at_once(device: torch.device) -> int:
    """Return how many tokens, padding included, go through the model together."""
    return CPU_TOKENS if device.type == "cpu" else MAX_TOKENS


def logits(model: GroupModel, data: Encoded) -> tuple[np.typing.NDArray[np.float32], Ints]:
    """Return the logits of a split, and which rows of the output they are of.

    Rows are examples, or words in token tasks, where those that were cut have none. The model is
    left in the mode it was in.
    """
    device = device_of(model)
    was_training = model.training
    model.eval()
    found, places = [], []
    offsets = data.offsets
    pieces = np.asarray([len(p) for p in data.pieces], np.int64)
    with torch.inference_mode():
        for rows in by_length(data.lengths * pieces, BATCH, tokens_at_once(device)):
            batch = collate(data, rows, device)
            found.append(model.logits(batch).float().cpu().numpy())
            if data.kind is Kind.TOKEN:
                ranges = [np.arange(offsets[row], offsets[row + 1]) for row in rows]
                places.append(np.concatenate(ranges)[batch.word_row.cpu().numpy()])
            else:
                places.append(rows)
    model.train(was_training)
    if not found:
        return np.zeros((0, data.n_labels), np.float32), np.zeros(0, np.int64)
    return np.concatenate(found), np.concatenate(places).astype(np.int64)


def output(model: GroupModel, prepared: PreparedTask, data: Encoded) -> Output:
    """Return a model's answers about a split, in the order of its examples.

    Words that were cut off are answered from nothing: tag O (else the first), with the
    log-probabilities of the training tags.
    """
    kind, labels = prepared.task.kind, prepared.task.labels
    found, places = logits(model, data)
    answers = log_probs(kind, torch.from_numpy(found)).numpy()
    if kind is Kind.TOKEN:
        n_words = int(data.n_words.sum())
        whole = np.tile(prepared.log_prior.astype(np.float32), (n_words, 1))
        predicted = np.full(n_words, labels.index(OUTSIDE) if OUTSIDE in labels else 0)
        predicted[places] = found.argmax(axis=1)
    else:
        whole = np.empty_like(answers)
        predicted = np.empty(found.shape if kind is Kind.MULTILABEL else len(found), np.int64)
        predicted[places] = found > 0 if kind is Kind.MULTILABEL else found.argmax(axis=1)
    whole[places] = answers
    return Output(
        predicted=predicted.astype(np.int32),
        log_probs=whole,
        input_cut=data.cut if any(data.cut) else None,
    )


def mean_loss(model: GroupModel, prepared: PreparedTask, data: Encoded) -> float:
    """Return the mean loss of a split in nats, in float64, as `GroupModel.losses` defines it."""
    if data.gold is None or not len(data):
        raise ValueError(f"task {data.task}: nothing to compute a loss of")
    found, places = logits(model, data)
    scores = torch.from_numpy(found).double()
    gold = torch.from_numpy(data.gold.astype(np.int64))[torch.from_numpy(places)]
    if prepared.task.kind is Kind.MULTILABEL:
        return float(torch.nn.functional.binary_cross_entropy_with_logits(scores, gold.double()))
    known = (gold >= 0).numpy()
    rows = torch.from_numpy(np.flatnonzero(known))
    losses = torch.nn.functional.cross_entropy(scores[rows], gold[rows], reduction="none").numpy()
    owner = np.searchsorted(data.offsets, places[known], side="right") - 1
    sums = np.bincount(owner, losses, minlength=len(data))
    counts = np.bincount(owner, minlength=len(data))
    return float((sums / np.maximum(counts, 1)).mean())
