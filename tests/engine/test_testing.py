"""The checks for plugin authors: what is whole passes, and each fault fails the check for it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from groupbench.grouping import Group, Grouping, Plan
from groupbench.metrics import AdditiveMetric
from groupbench.predictions import Output
from groupbench.runner import Costs, FitRequest, FitResult, Place, Resources
from groupbench.task import Example, Kind, Split
from groupbench.testing import checks, metric, runner, strategy
from groupbench.testing.checks import (
    Check,
    CheckError,
    checks_for,
    heavy_imports,
    run_checks,
)
from groupbench.testing.pytest_helper import parametrize_with_checks
from groupbench.testing.toy import toy_suite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.metrics import MetricTask
    from groupbench.predictions import FloatArray, IntArray, Predictions
    from groupbench.suite import Suite
    from groupbench.workbench import Workbench

CLOCK = itertools.count()


def problems(offered: object) -> dict[str, str]:
    """Return what each failing check says, by its name."""
    return {name: said for name, said in run_checks(offered) if said}


def fails(offered: object, check: Check, message: str) -> None:
    """Assert that exactly this check finds the fault, and says so."""
    with pytest.raises(CheckError, match=message):
        check(offered)


# strategies


@dataclass(frozen=True)
class Halves:
    """Two groups, by name."""

    name: ClassVar[str] = "halves"
    summary: ClassVar[str] = "two groups, by name"

    first: int = 3
    """How many tasks the first group has."""

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        del suite, workbench
        return Plan()

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        names = sorted(suite.names)
        return Grouping.partition(b for b in (names[: self.first], names[self.first :]) if b)


class Forgetful(Halves):
    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        return Grouping.partition([suite.names[1:]])


class Ordered(Halves):
    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        return Grouping.partition([suite.names[:3], suite.names[3:]])


class Fickle(Halves):
    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        del workbench
        names = sorted(suite.names)
        cut = 1 + next(CLOCK) % (len(names) - 1)
        return Grouping.partition([names[:cut], names[cut:]])


class Greedy(Halves):
    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        workbench.fits([Group.of([suite.names[0]])])
        return super().propose(suite, workbench)


class Eager(Halves):
    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        workbench.fits([Group.of([suite.names[0]])])
        return Plan()


class Fragile(Halves):
    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        assert len(suite) > 1 / (len(suite) - 1)
        return super().propose(suite, workbench)


class Opaque(Halves):
    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        whole = super().propose(suite, workbench)
        return replace(whole, evidence={"p": float("nan")})


@dataclass
class Thawed:
    name: ClassVar[str] = "thawed"
    summary: ClassVar[str] = "not frozen"

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        return Halves().propose(suite, workbench)


@parametrize_with_checks([Halves(), Halves(first=1)])
def test_a_whole_strategy_passes(strategy: Halves, check: Check) -> None:
    check(strategy)


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (Forgetful(), strategy.check_serves_each_task_once, "No group serves toy-0"),
        (Ordered(), strategy.check_order_of_the_suite_does_not_matter, "in another order"),
        (Fickle(), strategy.check_proposes_the_same_twice, "asked again"),
        (Greedy(), strategy.check_plans_what_it_asks_for, "which plan lacks"),
        (Eager(), strategy.check_plans_what_it_asks_for, "plan asked for fits"),
        (Opaque(), strategy.check_evidence_is_json, "evidence is not JSON"),
        (Thawed(), checks.check_settings_survive_text, "frozen dataclass"),
    ],
)
def test_a_broken_strategy_fails_the_check_for_its_fault(
    broken: object, check: Check, message: str
) -> None:
    fails(broken, check, message)
    assert check.__name__ in problems(broken)


def test_a_strategy_that_breaks_on_small_suites_is_found() -> None:
    said = problems(Fragile())
    assert said["check_small_suites_are_no_trouble"].startswith("ZeroDivisionError")
    assert set(said) == {"check_small_suites_are_no_trouble"}


def test_strategies_are_given_suites_without_truth_and_test() -> None:
    seen: list[tuple[object, bool]] = []

    class Curious(Halves):
        def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
            seen.extend((task.planted, Split.TEST in dict(task.data)) for task in suite)
            return super().propose(suite, workbench)

    strategy.check_serves_each_task_once(Curious())
    assert seen == [(None, False)] * len(toy_suite())


# runners


@dataclass(frozen=True)
class Prior:
    """Says label 0."""

    name: ClassVar[str] = "prior"
    summary: ClassVar[str] = "label 0"
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    preload: ClassVar[tuple[str, ...]] = ()
    deciding_modules: ClassVar[tuple[str, ...]] = ()

    fault: str = ""
    """What is wrong with it."""

    def availability(self) -> str | None:
        return "" if self.fault == "mute" else None

    def place(self) -> Place:
        return Place.LOCAL

    def resources(self, group: Group, suite: Suite) -> Resources:
        del group, suite
        return Resources()

    def identity(self) -> Mapping[str, Json]:
        return {}

    def fit(self, request: FitRequest) -> FitResult:
        given = request.tasks[0]
        if self.fault == "one-class" and len({example.gold for example in given.train}) == 1:
            raise ZeroDivisionError("no second label")
        tasks = request.tasks[: 1 if self.fault == "alone" else None]
        outputs = {
            each.task.name: {
                split: self.output(each.task.kind, len(each.task.labels), examples)
                for split, examples in each.predict.items()
            }
            for each in tasks
        }
        n = sum(len(examples) for each in tasks for examples in each.predict.values())
        return FitResult(outputs, Costs(n_predicted=n + (self.fault == "costs")))

    def output(self, kind: Kind, n_labels: int, examples: tuple[Example, ...]) -> Output:
        n = sum(len(e.input) if kind is Kind.TOKEN else 1 for e in examples)
        if self.fault == "short":
            n -= 1
        if self.fault == "unicode":
            "".join(str(example.input) for example in examples).encode("latin-1")
        shape = (n, n_labels) if kind is Kind.MULTILABEL else (n,)
        predicted = np.zeros(shape, dtype=np.int32)
        if self.fault == "peeking" and kind is Kind.SINGLE:
            predicted[:] = [example.gold is not None for example in examples]
        if self.fault == "random":
            predicted[:] = next(CLOCK) % 2
        if self.fault == "neighbours" and kind is Kind.SINGLE:
            predicted[: n // 2] = 1
        probability = 1.0 if self.fault == "sums" else 1 / n_labels
        return Output(predicted, np.full((n, n_labels), np.log(probability)))


@parametrize_with_checks([Prior()])
def test_a_whole_runner_passes(runner: Prior, check: Check) -> None:
    check(runner)


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("mute", runner.check_says_whether_it_can_run, "None or a reason, not ''"),
        ("short", runner.check_predicts_every_kind, r"predicted has shape \(8,\), wanted \(9,\)"),
        ("sums", runner.check_predicts_every_kind, "sum to 3.0000, not 1"),
        ("alone", runner.check_shares_if_it_says_so, "no output for"),
        ("random", runner.check_is_deterministic, "with the same request"),
        ("peeking", runner.check_does_not_look_at_golds_it_must_predict, "other golds in test"),
        ("neighbours", runner.check_predicts_each_example_alone, "order of its examples"),
        ("costs", runner.check_counts_its_costs, "n_predicted is 31, wanted 30"),
    ],
)
def test_a_broken_runner_fails_the_check_for_its_fault(
    fault: str, check: Check, message: str
) -> None:
    fails(Prior(fault), check, message)


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("one-class", "check_little_data_are_no_trouble", "ZeroDivisionError: no second label"),
        ("unicode", "check_odd_texts_are_no_trouble", "UnicodeEncodeError"),
    ],
)
def test_what_a_runner_raises_is_said_by_the_check(fault: str, check: str, message: str) -> None:
    said = problems(Prior(fault))
    assert said[check].startswith(message)
    assert set(said) == {check}


# metrics


class Share(AdditiveMetric):
    """The share of right answers, with a fault."""

    name: ClassVar[str] = "share"
    summary: ClassVar[str] = "share of right answers"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.SINGLE})

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def count(self, predictions: Predictions, predicted: IntArray, task: MetricTask) -> FloatArray:
        del task
        right = (predictions.gold == predicted).astype(float)
        if self.fault == "missing":
            right = np.where(predicted < 0, 1.0, right)
        if self.fault == "order":
            right = right * np.linspace(1, 0.5, len(right))
        return np.stack([right, np.ones(len(right))], axis=1)

    def finish(self, sums: FloatArray, task: MetricTask) -> FloatArray:
        del task
        if self.fault == "axes":
            return np.asarray(sums[0] / sums[1])
        share: FloatArray = sums[..., 0] / sums[..., 1]
        return share * {"percent": 100, "half": 0.5}.get(self.fault, 1)

    def score(self, predictions: Predictions, task: MetricTask) -> float:
        if self.fault == "infra":
            return float((predictions.gold == predictions.predicted).mean())
        if self.fault == "apart":
            return float(int(super().score(predictions, task) * 10) / 10)
        return super().score(predictions, task)


@parametrize_with_checks([Share()])
def test_a_whole_metric_passes(metric: Share, check: Check) -> None:
    check(metric)


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("percent", metric.check_scores_are_in_range, "is not between 0.0 and 1.0"),
        ("half", metric.check_right_answers_score_one, "right answers score 0.5"),
        ("order", metric.check_order_does_not_matter, "in another order"),
        ("missing", metric.check_missing_answers_are_wrong, "outcome invalid scores 1"),
        ("infra", metric.check_failed_servers_are_never_a_score, "infra was scored"),
        ("apart", metric.check_sums_give_the_score, "sums of draws give"),
    ],
)
def test_a_broken_metric_fails_the_check_for_its_fault(
    fault: str, check: Check, message: str
) -> None:
    fails(Share(fault), check, message)


def test_sums_that_do_not_go_over_leading_axes_are_found() -> None:
    assert problems(Share("axes"))


# all of them


class Unnamed(Share):
    name: ClassVar[str] = "Has Spaces"


class Silent(Share):
    summary: ClassVar[str] = " "


def test_names_and_summaries_are_checked() -> None:
    assert "must match" in problems(Unnamed())["check_names_itself"]
    assert "one line" in problems(Silent())["check_names_itself"]


def test_the_checks_are_chosen_by_what_a_thing_can_do() -> None:
    assert checks_for(Halves()) == strategy.CHECKS
    assert checks_for(Prior()) == runner.CHECKS
    assert checks_for(Share()) == metric.CHECKS
    with pytest.raises(TypeError, match="Halves is a class: check an instance"):
        checks_for(Halves)
    with pytest.raises(TypeError, match="neither a strategy"):
        checks_for("text")


def test_heavy_imports_are_found_in_a_fresh_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "light_module.py").write_text("import json")
    (tmp_path / "heavy_module.py").write_text("import pyarrow")
    (tmp_path / "broken_module.py").write_text("raise ValueError('no')")
    monkeypatch.syspath_prepend(tmp_path)
    assert heavy_imports("light_module") == []
    assert heavy_imports("heavy_module") == ["pyarrow"]
    with pytest.raises(CheckError, match=r"broken_module cannot be imported .* ValueError: no"):
        heavy_imports("broken_module")


def test_only_the_pytest_helper_imports_pytest() -> None:
    names = ("checks", "toy", "strategy", "runner", "metric")
    code = "import sys\n" + "\n".join(f"import groupbench.testing.{name}" for name in names)
    code += "\nsys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_pair_is_one_test_with_a_name_that_says_which() -> None:
    @parametrize_with_checks([Halves(), Halves(first=1)])
    def decorated(strategy: Any, check: Check) -> None:
        check(strategy)

    mark = decorated.pytestmark[0]  # type: ignore[attr-defined]
    assert mark.args[0] == ["strategy", "check"]
    assert len(mark.args[1]) == 2 * len(strategy.CHECKS)
    assert mark.args[1][-1].id == "halves:first=1-check_evidence_is_json"
