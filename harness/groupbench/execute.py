"""Running one fit in its own process: the job, what the process does, and how it may end.

The engine hands jobs to an executor, which a plugin offers: ``local`` runs each in a process of
its own on this machine; another may send it elsewhere. A job is self-contained (data included) and
its results are files in a folder, so that nothing here depends on where it runs.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

from groupbench.canonical import digest, to_json
from groupbench.errors import Diverged
from groupbench.predictions import Predictions
from groupbench.runner import PREDICTED, FitRequest, TaskInput
from groupbench.task import Split, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.runner import Arrays, FitResult, Probe, Resources, Runner

MAX_SEEDS = 3
"""A fit that diverges is tried with this many seeds in all."""


class Work(StrEnum):
    """What a job does."""

    FIT = "fit"
    """Train, predict and let probes measure."""
    MEASURE = "measure"
    """Let probes measure a model whose weights were kept."""


@dataclass(frozen=True, slots=True)
class Job:
    """A self-contained unit of work. Picklable."""

    key: str
    label: str
    """For people: runner, tasks, seed."""
    runner: Runner
    tasks: tuple[Task, ...]
    """Materialised (`groupbench.task.Materialised`), sorted by name, without planted truth."""
    seed: int
    work: Work = Work.FIT
    probes: tuple[Probe, ...] = ()
    keep_weights: bool = False
    weights: Path | None = None
    """Kept weights, for `Work.MEASURE`."""
    resources: Resources | None = None
    batch_divisor: int = 1
    attempt: int = 1
    """2 when the job's process died once and it is tried again."""
    max_seconds: float | None = None
    """The process is killed after this."""
    max_memory_bytes: int | None = None
    """The process is killed when its resident memory passes this."""
    service: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The address of the runner's service."""
    max_usd: float | None = None
    """What the fit may spend."""
    claimed_usd: float = 0.0
    """See `FitRequest`."""
    splits: tuple[Split, ...] = PREDICTED
    """What it predicts."""


class Ending(StrEnum):
    """How a job's process ended."""

    DONE = "done"
    RAISED = "raised"
    """The job raised an exception; ``message`` says which."""
    REFUSED = "refused"
    """It stopped itself before it passed a limit (`PolicyError`): nothing more should start."""
    OUT_OF_MEMORY = "out-of-memory"
    TIMED_OUT = "timed-out"
    DIED = "died"
    """Killed by a signal, or exited without a word."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How one job ended. When ``DONE``, its folder holds what `perform` writes."""

    job: Job
    ending: Ending
    message: str = ""
    """One line for people; empty when done."""
    details: str = ""
    """A traceback, where there is one."""
    seconds: float = 0.0
    peak_memory_bytes: int = 0


class Session(Protocol):
    """An executor at work. A context manager: leaving it kills what still runs."""

    def capacity(self) -> int:
        """Return how many more jobs it would start at once now; 0 when full."""
        ...

    def submit(self, job: Job, folder: Path) -> None:
        """Start `perform(job, folder)` somewhere; ``folder`` exists and is empty."""
        ...

    def wait(self, timeout: float | None = None) -> JobEnd | None:
        """Return the next job that ended, or ``None`` after ``timeout`` seconds or if none runs."""
        ...

    def close(self) -> None:
        """Kill what still runs and free what was held. Safe to call twice."""
        ...


class Executor(Protocol):
    """Where fits run. A frozen dataclass whose fields are its settings. Implemented by plugins."""

    name: ClassVar[str]
    summary: ClassVar[str]

    def availability(self) -> str | None:
        """Return why it cannot be used here, with the mend; ``None`` if it can."""
        ...

    def open(self, preload: Sequence[str]) -> Session:
        """Start a session. ``preload``: modules worth importing before processes are forked."""
        ...


def perform(job: Job, folder: Path) -> None:
    """Do one job and write its results into ``folder``. What an executor's process calls.

    Files of a fit: ``<task>.<split>.parquet`` (`Predictions`), ``result.json`` (costs, course of
    training, attempts, warnings, library versions), ``probe-<name>.safetensors``, ``weights/``.
    Files of a measurement: ``result.json`` and ``probe-<name>.safetensors``.
    """
    if job.work is Work.MEASURE:
        _measure(job, folder)
        return
    request = _request(job, folder)
    attempts: list[Json] = []
    while True:
        try:
            result = job.runner.fit(request)
            break
        except Diverged as failure:
            attempts.append({"seed": request.seed, "reason": str(failure)})
            if len(attempts) == MAX_SEEDS:
                raise
            # A loss that stays at the prior with a second seed is what the data say, not bad luck.
            request = replace(
                request,
                seed=int(digest([job.key, len(attempts)])[:8], 16),
                last_attempt=failure.at_prior or len(attempts) == MAX_SEEDS - 1,
            )
    _write(job, folder, result, attempts)


