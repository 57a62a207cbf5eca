"""From what an experiment names to what it means: suite, strategies, runners, executor."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from groupbench.caps import capped
from groupbench.errors import ExperimentError, SettingError, UnknownNameError
from groupbench.keys import RunnerIdentity
from groupbench.metrics import MetricOptions, demand_fit
from groupbench.settings import Spec, label
from groupbench.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from groupbench.execute import Executor
    from groupbench.experiment import Experiment
    from groupbench.grouping import GroupingStrategy
    from groupbench.metrics import Metric
    from groupbench.plugins import Plugins
    from groupbench.runner import Runner
    from groupbench.task import Task

DEFAULT_BASELINE = "single"
"""Of experiments that name none; then it need not be there."""
DEFAULT_SUITE = "calibration"
DEFAULT_GROUPINGS = ("single", "all", "pvi")
DEFAULT_RUNNERS = ("encoder", "tfidf", "majority")


@dataclass(frozen=True)
class StrategyChoice:
    """A configured strategy: one instance for each of its draws."""

    label: str
    draws: tuple[GroupingStrategy, ...]

    @property
    def oracle(self) -> bool:
        """Whether it is handed the planted truth."""
        return bool(getattr(self.draws[0], "oracle", False))

    @classmethod
    def of(cls, strategy: GroupingStrategy) -> StrategyChoice:
        """Return the choice of ``strategy``, with all its draws if it is random."""
        n_draws = getattr(strategy, "draws", 1)
        if n_draws == 1 and not hasattr(strategy, "draw"):
            return cls(label(strategy), (strategy,))
        instances: list[Any] = [replace(strategy, draw=draw) for draw in range(n_draws)]  # type: ignore[type-var] # strategies are dataclasses
        return cls(label(strategy), tuple(instances))


@dataclass(frozen=True)
class RunnerUse:
    """A configured runner and the strategies it is combined with."""

    identity: RunnerIdentity
    strategies: tuple[StrategyChoice, ...]


@dataclass(frozen=True)
class Resolved:
    """An experiment whose every name is known to exist and every setting to be valid."""

    experiment: Experiment
    suite: Suite
    strategies: tuple[StrategyChoice, ...]
    runners: tuple[RunnerUse, ...]
    executor: Executor
    strategy_of: Callable[[str], GroupingStrategy]
    metrics: Mapping[str, Metric]
    """The primary metric of each task, by task."""

    @classmethod
    def of(cls, experiment: Experiment, plugins: Plugins) -> Resolved:
        """Look up everything that ``experiment`` names.

        Raises:
            GroupbenchError: a name is unknown or a setting invalid; nothing was computed.
        """
        with _of_file(experiment, "suite"):
            suite = resolve_suite(experiment, plugins)

        def strategy_of(spec: str) -> GroupingStrategy:
            return plugins.grouping(Spec.parse(spec))

        specs = experiment.groupings or tuple(Spec.parse(s) for s in DEFAULT_GROUPINGS)
        with _of_file(experiment, "groupings"):
            strategies = tuple(StrategyChoice.of(plugins.grouping(spec)) for spec in specs)
        _distinct([s.label for s in strategies], "grouping", experiment)
        chosen = [(choice.spec, choice.groupings) for choice in experiment.runners] or [
            (Spec.parse(name), None) for name in DEFAULT_RUNNERS
        ]
        with _of_file(experiment, "runners"):
            made = [plugins.runner(spec) for spec, _ in chosen]
        configured = _priced(made, experiment)
        runners = tuple(
            RunnerUse(RunnerIdentity(runner), _selected(names, strategies, experiment))
            for runner, (_, names) in zip(configured, chosen, strict=True)
        )
        _distinct([use.identity.label for use in runners], "runner", experiment)
        for allow in experiment.allow:
            with _of_file(experiment, "allow", "[[allow]]: "):
                if allow.task not in suite.names:
                    raise UnknownNameError("task", allow.task, suite.names)
                if allow.runner not in plugins.runners:
                    raise UnknownNameError("runner", allow.runner, plugins.runners)
        _demand_baseline(experiment, strategies)
        with _of_file(experiment, "executor"):
            executor = plugins.executor(Spec.parse(experiment.executor))
        return cls(
            experiment=experiment,
            suite=suite,
            strategies=strategies,
            runners=runners,
            executor=executor,
            strategy_of=strategy_of,
            metrics={task.name: _metric(task, plugins) for task in suite},
        )


@contextmanager
def _of_file(experiment: Experiment, field: str, more: str = "") -> Iterator[None]:
    """Have messages about a field name the experiment file, where it came from there."""
    try:
        yield
    except (SettingError, UnknownNameError) as problem:
        if experiment.by_options(field):
            raise
        raise ExperimentError(f"{experiment.source}: {more}{problem}") from None


def _demand_baseline(experiment: Experiment, strategies: Sequence[StrategyChoice]) -> None:
    """Raise `ExperimentError` where gains are wanted against a grouping that is not there."""
    labels = [strategy.label for strategy in strategies]
    if experiment.baseline not in (DEFAULT_BASELINE, *labels):
        problem = UnknownNameError("grouping", experiment.baseline, labels)
        raise ExperimentError(
            f"{experiment.where('baseline')}: baseline = '{experiment.baseline}' is none of this"
            f" experiment: {problem}"
        )


def _priced(runners: Sequence[Runner], experiment: Experiment) -> list[Runner]:
    """Return the runners, those told what models cost that want to know.

    Raises:
        SettingError: the file of prices cannot be read, or holds a wrong field or value.
    """
    wanted = any(hasattr(runner, "priced") for runner in runners)
    if not wanted and experiment.prices is None:
        return list(runners)
    from pathlib import Path

    from groupbench.llm.prices import Prices

    over = None if experiment.prices is None else Path(experiment.prices)
    prices = Prices.load(over)
    return [r.priced(prices) if hasattr(r, "priced") else r for r in runners]


def _metric(task: Task, plugins: Plugins) -> Metric:
    """Return what judges a task; one that cannot is the card's mistake, found before any fit."""
    metric = plugins.metric(task.primary_metric)
    demand_fit(metric, MetricOptions.of(task), task.where)
    return metric


