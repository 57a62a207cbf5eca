"""One fit: an adapter trained on a group and judged, then asked about what is to be predicted."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from groupbench.errors import Diverged, SettingError
from groupbench.llm.fitting import ask_all
from groupbench_causal_lm import about
from groupbench_causal_lm.load import load_model, threads_of
from groupbench_causal_lm.model import HfModel
from groupbench_causal_lm.tokenizers import load_tokenizer
from groupbench_lora import adapter
from groupbench_lora.loop import Loop
from groupbench_lora.mixture import Mixture
from groupbench_lora.prepare import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from groupbench.canonical import Json
    from groupbench.llm.model import Model
    from groupbench.runner import FitRequest, FitResult
    from groupbench_lora.loop import Course
    from groupbench_lora.prepare import PreparedTask
    from groupbench_lora.runner import LoraRunner

N_POINTS = 25
"""Points of the curve of training losses."""

AT_PRIOR = 0.98
"""Of the loss of the answers' frequencies. From here up nothing was learned."""


@dataclass(frozen=True)
class Training:
    """What came out of training, beside the adapter."""

    plan: Mixture
    course: Course
    tasks: Mapping[str, PreparedTask]
    warnings: tuple[str, ...]
    n_trained: int
    seconds: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """Return the course of training for the record."""
        course = self.course
        return {
            "unit": "nats",
            "loss_curve": course.curve(N_POINTS),
            "dev_a": [{"step": step, "losses": losses} for step, losses in course.evaluations],
            "measured": {
                name: "log-loss / H(Y)" if task.scored else "token loss / entropy of tokens"
                for name, task in self.tasks.items()
            },
            "checkpoint": course.checkpoint,
            "n_steps": course.n_steps,
            "n_steps_planned": self.plan.n_steps,
            "shares": self.plan.shares(),
            "n_trained_parameters": self.n_trained,
            "n_left_out": {n: t.n_left_out for n, t in self.tasks.items() if t.n_left_out},
        }


def fit(runner: LoraRunner, request: FitRequest) -> FitResult:
    """Train on a group and predict what is asked for.

    Raises:
        Diverged: a loss is not finite, or stayed at the prior.
        CanaryError: the server does not apply the adapter.
        SettingError: the model cannot be loaded, or a setting does not suit it.
        DataError: a task has nothing to train on.
    """
    with _opened(runner, request) as (model, training):
        result = ask_all(runner, model, request)
    course = training.course
    return replace(
        result,
        costs=replace(
            result.costs,
            train_seconds=training.seconds,
            example_steps=course.example_steps,
            tokens=course.tokens,
        ),
        training={**result.training, **training.to_json(), **runner.computes_on.as_json()},
        warnings=(*result.warnings, *training.warnings),
    )


@contextmanager
def trained(runner: LoraRunner, request: FitRequest) -> Iterator[Model]:
    """Yield the model with an adapter that was trained on a request; see `fit`."""
    with _opened(runner, request) as (model, _):
        yield model


