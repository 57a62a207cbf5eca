"""The checks as pytest parameters: one test for each pair of an instance and a check."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from groupbench.testing.checks import checks_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Test = TypeVar("Test", bound="Callable[..., None]")


def parametrize_with_checks(offered: Sequence[Any]) -> Callable[[Test], Test]:
    """Run a test for each instance and each check it must pass.

    The test takes two arguments, an instance and then the check::

        @parametrize_with_checks([MyStrategy(), MyStrategy(k=3)])
        def test_my_strategy(strategy, check):
            check(strategy)

    Args:
        offered: instances of strategies, runners or metrics, with any settings; or tasks.
    """
    pairs = [
        pytest.param(each, check, id=f"{_label(each)}-{check.__name__}")
        for each in offered
        for check in checks_for(each)
    ]

    def decorate(test: Test) -> Test:
        names = list(inspect.signature(test).parameters)[:2]
        decorated: Test = pytest.mark.parametrize(names, pairs)(test)
        return decorated

    return decorate


def _label(offered: Any) -> str:  # noqa: ANN401 - any strategy, runner, metric or task
    try:
        from groupbench.settings import label

        return label(offered)
    except (TypeError, ValueError):  # metrics need not be dataclasses, and tasks are more
        return str(offered.name)
