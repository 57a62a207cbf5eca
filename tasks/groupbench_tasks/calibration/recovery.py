"""Does a runner find what was planted? Measurements of a calibration suite, and their bounds."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from groupbench.execute import without_leaks
from groupbench.grouping import Group
from groupbench.predictions import Predictions
from groupbench.runner import FitRequest
from groupbench.task import Example, Kind, Materialised, Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from groupbench.grouping import Grouping, GroupingStrategy, Plan
    from groupbench.runner import Arrays, Costs, FitResult, Probe, Runner
    from groupbench.suite import Suite
    from groupbench.task import Task
    from groupbench.variants import Variant

SINGLE, FAMILY, CLASS, DOMAIN, ALL = "single", "by-family", "by-class", "by-domain", "all"


@dataclass(frozen=True)
class Recovery:
    """What was measured of one suite with one runner and one seed. Accuracies are on test."""

    suite: str
    seed: int
    hidden: tuple[str, ...]
    """Tasks of the class ``hidden``."""
    planted_bits: dict[str, float | None]
    v_information_bits: dict[str, float]
    """Of single-task learners on dev-B, at the temperature that dev-A picks."""
    std_error_bits: dict[str, float]
    accuracy: dict[str, dict[str, float]]
    """By grouping, then by task; per label in multilabel tasks, per entity word in token tasks."""
    agreement: dict[str, float] = field(default_factory=dict)
    """Adjusted Rand index of the strategy's groups with the classes, families and domains."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By grouping; fits that groupings share are counted where they were first needed."""

    def average(self, grouping: str, tasks: Sequence[str] | None = None) -> float:
        """Return the mean accuracy over ``tasks``, or over all."""
        scores = self.accuracy[grouping]
        chosen = list(scores if tasks is None else tasks)
        return sum(scores[task] for task in chosen) / len(chosen)


class Fitted:
    """One fit with its predictions; evidence as strategies read it."""

    def __init__(
        self, group: Group, seed: int, result: FitResult, tasks: Mapping[str, Task]
    ) -> None:
        self.group, self.seed, self.costs = group, seed, result.costs
        self._result, self._tasks = result, tasks

    group: Group
    seed: int
    costs: Costs

    def predictions(self, task: str, split: Split) -> Predictions:
        output = self._result.outputs[task][split]
        return Predictions.assemble(self._tasks[task], self._tasks[task].examples(split), output)

    def arrays(self, probe: str) -> Arrays:
        return self._result.arrays[probe]

    def training(self) -> Mapping[str, object]:
        return self._result.training


class InProcess:
    """A workbench without store and processes: one runner, one seed, fits kept in memory."""

    def __init__(self, suite: Suite, runner: Runner, seed: int) -> None:
        self._whole = suite
        self.suite, self.seeds, self.runner_name = suite.blinded(), (seed,), runner.name
        self._runner = runner
        self._fitted: dict[Group, Fitted] = {}

    suite: Suite
    seeds: tuple[int, ...]
    runner_name: str

    def fit(self, trains: Sequence[str]) -> Fitted:
        """Return the fit of a group that serves all it trains."""
        group = Group.of(trains)
        if group not in self._fitted:
            tasks = {name: self._whole[name] for name in group.trains}
            inputs, _ = without_leaks(tuple(tasks.values()))
            request = FitRequest(inputs, self.seeds[0], last_attempt=True)
            self._fitted[group] = Fitted(group, self.seeds[0], self._runner.fit(request), tasks)
        return self._fitted[group]

    def fits(
        self,
        groups: Sequence[Group],
        *,
        variant: Variant | None = None,
        probes: Sequence[Probe] = (),
        keep_weights: bool = False,
    ) -> Mapping[tuple[Group, int], Fitted]:
        if variant is not None or probes or keep_weights:
            raise ValueError("only plain fits are measured here")
        return {(group, self.seeds[0]): self.fit(group.trains) for group in groups}

    def propose(self, spec: str) -> Grouping:
        raise ValueError(f"no strategy {spec!r} is known here")

    def plan(self, spec: str) -> Plan:
        raise ValueError(f"no strategy {spec!r} is known here")


def partition(suite: Suite, by: str) -> list[list[str]]:
    """Return the groups of an oracle: `SINGLE`, `FAMILY`, `CLASS`, `DOMAIN` or `ALL`."""
    blocks: dict[str | None, list[str]] = defaultdict(list)
    for task in suite:
        planted = task.planted
        if planted is None:
            raise ValueError(f"task {task.name} carries no planted truth")
        key = {
            SINGLE: task.name,
            FAMILY: planted.family,
            CLASS: planted.difficulty_class,
            DOMAIN: task.domain,
            ALL: None,
        }[by]
        blocks[key].append(task.name)
    return list(blocks.values())


