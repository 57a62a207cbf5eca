"""Checks for grouping strategies. Evidence is made up, so nothing is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from groupbench.canonical import to_json
from groupbench.errors import GroupbenchError, SettingError
from groupbench.grouping import Grouping, Plan
from groupbench.testing.checks import (
    CannotCheckError,
    Check,
    check_imports_nothing_heavy,
    check_names_itself,
    check_settings_survive_text,
    demand,
    fail,
)
from groupbench.testing.toy import ToyWorkbench, toy_suite

if TYPE_CHECKING:
    from groupbench.grouping import GroupingStrategy
    from groupbench.suite import Suite


def check_serves_each_task_once(strategy: GroupingStrategy) -> None:
    """Its groups serve every task of the suite, and no other, exactly once."""
    suite = _seen_by(strategy, toy_suite())
    grouping = _proposal(strategy, suite)
    try:
        grouping.check(suite)
    except GroupbenchError as problem:
        fail(f"{strategy.name}: {problem}")


def check_small_suites_are_no_trouble(strategy: GroupingStrategy) -> None:
    """Of one or two tasks it proposes groups, or says in a `GroupbenchError` why it cannot."""
    for n_tasks in (1, 2):
        suite = _seen_by(strategy, toy_suite(n_tasks))
        try:
            grouping = strategy.propose(suite, ToyWorkbench(suite))
        except GroupbenchError:
            continue
        grouping.check(suite)


def check_order_of_the_suite_does_not_matter(strategy: GroupingStrategy) -> None:
    """It proposes the same groups for the same tasks in another order."""
    suite = _seen_by(strategy, toy_suite())
    straight = _proposal(strategy, suite)
    for tasks in (suite.tasks[1::2] + suite.tasks[::2], suite.tasks[1:] + suite.tasks[:1]):
        demand(
            _proposal(strategy, replace(suite, tasks=tasks)) == straight,
            f"{strategy.name} proposes other groups when the suite's tasks are in another order.",
        )


def check_proposes_the_same_twice(strategy: GroupingStrategy) -> None:
    """It proposes the same when asked again: chance comes from its settings, not from the clock."""
    suite = _seen_by(strategy, toy_suite())
    demand(
        _proposal(strategy, suite) == _proposal(strategy, suite),
        f"{strategy.name} proposes other groups when it is asked again.",
    )


def check_plans_what_it_asks_for(strategy: GroupingStrategy) -> None:
    """Planning asks for no fit, and no group is asked for later that was not planned."""
    suite = _seen_by(strategy, toy_suite())
    workbench = ToyWorkbench(suite)
    try:
        plan = strategy.plan(suite, workbench)
        demand(isinstance(plan, Plan), f"{strategy.name}: plan returned {plan!r}, not a Plan.")
        demand(not workbench.asked, f"{strategy.name}: plan asked for fits; only propose may.")
        strategy.propose(suite, workbench)
    except SettingError as problem:
        raise CannotCheckError(f"it proposes nothing with these settings: {problem}") from problem
    planned = {group for fits in plan.fits for group in fits.groups}
    unplanned = sorted(set(workbench.asked) - planned)
    demand(not unplanned, f"{strategy.name}: propose asked for {unplanned[:3]}, which plan lacks.")


def check_evidence_is_json(strategy: GroupingStrategy) -> None:
    """What its decision rests on can be written down."""
    suite = _seen_by(strategy, toy_suite())
    try:
        to_json(_proposal(strategy, suite).evidence)
    except ValueError as problem:
        fail(f"{strategy.name}: evidence is not JSON: {problem}")


CHECKS: tuple[Check, ...] = (
    check_names_itself,
    check_settings_survive_text,
    check_imports_nothing_heavy,
    check_serves_each_task_once,
    check_small_suites_are_no_trouble,
    check_order_of_the_suite_does_not_matter,
    check_proposes_the_same_twice,
    check_plans_what_it_asks_for,
    check_evidence_is_json,
)


def _seen_by(strategy: GroupingStrategy, suite: Suite) -> Suite:
    return suite if getattr(strategy, "oracle", False) else suite.blinded()


def _proposal(strategy: GroupingStrategy, suite: Suite) -> Grouping:
    try:
        grouping = strategy.propose(suite, ToyWorkbench(suite))
    except SettingError as problem:
        raise CannotCheckError(f"it proposes nothing with these settings: {problem}") from problem
    demand(isinstance(grouping, Grouping), f"{strategy.name}: {grouping!r} is not a Grouping.")
    return grouping
