"""One encoder with a head per task, its losses, and its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - what everybody calls it
from torch import nn

from groupbench.canonical import digest
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.task import Task
    from groupbench_encoder.collate import EncodedBatch
    from groupbench_encoder.devices import Device

HEAD = "head_"
"""Before a task's name, which might be one that a module already has."""


class CutEmbedding(nn.Module):
    """Only the rows of an embedding that some texts use, so that the optimiser moves no others.

    Most of a small encoder's weights are embeddings of words that a group never sees: leaving
    them out makes a step on a CPU about 15 % faster and changes no result. (Rows that are never
    used have no gradient; weight decay alone would shrink them.)
    """

    index: torch.Tensor
    rows: torch.Tensor

    def __init__(self, whole: nn.Embedding, used: Sequence[int]) -> None:
        super().__init__()
        self.whole = [whole]  # in a list, so that its weights are not this module's
        rows = torch.as_tensor(sorted(used), dtype=torch.long, device=whole.weight.device)
        index = torch.zeros(whole.num_embeddings, dtype=torch.long, device=whole.weight.device)
        index[rows] = torch.arange(len(rows), device=whole.weight.device)
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("rows", rows, persistent=False)
        self.weight = nn.Parameter(whole.weight.detach()[rows].clone())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(self.index[ids], self.weight)

    def restored(self) -> nn.Embedding:
        """Return the whole embedding, with the rows of this one in their places."""
        whole = self.whole[0]
        with torch.no_grad():
            whole.weight[self.rows.to(whole.weight.device)] = self.weight.detach().to(
                whole.weight.device
            )
        return whole.to(self.weight.device)


class GroupModel(nn.Module):
    """A shared encoder and a linear head for each task."""

    def __init__(  # noqa: PLR0913 - all by keyword
        self,
        encoder: nn.Module,
        tasks: Sequence[Task],
        *,
        hidden: int,
        pooling: str,
        dropout: float,
        device: Device,
        seed: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.computes_on = device
        self.dropout = nn.Dropout(dropout)
        self.labels = {task.name: task.labels for task in tasks}
        self.kinds = {task.name: task.kind for task in tasks}
        self.heads = nn.ModuleDict()
        for task in tasks:
            # The same task and seed begin alike in every group.
            generator = torch.Generator().manual_seed(int(digest([seed, task.name])[:8], 16))
            head = nn.Linear(hidden, len(task.labels))
            nn.init.normal_(head.weight, std=0.02, generator=generator)
            nn.init.zeros_(head.bias)
            self.heads[HEAD + task.name] = head

    def head(self, task: str) -> nn.Module:
        """Return the head of a task."""
        return self.heads[HEAD + task]

    def shared_parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the encoder's trained parameters, by name."""
        return {n: p for n, p in self.encoder.named_parameters() if p.requires_grad}

    def hidden_states(self, batch: EncodedBatch) -> tuple[torch.Tensor, ...]:
        """Return each layer's output, ``[P, L, hidden]``, embeddings first."""
        return tuple(self._encode(batch, layers=True).hidden_states)

    def states(self, batch: EncodedBatch) -> torch.Tensor:
        """Return the last layer's output, ``[P, L, hidden]``, in float32."""
        states: torch.Tensor = self._encode(batch, layers=False).last_hidden_state
        return states.float()

    def pool(self, states: torch.Tensor, batch: EncodedBatch) -> torch.Tensor:
        """Return one vector for each example: over its sub-words, then over its windows.

        The heads are linear, so that the mean over windows is the mean of their log-probabilities,
        normalised again.
        """
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = batch.mask[..., None].to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        if len(pooled) == len(batch):
            return pooled
        return mean_by(pooled, batch.owner, len(batch))

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        """Return logits: ``[n, K]``, or ``[words answered, K]`` in token tasks."""
        states = self.states(batch)
        if batch.kind is Kind.TOKEN:
            read = states[batch.word_piece, batch.word_position]
        else:
            read = self.pool(states, batch)
        logits: torch.Tensor = self.head(batch.task)(self.dropout(read))
        return logits

    def losses(self, batch: EncodedBatch) -> torch.Tensor:
        """Return each example's loss in nats, ``[n]``.

        single, pair: of its label; multilabel: mean over labels; token: mean over the words that
        were not cut.
        """
        if batch.gold is None:
            raise ValueError(f"task {batch.task}: no gold labels here")
        logits = self.logits(batch)
        if batch.kind is Kind.MULTILABEL:
            there = batch.gold.to(logits.dtype)
            return F.binary_cross_entropy_with_logits(logits, there, reduction="none").mean(1)
        if batch.kind is Kind.TOKEN:
            gold = batch.gold[batch.word_row]
            counts = gold >= 0  # words whose tag nobody says are no part of the loss
            of_words = F.cross_entropy(logits[counts], gold[counts], reduction="none")
            return mean_by(of_words, batch.word_example[counts], len(batch))
        return F.cross_entropy(logits, batch.gold, reduction="none")

    def _encode(self, batch: EncodedBatch, *, layers: bool):  # type: ignore[no-untyped-def] # noqa: ANN202 - a transformers output
        extra = {} if batch.types is None else {"token_type_ids": batch.types}
        with self.computes_on.autocast():
            return self.encoder(
                input_ids=batch.ids,
                attention_mask=batch.mask,
                output_hidden_states=layers,
                **extra,
            )


def log_probs(kind: Kind, logits: torch.Tensor) -> torch.Tensor:
    """Return log-probabilities of the labels (multilabel: of each label being there)."""
    return F.logsigmoid(logits) if kind is Kind.MULTILABEL else F.log_softmax(logits, dim=-1)


def mean_by(values: torch.Tensor, owner: torch.Tensor, n: int) -> torch.Tensor:
    """Return the mean of the rows of each owner, 0 where it has none. Shape ``[n, ...]``."""
    total = values.new_zeros((n, *values.shape[1:])).index_add(0, owner, values)
    counts = torch.bincount(owner, minlength=n).clamp(min=1).to(values.dtype)
    return total / counts.view(n, *(1 for _ in values.shape[1:]))