def random_partition(suite: Suite, n_groups: int, rng: np.random.Generator) -> list[list[str]]:
    """Return a partition into groups of equal sizes."""
    names = [suite.names[i] for i in rng.permutation(len(suite))]
    return [names[start::n_groups] for start in range(n_groups)]


def measure(
    suite: Suite,
    runner: Runner,
    seed: int,
    groupings: Mapping[str, Sequence[Sequence[str]]],
    strategy: GroupingStrategy | None = None,
) -> Recovery:
    """Train single-task learners and ``groupings``, and compare with what was planted.

    Args:
        suite: with planted truth.
        runner: trains each group once, in this process.
        seed: of the training.
        groupings: groups of task names by grouping. They need not serve every task.
        strategy: asked for a grouping on the evidence of the single-task learners.
    """
    from groupbench.information import Prior, pointwise
    from groupbench.search.agreement import adjusted_rand_index
    from groupbench.temperature import fit_temperature

    bench = InProcess(suite, runner, seed)
    accuracy: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    for name, groups in {SINGLE: partition(suite, SINGLE), **groupings}.items():
        started = time.process_time()
        accuracy[name] = {
            task: accuracy_of(fitted.predictions(task, Split.TEST))
            for fitted in map(bench.fit, groups)
            for task in fitted.group.serves
        }
        seconds[name] = time.process_time() - started
    bits, errors = {}, {}
    for task in suite:
        fitted = bench.fit([task.name])
        prior = Prior.of(task.kind, len(task.labels), task.examples(Split.TRAIN))
        temperature = fit_temperature(fitted.predictions(task.name, Split.DEV_A))
        found = pointwise(
            fitted.predictions(task.name, Split.DEV_B), prior, temperature=temperature
        )
        bits[task.name], errors[task.name] = found.v_information_bits, found.std_error_bits
    agreement = {}
    if strategy is not None:
        proposed = [g.trains for g in strategy.propose(bench.suite, bench).groups]
        agreement = {
            by: adjusted_rand_index(proposed, partition(suite, by))
            for by in (CLASS, FAMILY, DOMAIN)
        }
    truth = {task.name: task.planted for task in suite}
    return Recovery(
        suite=suite.name,
        seed=seed,
        hidden=tuple(n for n, p in truth.items() if p and p.difficulty_class == "hidden"),
        planted_bits={n: p.v_information_bits if p else None for n, p in truth.items()},
        v_information_bits=bits,
        std_error_bits=errors,
        accuracy=accuracy,
        agreement=agreement,
        seconds=seconds,
    )


def accuracy_of(predictions: Predictions) -> float:
    """Return the share of right answers: labels, or words that belong to an entity."""
    right = predictions.predicted == predictions.gold
    if predictions.kind is Kind.TOKEN:
        right = right[predictions.gold != predictions.labels.index("O")]
    return float(right.mean())


def joined(suite: Suite) -> Suite:
    """Return ``suite`` with the two texts of pairs as one text, for bags of words.

    A linear model that tells the two sides apart solves pair tasks by adding up words.
    """

    def flat(task: Task) -> Task:
        data = {
            split: tuple(Example(row.id, row.text, row.gold) for row in rows)
            for split, rows in task.data.items()
        }
        return replace(task, kind=Kind.SINGLE, loader=Materialised(data))

    tasks = tuple(flat(task) if task.kind is Kind.PAIR else task for task in suite)
    return replace(suite, tasks=tasks)


def shuffled(suite: Suite, seed: int) -> Suite:
    """Return ``suite`` with the golds of train and both devs dealt to other examples.

    The planted truth stays, so that checks against it must fail.
    """
    import numpy as np

    tasks = []
    for number, task in enumerate(suite):
        rng = np.random.default_rng([seed, number])
        data = dict(task.data)
        for split in (Split.TRAIN, Split.DEV_A, Split.DEV_B):
            rows = data[split]
            data[split] = tuple(
                Example(row.id, row.input, rows[i].gold)
                for row, i in zip(rows, rng.permutation(len(rows)), strict=True)
            )
        tasks.append(replace(task, loader=Materialised(data)))
    return replace(suite, tasks=tuple(tasks))
