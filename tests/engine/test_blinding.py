"""What strategies and runners are handed holds neither planted truth nor test labels."""

from __future__ import annotations

import gc
import pickle
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

import pytest

from groupbench.errors import HeldBackError
from groupbench.execute import without_leaks
from groupbench.keys import FitOrder, RunnerIdentity
from groupbench.task import Planted, Split
from groupbench_references.majority import MajorityRunner
from groupbench_tasks.calibration.suites import Calibration

if TYPE_CHECKING:
    from groupbench.suite import Suite


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Calibration().build()


def reachable(root: object) -> list[object]:
    """Return every object that can be reached from ``root``, code left out."""
    seen: dict[int, object] = {}
    queue = [root]
    while queue:
        item = queue.pop()
        if id(item) in seen or isinstance(item, (type, ModuleType, FunctionType)):
            continue
        seen[id(item)] = item
        queue += gc.get_referents(item)
    return list(seen.values())


def test_the_suite_itself_is_known_to_hold_the_truth(suite: Suite) -> None:
    assert all(task.planted is not None for task in suite)
    assert any(isinstance(item, Planted) for item in reachable(suite))


def test_a_strategy_cannot_reach_the_planted_truth(suite: Suite) -> None:
    blind = suite.blinded()
    assert all(task.planted is None for task in blind)
    for task in blind:
        assert len(task.examples(Split.TRAIN)) > 0
    assert not any(isinstance(item, Planted) for item in reachable(blind))


def test_a_strategy_cannot_reach_the_test_split(suite: Suite) -> None:
    task = suite.blinded().tasks[0]
    with pytest.raises(HeldBackError, match="dev-B"):
        task.examples(Split.TEST)
    with pytest.raises(HeldBackError, match="dev-B"):
        task.data[Split.TEST]


def test_what_travels_to_a_fit_holds_no_planted_truth(suite: Suite) -> None:
    order = FitOrder(RunnerIdentity(MajorityRunner()), suite.tasks[:2], seed=0)
    job = pickle.loads(pickle.dumps(order.materialised()))  # noqa: S301 - our own bytes
    assert all(task.planted is None for task in job)
    assert not any(isinstance(item, Planted) for item in reachable(job))


def test_a_runner_gets_no_gold_label_of_what_it_predicts(suite: Suite) -> None:
    inputs, _ = without_leaks(tuple(sorted(suite.tasks, key=lambda t: t.name))[:3])
    for task in inputs:
        assert task.task.data == {}
        for examples in task.predict.values():
            assert all(example.gold is None for example in examples)
