"""`groupbench plugins check`: what is whole passes, and each planted fault is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess

    from sites import Site

STRATEGY = """
from dataclasses import dataclass
from typing import ClassVar
from groupbench import Group, Grouping, Plan, PlannedFits, hookimpl

COUNT = iter(range(10**6))

@dataclass(frozen=True)
class Strategy:
    name: ClassVar[str] = "halves"
    summary: ClassVar[str] = "two groups by name"

    def plan(self, suite, workbench):
        {plan}
        return Plan()

    def propose(self, suite, workbench):
        names = sorted(suite.names)
        cut = 2
        evidence = {{}}
        {propose}
        blocks = [block for block in (names[:cut], names[cut:]) if block]
        return Grouping.partition(blocks, evidence=evidence)

@hookimpl
def groupbench_register_groupings():
    return [Strategy]
"""
RUNNER = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from groupbench import Costs, FitResult, Kind, Output, Place, Resources, hookimpl

COUNT = iter(range(10**6))

@dataclass(frozen=True)
class Runner:
    name: ClassVar[str] = "first"
    summary: ClassVar[str] = "the first label"
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    preload: ClassVar[tuple[str, ...]] = ()
    deciding_modules: ClassVar[tuple[str, ...]] = ()

    def availability(self):
        return {reason!r}

    def place(self):
        return Place.LOCAL

    def resources(self, group, suite):
        return Resources()

    def identity(self):
        return {{}}

    def fit(self, request):
        total, label = 1.0, 0
        n = sum(len(e) for t in request.tasks for e in t.predict.values())
        {fit}
        return FitResult(
            {{t.task.name: {{s: self.say(t.task, e, total, label) for s, e in t.predict.items()}}
              for t in request.tasks}},
            Costs(n_predicted=n))

    def say(self, task, examples, total, label):
        n, k = len(examples), len(task.labels)
        if task.kind is Kind.TOKEN:
            n = sum(len(e.input) for e in examples)
        shape = (n, k) if task.kind is Kind.MULTILABEL else (n,)
        return Output(np.full(shape, label, dtype=np.int32), np.full((n, k), np.log(total / k)))

@hookimpl
def groupbench_register_runners():
    return [Runner]
"""
METRIC = """
from groupbench import Kind, hookimpl

class Share:
    name, summary, citation = "share", "share of right answers", "none"
    kinds = frozenset({{Kind.SINGLE}})

    def score(self, predictions, task):
        {score}

@hookimpl
def groupbench_register_metrics():
    return [Share()]
"""
TASK = """
from dataclasses import dataclass
from groupbench import Example, Kind, Split, Task, hookimpl

COUNT = iter(range(10**6))

@dataclass(frozen=True)
class Load:
    def __call__(self):
        data = {{s: tuple(Example(f"{{s}}-{{i}}", f"text {{i}}", i % 2) for i in range(4))
                for s in Split}}
        {load}
        return data

@hookimpl
def groupbench_register_tasks():
    return [Task("mood", Kind.SINGLE, ("bad", "good"), ("accuracy",), Load(), summary="moods")]
"""
SCORE = """if any(o == 'infra' for o in predictions.outcomes):
            raise ValueError('infra')
        right = [p == g and o == 'ok' for p, g, o in
                 zip(predictions.predicted, predictions.gold, predictions.outcomes)]
        return float(sum(right) / len(right))"""


def strategy(propose: str = "pass", plan: str = "pass") -> str:
    return STRATEGY.format(propose=propose, plan=plan)


def runner(fit: str = "pass", reason: str | None = None) -> str:
    return RUNNER.format(fit=fit, reason=reason)


def metric(score: str = SCORE) -> str:
    return METRIC.format(score=score)


def task(load: str = "pass") -> str:
    return TASK.format(load=load)


