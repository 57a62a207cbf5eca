"""From the losses of a step's tasks to gradients: weights of losses, and gradient surgery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from groupbench_encoder.model import GroupModel

LOG_VARIANCE_LR = 1e-2
"""At the encoder's learning rate the weights would hardly move in one fit."""


class Weights(nn.Module):
    """Weights of the tasks' losses: all 1, or learned.

    ``uncertainty``: Kendall, Gal and Cipolla, "Multi-task learning using uncertainty to weigh
    losses" (CVPR 2018, arXiv:1705.07115): ``exp(-s) * loss + s / 2`` with ``s``, the log of the
    task's variance, learned from 0.
    """

    def __init__(self, tasks: Sequence[str], *, learned: bool) -> None:
        super().__init__()
        self.learned = learned
        names = tasks if learned else ()
        self.log_variances = nn.ParameterDict(
            {f"s_{t}": nn.Parameter(torch.zeros(())) for t in names}
        )

    def forward(self, task: str, loss: torch.Tensor) -> torch.Tensor:
        if not self.learned:
            return loss
        s = self.log_variances[f"s_{task}"]
        weighted: torch.Tensor = torch.exp(-s) * loss + s / 2
        return weighted

    def as_json(self) -> dict[str, float]:
        """Return the weight of each task's loss, ``exp(-s)``."""
        with torch.no_grad():
            weights = {name: float(torch.exp(-s)) for name, s in self.log_variances.items()}
        return {name.removeprefix("s_"): weight for name, weight in weights.items()}


def aggregator(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what combines the rows of a matrix of gradients, one a task, into one gradient.

    ``pcgrad``: Yu et al., NeurIPS 2020, arXiv:2001.06782; ``cagrad``: Liu et al., NeurIPS 2021,
    arXiv:2110.14048, with c = 0.5; ``upgrad``: Quinton and Rey, arXiv:2406.16232.
    """
    from torchjd import aggregation

    made: dict[str, Callable[[], Any]] = {
        "pcgrad": aggregation.PCGrad,
        "upgrad": aggregation.UPGrad,
        "cagrad": lambda: aggregation.CAGrad(c=0.5),
    }
    combine: Callable[[torch.Tensor], torch.Tensor] = made[name]()
    return combine


class Surgery:
    """Gathers each task's gradient of the shared parameters, and sets what they combine to."""

    def __init__(
        self, model: GroupModel, own: Mapping[str, Sequence[nn.Parameter]], name: str
    ) -> None:
        self.shared = list(model.shared_parameters().values())
        self.own = own
        self.combine = aggregator(name)
        self.rows: dict[str, torch.Tensor] = {}

    def gather(self, task: str, loss: torch.Tensor) -> None:
        """Add the gradient of one (part of a) task's loss; heads get theirs at once."""
        own = [p for p in self.own[task] if p.requires_grad]
        grads = torch.autograd.grad(loss, [*self.shared, *own], allow_unused=True)
        flat = torch.cat(
            [
                (torch.zeros_like(p) if g is None else g).reshape(-1)
                for p, g in zip(self.shared, grads, strict=False)
            ]
        )
        self.rows[task] = self.rows[task] + flat if task in self.rows else flat
        for parameter, grad in zip(own, grads[len(self.shared) :], strict=True):
            if grad is not None:
                parameter.grad = grad if parameter.grad is None else parameter.grad + grad

    def finish(self) -> None:
        """Set the gradients of the shared parameters, and forget those of the tasks."""
        combined = self.combine(torch.stack([self.rows[task] for task in sorted(self.rows)]))
        self.rows = {}
        start = 0
        for parameter in self.shared:
            part = combined[start : start + parameter.numel()]
            parameter.grad = part.view_as(parameter).clone()
            start += parameter.numel()