def _request(job: Job, folder: Path) -> FitRequest:
    """Return the request of a job: golds hidden where the runner predicts, leaks left out."""
    weights = None
    if job.keep_weights:
        weights = folder / "weights"
        weights.mkdir()
    tasks, _ = without_leaks(job.tasks, job.splits)
    return FitRequest(
        tasks=tasks,
        seed=job.seed,
        probes=job.probes,
        keep_weights=weights,
        batch_divisor=job.batch_divisor,
        service=job.service,
        max_usd=job.max_usd,
        claimed_usd=job.claimed_usd,
    )


def without_leaks(
    tasks: Sequence[Task], splits: Sequence[Split] = PREDICTED
) -> tuple[tuple[TaskInput, ...], dict[str, int]]:
    """Return what a runner gets of each task, and how many of its train rows were left out.

    Rows of one task's train whose text occurs in another task's test never train a joint model.
    Texts are compared without case, punctuation and spacing.
    """
    tests = {t.name: {comparable(e.text) for e in t.data.get(Split.TEST, ())} for t in tasks}
    inputs, left_out = [], {}
    for task in tasks:
        foreign = set().union(*(texts for name, texts in tests.items() if name != task.name))
        train = tuple(
            e for e in task.data[Split.TRAIN] if not foreign or comparable(e.text) not in foreign
        )
        left_out[task.name] = len(task.data[Split.TRAIN]) - len(train)
        inputs.append(
            TaskInput(
                task=task.with_data({}),
                train=train,
                dev_a=task.data[Split.DEV_A],
                predict={
                    split: tuple(e.without_gold() for e in task.data[split])
                    for split in splits
                    if task.data.get(split)
                },
            )
        )
    return tuple(inputs), left_out


def comparable(text: str) -> str:
    """Return ``text`` without case, punctuation and spacing, to find copies.

    >>> comparable("The cat,  sat.") == comparable("the cat sat")
    True
    >>> comparable(":-)") == comparable(":-(")
    False
    """
    folded = text.casefold()
    # Without a letter or digit, emoji and the like are compared as they are.
    return "".join(c for c in folded if c.isalnum()) or "".join(folded.split())


def _measure(job: Job, folder: Path) -> None:
    request = _request(job, folder)
    started = time.perf_counter()
    model = job.runner.restore(request, job.weights)  # type: ignore[attr-defined] # Restorable
    for probe in job.probes:
        _write_arrays(folder, probe.name, probe.finish(model))
    seconds = time.perf_counter() - started
    (folder / "result.json").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")


def _write(job: Job, folder: Path, result: FitResult, attempts: Sequence[Json]) -> None:
    _, left_out = without_leaks(job.tasks) if len(job.tasks) > 1 else ((), {})
    n_input_cut: dict[str, int] = {}
    for task in job.tasks:
        for split in job.splits:
            examples = task.data.get(split)
            if not examples:
                continue
            output = result.outputs[task.name][split]
            predictions = Predictions.assemble(task, examples, output)
            predictions.write(folder / f"{task.name}.{split}.parquet")
            if split is Split.TEST:
                n_input_cut[task.name] = sum(predictions.input_cut)
    for name, arrays in result.arrays.items():
        _write_arrays(folder, name, arrays)
    document = {
        "costs": to_json(result.costs),
        "training": to_json(result.training),
        "warnings": list(result.warnings),
        "attempts": list(attempts),
        "left_out": {name: n for name, n in left_out.items() if n},
        "input_cut": {name: n for name, n in n_input_cut.items() if n},
        "batch_divisor": job.batch_divisor,
        "environment": _environment(),
    }
    (folder / "result.json").write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


def _write_arrays(folder: Path, probe: str, arrays: Arrays) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, folder / f"probe-{probe}.safetensors")


def _environment() -> dict[str, Json]:
    """Return what is provenance, not key: versions of loaded libraries, the machine."""
    import platform
    import sys
    from importlib import metadata

    libraries: dict[str, Json] = {}
    for name in ("groupbench", "numpy", "torch", "transformers", "tokenizers", "peft", "sklearn"):
        if name in sys.modules:
            distribution = "scikit-learn" if name == "sklearn" else name
            try:
                libraries[distribution] = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": libraries,
    }
