"""The training loop: steps, learning rate, evaluations on dev-A, and the one checkpoint rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from groupbench.errors import Diverged
from groupbench.llm.scores import Normalisation
from groupbench_lora.judge import dev_loss
from groupbench_lora.losses import answer_losses, passes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from groupbench.llm.model import Model
    from groupbench_lora.mixture import Mixture, Row
    from groupbench_lora.prepare import PreparedTask
    from groupbench_lora.runner import LoraRunner


@dataclass
class Course:
    """What happened in training. Losses are in nats."""

    losses: list[tuple[int, dict[str, tuple[float, float, int]]]] = field(default_factory=list)
    """Step, and for each task of its batch the mean loss of its answers per token, that of whole
    answers, and how many examples."""
    evaluations: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    """Step, and each task's mean loss on dev-A over what it is measured against."""
    checkpoint: int = 0
    """The step whose weights were picked."""
    n_steps: int = 0
    """Steps taken; fewer than planned where it stopped early."""
    example_steps: int = 0
    tokens: int = 0

    def at_checkpoint(self) -> Mapping[str, float]:
        """Return what dev-A said of the picked weights; empty without dev-A."""
        return dict(self.evaluations).get(self.checkpoint, {})

    def last_losses(self, after: int) -> dict[str, tuple[float, float]]:
        """Return each task's mean losses after a step, per token and per answer."""
        sums: dict[str, list[float]] = {}
        for step, found in self.losses:
            for name, (per_token, whole, n) in found.items():
                total = sums.setdefault(name, [0.0, 0.0, 0.0])
                if step > after:
                    for i, value in enumerate((per_token * n, whole * n, n)):
                        total[i] += value
        return {name: (a / n, b / n) for name, (a, b, n) in sums.items() if n}

    def curve(self, n_points: int) -> list[list[float]]:
        """Return ``[last step, mean loss per token]`` over about ``n_points`` stretches."""
        stretch = max(1, math.ceil(self.n_steps / n_points))
        parts: dict[int, list[float]] = {}
        for step, found in self.losses:
            mean = sum(a * n for a, _, n in found.values()) / sum(n for _, _, n in found.values())
            parts.setdefault((step - 1) // stretch, []).append(mean)
        return [
            [min((part + 1) * stretch, self.n_steps), sum(found) / len(found)]
            for part, found in sorted(parts.items())
        ]


@dataclass
class Loop:
    """Trains an adapter by a plan, once."""

    settings: LoraRunner
    net: Any
    """The model with the adapter in it, on its device."""
    reading: Callable[[], Model]
    """Gives the same, to read labels with its weights of that moment."""
    tasks: Mapping[str, PreparedTask]
    plan: Mixture
    batch_divisor: int = 1
    course: Course = field(default_factory=Course)

    def __post_init__(self) -> None:
        self.trained = [p for p in self.net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=self.settings.lr, weight_decay=0.0)
        self.kept: list[torch.Tensor] | None = None
        self.best = math.inf

    def run(self) -> Course:
        """Train, and leave the adapter with the weights of the picked checkpoint.

        Raises:
            Diverged: a loss is not finite.
        """
        looks, unimproved = self.plan.looks(self.settings.evaluations), 0
        self.net.train()
        for number, rows in enumerate(self.plan, start=1):
            self._take(rows, number)
            self.course.n_steps = number
            if number in looks:
                unimproved = 0 if self._look(number) else unimproved + 1
                if self.settings.patience and unimproved >= self.settings.patience:
                    break
        if self.kept is not None and self.course.checkpoint != self.course.n_steps:
            with torch.no_grad():
                for parameter, kept in zip(self.trained, self.kept, strict=True):
                    parameter.copy_(kept)
        self.net.eval()
        return self.course

    def _take(self, rows: list[Row], number: int) -> None:
        """Take one optimiser step: the mean over its examples of the means over their lessons."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * schedule(
                number, self.plan.n_steps, self.settings.warmup
            )
        self.optimizer.zero_grad(set_to_none=True)
        weighted, owners = [], {}
        for name, row in rows:
            lessons = self.tasks[name].train[row]
            for lesson in lessons:
                weighted.append((1 / len(lessons) / len(rows), lesson))
                owners[id(lesson)] = name
        found: dict[str, list[float]] = {name: [0.0, 0.0, 0.0] for name, _ in rows}
        for part in passes(weighted, self.net.device.type, self.batch_divisor):
            losses = answer_losses(self.net, [lesson for _, lesson in part])
            shares = losses.new_tensor([weight for weight, _ in part])
            torch.autograd.backward((losses * shares).sum())
            for (share, lesson), loss in zip(part, losses.tolist(), strict=True):
                if not math.isfinite(loss):
                    name = owners[id(lesson)]
                    raise Diverged(f"the training loss of {name} is {loss} at step {number}")
                counts = (loss * share, loss * len(lesson.answer) * share, share)
                total = found[owners[id(lesson)]]
                found[owners[id(lesson)]] = [a + b for a, b in zip(total, counts, strict=True)]
            self.course.tokens += sum(len(lesson) for _, lesson in part)
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(self.trained, self.settings.clip)
        self.optimizer.step()
        self.course.example_steps += len(rows)
        self.course.losses.append(
            (number, {n: (a / w, b / w, round(w * len(rows))) for n, (a, b, w) in found.items()})
        )

    def _look(self, number: int) -> bool:
        """Evaluate on dev-A; return whether the checkpoint is the best so far."""
        self.net.eval()
        model = self.reading()
        how = Normalisation(self.settings.normalisation)
        found = {}
        for name, task in self.tasks.items():
            loss = dev_loss(self.net, model, task, how)
            if loss is None:
                continue
            if not math.isfinite(loss):
                raise Diverged(f"the dev-A loss of {name} is {loss} at step {number}")
            found[name] = loss / task.scale
        self.net.train()
        self.course.evaluations.append((number, found))
        mean = sum(found.values()) / len(found) if found else -number
        if mean >= self.best:
            return False
        self.best, self.course.checkpoint = mean, number
        self.kept = [parameter.detach().clone() for parameter in self.trained]
        return True


def schedule(step: int, n_steps: int, warmup: float) -> float:
    """Return the share of the peak learning rate at a step, from 1: linear rise, linear fall.

    >>> [schedule(step, 10, 0.2) for step in (1, 2, 3, 10)]
    [0.5, 1.0, 1.0, 0.125]
    """
    rise = math.ceil(warmup * n_steps)
    return step / rise if step <= rise else (n_steps - step + 1) / (n_steps - rise)
