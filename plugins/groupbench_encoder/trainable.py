"""The model as probes see it (`groupbench.runner.TrainableModel`)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from groupbench.errors import UnknownNameError
from groupbench.task import Kind, Split
from groupbench_encoder.collate import EncodedBatch, collate
from groupbench_encoder.model import log_probs
from groupbench_encoder.predict import device_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from groupbench.runner import Batch
    from groupbench_encoder.model import GroupModel
    from groupbench_encoder.prepare import Prepared


@dataclass(eq=False)
class EncoderModel:
    """A group's model while it trains and after; dropout is off in all that it computes."""

    model: GroupModel
    prepared: Prepared
    n_steps: int
    """Optimiser steps planned."""
    tasks: tuple[str, ...] = ()
    """The group's tasks, sorted."""

    def __post_init__(self) -> None:
        self.tasks = tuple(self.prepared.tasks)

    def batches(self, task: str, split: Split, n: int, seed: int) -> Iterator[Batch]:
        """Yield batches of at most ``n`` examples: all of train or dev-A, in seeded order.

        Raises:
            ValueError: another split was asked for: its golds are not here.
        """
        if task not in self.prepared.tasks:
            raise UnknownNameError("task", task, self.tasks)
        found = self.prepared.tasks[task]
        parts = {Split.TRAIN: found.train, Split.DEV_A: found.dev_a}
        if split not in parts:
            raise ValueError(f"probes see train and dev-a, not {split}")
        data, device = parts[split], device_of(self.model)
        rows = np.random.default_rng(seed).permutation(len(data))
        for start in range(0, len(rows), n):
            yield collate(data, rows[start : start + n], device)

    def losses(self, batch: Batch) -> torch.Tensor:
        """Return each example's loss in nats, ``[len(batch)]``, with its graph."""
        with self._steady():
            return self.model.losses(_own(batch))

    def log_probs(self, batch: Batch) -> torch.Tensor:
        """Return log-probabilities in the shapes of `groupbench.predictions.Output`."""
        mine = _own(batch)
        with self._steady():
            found = log_probs(mine.kind, self.model.logits(mine))
        if mine.kind is not Kind.TOKEN:
            return found
        prior = torch.from_numpy(self.prepared.tasks[mine.task].log_prior).to(found)
        whole = prior.expand(mine.n_rows, -1).clone()
        return whole.index_put((mine.word_row,), found)

    def shared_parameters(self) -> Mapping[str, torch.nn.Parameter]:
        """Return the encoder's trained parameters by name.

        While it trains, an embedding has only the rows that the group's texts use; afterwards it
        is whole.
        """
        return self.model.shared_parameters()

    def head_parameters(self, task: str) -> Mapping[str, torch.nn.Parameter]:
        """Return the parameters of one task's head, by name."""
        return dict(self.model.head(task).named_parameters())

    def pooled(self, batch: Batch) -> torch.Tensor:
        """Return the vector that heads of texts read, ``[len(batch), hidden]``."""
        with self._steady():
            return self.model.pool(self.model.states(_own(batch)), _own(batch))

    def layers(self, batch: Batch) -> Sequence[torch.Tensor]:
        """Return each layer's output, embeddings first; of an example's first window."""
        with self._steady():
            found = self.model.hidden_states(_own(batch))
        return tuple(states[_first(_own(batch))] for states in found)

    def mask(self, batch: Batch) -> torch.Tensor:
        """Return which positions of `layers` are not padding, ``[len(batch), length]``."""
        return _own(batch).mask[_first(_own(batch))]

    @contextmanager
    def _steady(self) -> Iterator[None]:
        was_training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(was_training)


@contextmanager
def undisturbed(model: GroupModel) -> Iterator[None]:
    """Let a probe work without moving the training: random state, mode and gradients stay."""
    was_training, state = model.training, torch.get_rng_state()
    on_cuda = device_of(model).type == "cuda"
    cuda = torch.cuda.get_rng_state_all() if on_cuda else []
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_rng_state(state)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        model.train(was_training)
        model.zero_grad(set_to_none=True)


def _own(batch: Batch) -> EncodedBatch:
    if not isinstance(batch, EncodedBatch):
        raise TypeError(f"a batch of this model's own is wanted, not {type(batch).__name__}")
    return batch


def _first(batch: EncodedBatch) -> torch.Tensor:
    """Return the first piece of each example."""
    wanted = torch.arange(len(batch), device=batch.owner.device)
    return torch.searchsorted(batch.owner, wanted)
