"""The training loop: steps, learning rate, evaluations on dev-A, and the one checkpoint rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from groupbench.errors import Diverged
from groupbench_encoder.collate import collate, split_rows
from groupbench_encoder.objective import LOG_VARIANCE_LR, Surgery, Weights
from groupbench_encoder.predict import device_of, mean_loss, tokens_at_once
from groupbench_encoder.trainable import undisturbed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.runner import Probe
    from groupbench_encoder.batches import BatchPlan, Step
    from groupbench_encoder.model import GroupModel
    from groupbench_encoder.prepare import Prepared
    from groupbench_encoder.runner import EncoderRunner
    from groupbench_encoder.trainable import EncoderModel

CHECK_EVERY = 25
"""Steps between looks at the losses, each of which waits for the device."""


@dataclass
class Course:
    """What happened in training. Losses are in nats."""

    losses: list[tuple[int, str, float]] = field(default_factory=list)
    """Step, task and mean loss of its batch."""
    evaluations: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    """Step, and each task's mean loss on dev-A over H(Y)."""
    checkpoint: int = 0
    """The step whose weights were picked."""
    n_steps: int = 0
    """Steps taken; fewer than planned where it stopped early."""
    example_steps: int = 0
    tokens: int = 0

    def last_losses(self, task: str, after: int) -> list[float]:
        """Return the losses of a task's batches after a step; all of them if there are none."""
        mine = [(step, loss) for step, name, loss in self.losses if name == task]
        return [loss for step, loss in mine if step > after] or [loss for _, loss in mine]

    def at_checkpoint(self) -> Mapping[str, float]:
        """Return what dev-A said of the picked weights; empty without dev-A."""
        return dict(self.evaluations).get(self.checkpoint, {})

    def curve(self, n_points: int) -> list[list[float]]:
        """Return ``[last step, mean loss]`` over about ``n_points`` equal stretches of training."""
        stretch = max(1, math.ceil(self.n_steps / n_points))
        if self.n_steps >= n_points:
            stretch = max(1, self.n_steps // n_points)
        parts: dict[int, list[float]] = {}
        for step, _, loss in self.losses:
            parts.setdefault((step - 1) // stretch, []).append(loss)
        return [
            [min((part + 1) * stretch, self.n_steps), sum(found) / len(found)]
            for part, found in sorted(parts.items())
        ]


@dataclass
class Loop:
    """Trains a model by a plan, once."""

    settings: EncoderRunner
    model: GroupModel
    prepared: Prepared
    plan: BatchPlan
    view: EncoderModel
    """The model as probes see it."""
    probes: Sequence[Probe] = ()
    batch_divisor: int = 1

    def __post_init__(self) -> None:
        self.course = Course()
        learned = self.settings.loss == "uncertainty"
        self.weights = Weights(self.view.tasks, learned=learned).to(device_of(self.model))
        self.optimizer = self._optimizer()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.kept: list[torch.Tensor] | None = None
        self.best = math.inf
        self.surgery: Surgery | None = None
        if self.settings.surgery != "none" and len(self.view.tasks) > 1:
            own = {task: list(self.model.head(task).parameters()) for task in self.view.tasks}
            if learned:
                for task, parameters in own.items():
                    parameters.append(self.weights.log_variances[f"s_{task}"])
            self.surgery = Surgery(self.model, own, self.settings.surgery)

    def run(self) -> Course:
        """Train, and leave the model with the weights of the picked checkpoint.

        Raises:
            Diverged: a loss is not finite.
        """
        planned = self.plan.n_steps
        looks = evaluation_steps(planned, self.plan.steps_per_epoch, self.settings.evaluations)
        waiting: list[tuple[int, str, torch.Tensor]] = []
        unimproved = 0
        self.model.train()
        self._tell("before_training")
        for number, step in enumerate(self.plan, start=1):
            waiting += [(number, task, loss) for task, loss in self._take(step, number, planned)]
            self.course.n_steps = number
            if number in looks or len(waiting) >= CHECK_EVERY or number == planned:
                self._record(waiting)
            self._tell("after_step", number)
            if number in looks:
                unimproved = 0 if self._look(number, last=number == planned) else unimproved + 1
                if self.settings.patience and unimproved >= self.settings.patience:
                    break
        if self.kept is not None and self.course.checkpoint != self.course.n_steps:
            with torch.no_grad():
                for parameter, kept in zip(self.trained, self.kept, strict=True):
                    parameter.copy_(kept)
        self.model.eval()
        return self.course

    def _take(self, step: Step, number: int, planned: int) -> list[tuple[str, torch.Tensor]]:
        """Take one optimiser step; return the mean loss of each of its tasks."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(number, planned, self.settings.warmup)
        self.optimizer.zero_grad(set_to_none=True)
        found = []
        for task, rows in step.rows.items():
            data = self.prepared.tasks[task].train
            device = device_of(self.model)
            total = torch.zeros((), device=device)
            for part in split_rows(data, rows, self.batch_divisor, tokens_at_once(device)):
                losses = self.model.losses(collate(data, part, device))
                share = losses.sum() / len(rows)
                total += share.detach()
                # Parts of a batch add up to its mean; what weights add is divided among them.
                weighted = self.weights(task, losses.mean()) * (len(part) / len(rows))
                if self.surgery is None:
                    weighted.backward()
                else:
                    self.surgery.gather(task, weighted)
            found.append((task, total))
            self.course.example_steps += len(rows)
            self.course.tokens += int(data.n_tokens[rows].sum())
        if self.surgery is not None:
            self._record([(number, task, loss) for task, loss in found], keep=False)
            self.surgery.finish()
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(self.trained, self.settings.clip)
        self.optimizer.step()
        return found

    def _record(self, waiting: list[tuple[int, str, torch.Tensor]], *, keep: bool = True) -> None:
        """Fetch losses from the device, and demand that they are finite."""
        if not waiting:
            return
        values = torch.stack([loss for _, _, loss in waiting]).tolist()
        for (number, task, _), value in zip(waiting, values, strict=True):
            if not math.isfinite(value):
                raise Diverged(f"the training loss of {task} is {value} at step {number}")
            if keep:
                self.course.losses.append((number, task, value))
        if keep:
            waiting.clear()

    def _look(self, number: int, *, last: bool) -> bool:
        """Evaluate on dev-A; return whether the checkpoint is the best so far."""
        found = {
            name: mean_loss(self.model, task, task.dev_a) / task.scale
            for name, task in self.prepared.tasks.items()
            if len(task.dev_a)
        }
        for name, value in found.items():
            if not math.isfinite(value):
                raise Diverged(f"the dev-A loss of {name} is {value} at step {number}")
        self.course.evaluations.append((number, found))
        mean = sum(found.values()) / len(found) if found else -number
        if mean >= self.best:
            return False
        self.best = mean
        self.course.checkpoint = number
        if not last:
            if self.kept is None:
                self.kept = [torch.empty_like(p) for p in self.trained]
            with torch.no_grad():
                for parameter, kept in zip(self.trained, self.kept, strict=True):
                    kept.copy_(parameter)
        return True

    def _tell(self, event: str, *arguments: int) -> None:
        for probe in self.probes:
            with undisturbed(self.model):
                getattr(probe, event)(self.view, *arguments)

    def _optimizer(self) -> torch.optim.AdamW:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        lr, decay = self.settings.peak_lr, self.settings.weight_decay
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "peak": lr, "weight_decay": decay},
            {"params": [p for p in trained if p.ndim <= 1], "peak": lr, "weight_decay": 0.0},
        ]
        if self.weights.learned:
            own = list(self.weights.parameters())
            groups.append({"params": own, "peak": LOG_VARIANCE_LR, "weight_decay": 0.0})
        fused = device_of(self.model).type in {"cpu", "cuda"}
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, fused=fused)


def schedule(step: int, n_steps: int, warmup: float) -> float:
    """Return the share of the peak learning rate at a step, from 1: linear rise, linear fall.

    >>> [schedule(step, 10, 0.2) for step in (1, 2, 3, 10)]
    [0.5, 1.0, 1.0, 0.125]
    """
    rise = math.ceil(warmup * n_steps)
    if step <= rise:
        return step / rise
    return (n_steps - step + 1) / (n_steps - rise)


def evaluation_steps(n_steps: int, per_epoch: int, n_wanted: int) -> set[int]:
    """Return after which steps dev-A is looked at: at each epoch's end, or more often, evenly.

    >>> sorted(evaluation_steps(10, 4, 0)), sorted(evaluation_steps(10, 5, 5))
    ([4, 8, 10], [2, 4, 6, 8, 10])
    """
    if n_wanted <= math.ceil(n_steps / per_epoch):
        return {*range(per_epoch, n_steps, per_epoch), n_steps}
    return {max(1, round(n_steps * k / n_wanted)) for k in range(1, n_wanted + 1)}