def check(site: Site, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    process = site.groupbench("plugins", "check", *arguments, "--json")
    assert "Traceback" not in process.stderr
    document = json.loads(process.stdout)
    assert document["schema"] == "groupbench/plugin-checks/1"
    assert document["passed"] is (process.returncode == 0)
    return process, document["checks"]


@pytest.mark.parametrize("source", [strategy(), runner(), metric(), task()])
def test_a_whole_plugin_passes_every_check(source: str, site: Site) -> None:
    site.install("gb-whole", module="gb_whole", source=source)
    process, checks = check(site, "gb-whole")
    assert process.returncode == 0
    assert [c for c in checks if c["status"] != "pass"] == []
    assert len(checks) > 4
    assert process.stderr == ""


FAULTS = {
    "unserved": (strategy("names = names[1:]"), "serves_each_task_once", "No group serves"),
    "fickle": (
        strategy("cut = 1 + next(COUNT) % 3"),
        "proposes_the_same_twice",
        "other groups when it is asked again",
    ),
    "ordered": (
        strategy("names = list(suite.names)"),
        "order_of_the_suite_does_not_matter",
        "another order",
    ),
    "unplanned": (
        strategy("workbench.fits([Group.of(names)])"),
        "plans_what_it_asks_for",
        "which plan lacks",
    ),
    "planner": (
        strategy(plan="workbench.fits([Group.of(suite.names)])"),
        "plans_what_it_asks_for",
        "plan asked for fits",
    ),
    "unsaid": (strategy("evidence = {'x': float('nan')}"), "evidence_is_json", "not JSON"),
    "fragile": (
        strategy("1 / (len(names) - 1)"),
        "small_suites_are_no_trouble",
        "ZeroDivisionError",
    ),
    "exits": (strategy("raise SystemExit(3)"), "serves_each_task_once", "SystemExit: 3"),
    "sums": (runner("total = 0.5"), "predicts_every_kind", "sum to 0.5000, not 1"),
    "random": (runner("label = next(COUNT) % 2"), "is_deterministic", "the same request"),
    "miscounts": (runner("n += 1"), "counts_its_costs", "n_predicted is 31, wanted 30"),
    "raises": (
        runner("len({1}) / (len({e.gold for e in request.tasks[0].train}) - 1)"),
        "little_data_are_no_trouble",
        "ZeroDivisionError",
    ),
    "percent": (metric("return 100.0"), "right_answers_score_one", "score 100.0"),
    "scored": (
        metric("return float((predictions.predicted == predictions.gold).mean())"),
        "failed_servers_are_never_a_score",
        "infra was scored",
    ),
    "empty": (task("data[Split.TEST] = ()"), "every_split_has_examples", "test split is empty"),
    "range": (
        task("data[Split.TRAIN] = (Example('x', 'text', 5),)"),
        "examples_are_of_its_kind",
        "has gold = 5, of 2 labels",
    ),
    "unheard": (
        task("data[Split.TRAIN] = data[Split.TRAIN][::2]"),
        "test_asks_for_nothing_unheard_of",
        "test holds 'good'",
    ),
    "changing": (
        task("data[Split.TRAIN] += (Example('x', f'text {next(COUNT)}', 1),)"),
        "loads_the_same_again",
        "other data when it is loaded again",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_its_check_and_the_plugin_is_named(fault: str, site: Site) -> None:
    source, name, message = FAULTS[fault]
    site.install("gb-faulty", module="gb_faulty", source=source)
    process, checks = check(site, "gb-faulty")
    assert process.returncode == 2
    assert "Error: checks failed: plugin gb-faulty." in process.stderr
    failed = {c["check"]: c["reason"] for c in checks if c["status"] == "fail"}
    assert message in failed[f"check_{name}"]


def test_a_plugin_that_cannot_be_imported_fails_and_spares_the_others(site: Site) -> None:
    site.install("gb-bad", module="gb_bad", source="import no_such_module")
    site.install("gb-whole", module="gb_whole", source=strategy())
    process, checks = check(site, "gb-bad", "gb-whole")
    assert process.returncode == 2
    assert "checks failed: plugin gb-bad." in process.stderr
    (bad,) = [c for c in checks if c["plugin"] == "gb-bad"]
    assert bad["check"] == "check_can_be_used"
    assert "No module named 'no_such_module'" in bad["reason"]
    assert {c["status"] for c in checks if c["plugin"] == "gb-whole"} == {"pass"}


def test_what_cannot_be_checked_here_is_skipped_with_the_reason(site: Site) -> None:
    site.install("gb-away", module="gb_away", source=runner(reason="no GPU: buy one"))
    process, checks = check(site, "gb-away", "hub", "tasks")
    assert process.returncode == 0
    skipped = {(c["thing"], c["check"]): c["reason"] for c in checks if c["status"] == "skip"}
    assert skipped["first", "check_is_deterministic"].endswith("no GPU: buy one")
    assert "its data come from elsewhere (loader hub)" in skipped["cola", "check_task"]
    assert {c["thing"] for c in checks if c["plugin"] == "hub"} == {"hub"}


def test_our_own_groupings_and_metrics_pass_and_what_needs_settings_is_skipped(site: Site) -> None:
    process, checks = check(site, "groupings", "metrics")
    assert process.returncode == 0, process.stderr
    skipped = {check["thing"] for check in checks if check["status"] == "skip"}
    assert skipped == {"fixed", "hub"}
    assert any("name a file" in (check["reason"] or "") for check in checks)


def test_a_configuration_can_be_checked_instead_of_the_default_one(site: Site) -> None:
    source = (
        strategy()
        .replace('by name"\n\n', 'by name"\n    n: int = 2\n\n')
        .replace("cut = 2", "cut = self.n if self.n < 9 else [][0]")
    )
    site.install("gb-set", module="gb_set", source=source)
    assert check(site, "gb-set")[0].returncode == 0
    process, checks = check(site, "gb-set", "--spec", "halves:n=9")
    assert process.returncode == 2
    assert {c["thing"] for c in checks} == {"gb-set", "halves:n=9"}
    wrong = site.groupbench("plugins", "check", "gb-set", "--spec", "halves:m=9")
    assert wrong.returncode == 2
    assert "no setting named 'm'" in wrong.stderr
    other = site.groupbench("plugins", "check", "gb-set", "--spec", "halvse")
    assert "Did you mean 'halves'?" in other.stderr


def test_an_unknown_plugin_is_named_with_the_nearest(site: Site) -> None:
    process = site.groupbench("plugins", "check", "groupigns")
    assert process.returncode == 2
    assert "No plugin named 'groupigns'. Did you mean 'groupings'?" in process.stderr


def test_the_table_names_each_check_and_counts_them(site: Site) -> None:
    site.install("gb-faulty", module="gb_faulty", source=FAULTS["fickle"][0])
    process = site.groupbench("plugins", "check", "gb-faulty", COLUMNS="160")
    assert process.returncode == 2
    (line,) = [row for row in process.stdout.splitlines() if "proposes the same twice" in row]
    assert "fail" in line
    assert "when it is asked again" in line
    assert "passed," in process.stdout.splitlines()[-1]


def test_what_a_plugin_prints_does_not_spoil_the_answer(site: Site) -> None:
    site.install("gb-loud", module="gb_loud", source=strategy("print('hello')"))
    process, checks = check(site, "gb-loud")
    assert process.returncode == 0
    assert checks
    assert "hello" in process.stderr