def resolve_suite(experiment: Experiment, plugins: Plugins) -> Suite:
    """Return the suite that an experiment names, its rows capped as it asks."""
    if experiment.tasks:
        twice = {name for name in experiment.tasks if experiment.tasks.count(name) > 1}
        if twice:
            raise ExperimentError(
                f"{experiment.where('suite')}: task {', '.join(sorted(twice))} is named twice."
            )
        tasks = tuple(plugins.task(name) for name in experiment.tasks)
        suite = Suite(experiment.name, tasks)
    else:
        suite = plugins.suite(Spec.parse(experiment.suite or DEFAULT_SUITE))
    caps = experiment.caps
    if all(getattr(caps, f.name) is None for f in fields(caps)):
        return suite
    cut = tuple(
        capped(task, train=caps.train, validation=caps.validation, test=caps.test) for task in suite
    )
    kept = ", ".join(
        f"{getattr(caps, f.name)} {f.name}" for f in fields(caps) if getattr(caps, f.name)
    )
    note = " ".join(filter(None, [suite.note, f"Rows of each task capped to {kept}."]))
    return replace(suite, tasks=cut, note=note)


def _selected(
    names: tuple[str, ...] | None, strategies: tuple[StrategyChoice, ...], experiment: Experiment
) -> tuple[StrategyChoice, ...]:
    if names is None:
        return strategies
    known: dict[str, list[StrategyChoice]] = {}
    for strategy in strategies:
        for alias in {strategy.label, strategy.label.partition(":")[0]}:
            known.setdefault(alias, []).append(strategy)
    for name in names:
        if name not in known:
            problem = UnknownNameError("grouping", name, known)
            raise ExperimentError(f"{experiment.source}: a runner's groupings: {problem}")
    return tuple(s for s in strategies if any(s in known[name] for name in names))


def _distinct(labels: list[str], what: str, experiment: Experiment) -> None:
    if twice := sorted({name for name in labels if labels.count(name) > 1}):
        raise ExperimentError(
            f"{experiment.where(f'{what}s')}: {what} {', '.join(twice)} is asked for twice; "
            f"give the second one other settings or leave it out."
        )