@contextmanager
def _opened(runner: LoraRunner, request: FitRequest) -> Iterator[tuple[Model, Training]]:
    if request.probes:
        names = ", ".join(probe.name for probe in request.probes)
        raise SettingError(f"runner lora measures no probe such as {names}; use runner encoder.")
    started = time.perf_counter()
    folder = runner.source.fetch()
    tokenizer = load_tokenizer(folder)
    ours = about.abilities_of(folder, tokenizer, template=runner.template, shots_as=runner.shots_as)
    abilities = ours
    if runner.engine == "vllm":
        from groupbench_lora.serving import served, served_abilities

        abilities = served_abilities(request.service, tokenizer, ours)
    device = runner.computes_on
    with ExitStack() as held:
        held.enter_context(_alone(runner))
        tasks = prepared(runner, abilities, request)
        net = load_model(folder, dtype=device.dtype, device=device.device)
        if device.dtype == "bfloat16" and device.device == "cuda":
            _demand_bfloat16()
        torch.manual_seed(request.seed)  # of the adapter's first weights
        made = adapter.with_adapter(net, runner)
        if runner.checkpointing:
            _save_activations(net)
        batch_size = max(1, runner.read_batch_size // request.batch_divisor)

        def reading() -> HfModel:
            # A new one whenever the weights have changed: it keeps what it has read.
            return HfModel(net, tokenizer, abilities, batch_size)

        training = _train(runner, request, net, reading, tasks)
        training = replace(training, seconds=time.perf_counter() - started)
        adapters = request.keep_weights or Path(held.enter_context(tempfile.TemporaryDirectory()))
        manifest = adapter.Manifest.of(runner, request, folder, abilities.form.name)
        adapter.save(made, adapters, manifest)
        model: Model = reading()
        if runner.engine == "vllm":
            adapter.demand_match(adapters, manifest)
            model = held.enter_context(
                served(runner, request, adapters, peft=model, abilities=abilities, tasks=tasks)
            )
        yield model, training


def _train(
    runner: LoraRunner,
    request: FitRequest,
    net: Any,  # noqa: ANN401 - transformers has no types
    reading: Callable[[], Model],
    tasks: Mapping[str, PreparedTask],
) -> Training:
    plan = Mixture(
        sizes={name: len(task.train) for name, task in tasks.items()},
        batch_size=runner.batch_size,
        seed=request.seed,
        epochs=runner.epochs,
        cap=runner.cap,
        steps=runner.steps,
    )
    torch.manual_seed(request.seed)  # dropout begins here
    course = Loop(runner, net, reading, tasks, plan, request.batch_divisor).run()
    said = _verdict(tasks, plan, course, last_attempt=request.last_attempt)
    return Training(
        plan=plan,
        course=course,
        tasks=tasks,
        warnings=tuple(said),
        n_trained=sum(p.numel() for p in net.parameters() if p.requires_grad),
    )


def _verdict(
    tasks: Mapping[str, PreparedTask], plan: Mixture, course: Course, *, last_attempt: bool
) -> list[str]:
    """Return warnings about training that ended.

    Raises:
        Diverged: no task of the group got below the prior, neither on train nor on dev-A. With
            ``last_attempt`` that is only a warning.
    """
    dev_a = course.at_checkpoint()
    last = course.last_losses(course.n_steps - plan.steps_per_epoch)
    told: dict[str, tuple[float, float]] = {}
    for name, task in tasks.items():
        # Of a scored label the whole answer is at least as hard as telling it from the others.
        per_token, whole = last.get(name, (math.inf, math.inf))
        on_train = (whole if task.scored else per_token) / task.scale
        told[name] = (on_train, dev_a.get(name, on_train))
    learnable = {name for name, task in tasks.items() if not task.nothing_to_learn}
    if not learnable or any(min(told[name]) < AT_PRIOR for name in learnable):
        return []
    said = ", ".join(
        f"{n} {told[n][0]:.2f} on train, {told[n][1]:.2f} on dev-A" for n in sorted(told)
    )
    reason = f"no loss got below that of the prior (1 = the frequencies of answers): {said}"
    if last_attempt:
        return [
            f"{reason}; believed, as another seed said so too. More epochs, or another lr, may help"
        ]
    raise Diverged(reason, at_prior=True)


def _save_activations(net: Any) -> None:  # noqa: ANN401 - transformers has no types
    """Have activations computed again in the backward pass."""
    with warnings.catch_warnings():  # newer ones of transformers call it otherwise
        warnings.simplefilter("ignore", FutureWarning)
        net.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def _demand_bfloat16() -> None:
    if not torch.cuda.is_bf16_supported():
        raise SettingError("dtype = 'bfloat16': this GPU has none; use dtype = 'float32'.")


@contextmanager
def _alone(runner: LoraRunner) -> Iterator[None]:
    """Keep torch's threads and random state as they were."""
    on_cuda = runner.computes_on.device == "cuda" and torch.cuda.is_available()
    devices = [torch.cuda.current_device()] if on_cuda else []
    with threads_of(runner.threads), torch.random.fork_rng(devices=devices):
        yield
