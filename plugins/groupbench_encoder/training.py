"""One fit: a group's model made, trained and judged, and what comes out of it."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from groupbench.errors import Diverged
from groupbench.runner import Costs, FitResult
from groupbench_encoder import build, keep
from groupbench_encoder.batches import BatchPlan, Sampling
from groupbench_encoder.encode import Limits
from groupbench_encoder.loop import Course, Loop
from groupbench_encoder.predict import output
from groupbench_encoder.prepare import Prepared, texts_of
from groupbench_encoder.subwords import Subwords
from groupbench_encoder.trainable import EncoderModel, undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from groupbench.runner import FitRequest
    from groupbench_encoder.runner import EncoderRunner

N_POINTS = 25
"""Points of the curve of training losses."""

AT_PRIOR = 0.98
"""Of the loss of the label frequencies. From here up nothing was learned."""

BLOWN_UP = 10
"""Times the loss of guessing evenly. A fit that ends there is broken, whatever the data."""


def fit(settings: EncoderRunner, request: FitRequest) -> FitResult:
    """Train on a group and predict what is asked for.

    Raises:
        Diverged: a loss is not finite, or stayed at the prior.
        SettingError: the model cannot be loaded, or a setting does not suit it.
        DataError: a task has nothing to train on.
    """
    with build.quiet(), _alone(settings):
        return _fit(settings, request)


def _fit(settings: EncoderRunner, request: FitRequest) -> FitResult:
    started = time.perf_counter()
    torch.manual_seed(request.seed)
    device = settings.computes_on()
    folder = None if settings.source.random else settings.source.fetch()
    tokenizer = build.load_tokenizer(settings, folder, texts_of(request))
    encoder = build.load_encoder(settings, folder, device, len(tokenizer))
    subwords = Subwords(tokenizer, build.accepts_types(encoder))
    max_length = build.longest(settings, encoder.config, tokenizer)
    prepared = Prepared.of(
        request, subwords, Limits(max_length, settings.long_inputs, settings.stride)
    )
    tasks = [task.task for task in prepared.tasks.values()]
    model = build.assemble(settings, encoder, tasks, device, request.seed)
    build.restrict(model, settings, sorted(prepared.used))
    plan = plan_of(settings, prepared, request.seed)
    view = EncoderModel(model, prepared, plan.n_steps)
    acting = [probe for probe in request.probes if probe.acts_during_training]
    torch.manual_seed(request.seed)  # loading may have drawn numbers; dropout begins here
    loop = Loop(settings, model, prepared, plan, view, acting, request.batch_divisor)
    course = loop.run()
    warnings = _verdict(prepared, plan, course, last_attempt=request.last_attempt)
    build.restore_whole(model)
    train_seconds = time.perf_counter() - started

    started = time.perf_counter()
    outputs = {
        name: {split: output(model, task, data) for split, data in task.predict.items()}
        for name, task in prepared.tasks.items()
    }
    predict_seconds = time.perf_counter() - started
    if request.keep_weights is not None:
        keep.save(model, tokenizer, settings, max_length, request.keep_weights)
    arrays = {}
    for probe in request.probes:
        with undisturbed(model):
            arrays[probe.name] = probe.finish(view)
    cut = {
        name: n
        for name, task in prepared.tasks.items()
        if (n := sum(task.train.cut) + sum(sum(part.cut) for part in task.predict.values()))
    }
    return FitResult(
        outputs=outputs,
        costs=Costs(
            train_seconds=train_seconds,
            predict_seconds=predict_seconds,
            n_predicted=sum(len(d) for t in prepared.tasks.values() for d in t.predict.values()),
            example_steps=course.example_steps,
            tokens=course.tokens,
            n_parameters=sum(p.numel() for p in model.parameters()),
        ),
        arrays=arrays,
        training={
            "unit": "nats",
            "loss_curve": course.curve(N_POINTS),
            "dev_a": [{"step": step, "losses": losses} for step, losses in course.evaluations],
            "checkpoint": course.checkpoint,
            "n_steps": course.n_steps,
            "n_steps_planned": plan.n_steps,
            "sampling": "together" if plan.together else settings.sampling,
            "loss_weights": loop.weights.as_json(),
            "max_length": max_length,
            "n_input_cut": cut,
            "threads": settings.threads,
            **device.as_json(),
        },
        warnings=tuple(warnings),
    )


def plan_of(settings: EncoderRunner, prepared: Prepared, seed: int) -> BatchPlan:
    """Return the steps of a fit."""
    return BatchPlan(
        lengths={name: task.train.lengths for name, task in prepared.tasks.items()},
        batch_size=settings.batch_size,
        sampling=Sampling(settings.sampling, settings.temperature, settings.cap),
        seed=seed,
        epochs=settings.epochs or settings.preset.epochs,
        steps=settings.steps,
        together=settings.surgery != "none" and len(prepared.tasks) > 1,
    )


def _verdict(
    prepared: Prepared, plan: BatchPlan, course: Course, *, last_attempt: bool
) -> list[str]:
    """Return warnings about a fit that ended.

    Raises:
        Diverged: no task of the group left the prior, neither on train nor on dev-A. With
            ``last_attempt`` that is only a warning, but never that a loss is far above it.
    """
    dev_a = course.at_checkpoint()
    after = course.n_steps - plan.steps_per_epoch
    told: dict[str, tuple[float, float]] = {}
    for name, task in prepared.tasks.items():
        losses = course.last_losses(name, after)
        on_train = sum(losses) / len(losses) / task.scale if losses else 1.0
        told[name] = (on_train, dev_a.get(name, on_train))
        ceiling = BLOWN_UP * max(math.log(max(len(task.task.labels), 2)), task.null_loss)
        if min(told[name]) * task.scale > ceiling:
            raise Diverged(
                f"the loss of {name} blew up: {told[name][1]:.3g} times that of its prior on dev-A"
            )
    learnable = {name for name, task in prepared.tasks.items() if not task.nothing_to_learn}
    if not learnable or any(min(told[name]) < AT_PRIOR for name in learnable):
        return []
    said = ", ".join(
        f"{n} {told[n][0]:.2f} on train, {told[n][1]:.2f} on dev-A" for n in sorted(told)
    )
    reason = f"the loss stayed at the prior (1 = the label frequencies): {said}"
    if last_attempt:
        return [f"{reason}; believed, as another seed said so too"]
    raise Diverged(reason, at_prior=True)


@contextmanager
def _alone(settings: EncoderRunner) -> Iterator[None]:
    """Keep torch's threads and random state as they were."""
    threads = torch.get_num_threads()
    on_cuda = settings.computes_on().device == "cuda" and torch.cuda.is_available()
    devices: list[Any] = [torch.cuda.current_device()] if on_cuda else []
    torch.set_num_threads(settings.threads)
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads(threads)
