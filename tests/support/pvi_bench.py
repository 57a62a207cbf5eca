"""A workbench in memory, whose fits say of each label what a noisy channel would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from groupbench.predictions import Output, Predictions, gold_array
from groupbench.runner import Arrays, Costs, Probe
from groupbench.task import Example, Kind, Materialised, Split, Task
from groupbench.variants import Blank, Variant
from groupbench_pvi.measurement import BlankFold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.grouping import Group, Grouping, Plan
    from groupbench.suite import Suite

LogProbs = np.typing.NDArray[Any]


def noisy_task(  # noqa: PLR0913 - a planted task has as many facts
    name: str,
    *,
    noise: float,
    n: int = 500,
    kind: Kind = Kind.SINGLE,
    n_labels: int = 2,
    domain: str = "one",
    per_cluster: int | None = None,
) -> Task:
    """Return a task whose input holds its true label, and whose gold is flipped with ``noise``.

    Exactly ``round(noise * n)`` golds of a split are flipped (multilabel: of each label; token: of
    each word position), so that what a perfect model can know is known.
    """
    labels = (
        ("O", "B-x", "I-x", "B-y")[:n_labels]
        if kind is Kind.TOKEN
        else tuple(f"l{k}" for k in range(n_labels))
    )

    def rows(split: Split, size: int) -> tuple[Example, ...]:
        rng = np.random.default_rng([*name.encode(), list(Split).index(split)])
        width = {Kind.MULTILABEL: n_labels, Kind.TOKEN: 3}.get(kind, 1)
        base = 2 if kind is Kind.MULTILABEL else n_labels
        truth = np.stack([rng.permutation(np.arange(size) % base) for _ in range(width)], axis=1)
        flips = np.zeros((size, width), dtype=int)
        for column in range(width):
            hit = rng.permutation(size)[: round(noise * size)]
            flips[hit, column] = rng.integers(1, base, size=len(hit))
        gold = (truth + flips) % base
        return tuple(
            Example(
                f"{split}-{i}",
                _written(kind, truth[i]),
                _gold(kind, gold[i]),
                None if per_cluster is None else f"{split}-c{i // per_cluster}",
            )
            for i in range(size)
        )

    sizes = {Split.TRAIN: 200, Split.DEV_A: 200, Split.DEV_B: n, Split.TEST: 2}
    data = {split: rows(split, size) for split, size in sizes.items()}
    return Task(name, kind, labels, ("accuracy",), Materialised(data), domain=domain)


@dataclass
class Bench:
    """Fits of a model that knows each task's noise, off by ``sharpness`` in its confidence."""

    full_suite: Suite
    noise: Mapping[str, float]
    seeds: tuple[int, ...] = (0, 1)
    sharpness: float = 1.0
    jitter: float = 0.0
    """How much logits differ from seed to seed."""
    jumpiness: float = 0.0
    """How much confidence differs from seed to seed: each seed sharpens by more."""
    with_log_probs: bool = True
    runner_name: str = "fake"
    asked: list[tuple[tuple[Group, ...], Variant | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.suite = self.full_suite.blinded()

    def fits(
        self,
        groups: Sequence[Group],
        *,
        variant: Variant | None = None,
        probes: Sequence[Probe] = (),
        keep_weights: bool = False,
    ) -> Mapping[tuple[Group, int], Any]:
        assert not probes
        assert not keep_weights
        self.asked.append((tuple(groups), variant))
        return {(g, seed): FakeFit(self, g, seed, variant) for g in groups for seed in self.seeds}

    def propose(self, spec: str) -> Grouping:
        raise AssertionError(spec)

    def plan(self, spec: str) -> Plan:
        raise AssertionError(spec)


@dataclass
class FakeFit:
    """What `Bench` answers with."""

    bench: Bench
    group: Group
    seed: int
    variant: Variant | None
    costs: Costs = field(default_factory=Costs)

    def predictions(self, task: str, split: Split) -> Predictions:
        full = self.bench.full_suite[task]
        seen = full if self.variant is None else self.variant(full)
        examples = seen.examples(split)
        blank = isinstance(self.variant, Blank | BlankFold)
        log_probs = _channel(self, full, examples, blank=blank)
        gold, _ = gold_array(full.kind, len(full.labels), examples)
        predicted = (
            (log_probs > np.log(0.5)).astype(int)
            if full.kind is Kind.MULTILABEL
            else log_probs.argmax(axis=-1)
        ).reshape(gold.shape)
        output = Output(predicted, log_probs if self.bench.with_log_probs else None)
        return Predictions.assemble(full, examples, output)

    def arrays(self, probe: str) -> Arrays:
        raise AssertionError(probe)

    def training(self) -> Mapping[str, object]:
        return {}


def _channel(fit: FakeFit, task: Task, examples: Sequence[Example], *, blank: bool) -> LogProbs:
    noise = min(max(fit.bench.noise[task.name], 1e-6), 1 - 1e-6)
    rng = np.random.default_rng([fit.seed, *task.name.encode()])
    n_labels = len(task.labels)
    base = 2 if task.kind is Kind.MULTILABEL else n_labels
    truth = np.concatenate([_truth(e, task) for e in examples]) if examples else np.zeros(0, int)
    logits = np.full((len(truth), base), np.log(noise / max(base - 1, 1)))
    logits[np.arange(len(truth)), truth] = np.log(1 - noise)
    logits += rng.normal(0, fit.bench.jitter, logits.shape) if fit.bench.jitter else 0
    logits = np.zeros_like(logits) if blank else logits * _sharpness(fit)
    log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    if task.kind is Kind.MULTILABEL:
        return np.asarray(log_probs[:, 1].reshape(len(examples), n_labels))
    return np.asarray(log_probs)


def _sharpness(fit: FakeFit) -> float:
    return fit.bench.sharpness * (1 + fit.bench.jumpiness * fit.bench.seeds.index(fit.seed))


def _truth(example: Example, task: Task) -> np.typing.NDArray[Any]:
    text = example.input[0] if task.kind is Kind.PAIR else example.input
    words = text.split() if isinstance(text, str) else text
    width = len(task.labels) if task.kind is Kind.MULTILABEL else 1
    return np.array([int(word) if word.strip() else 0 for word in words] or [0] * width)


def _written(kind: Kind, truth: np.typing.NDArray[Any]) -> str | tuple[str, ...]:
    words = tuple(str(int(t)) for t in truth)
    if kind is Kind.TOKEN:
        return words
    return (words[0], "x") if kind is Kind.PAIR else " ".join(words)


def _gold(kind: Kind, gold: np.typing.NDArray[Any]) -> int | tuple[int, ...]:
    if kind is Kind.MULTILABEL:
        return tuple(int(k) for k in np.flatnonzero(gold))
    if kind is Kind.TOKEN:
        return tuple(int(k) for k in gold)
    return int(gold[0])
