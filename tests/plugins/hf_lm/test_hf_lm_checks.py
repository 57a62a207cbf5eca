"""The checks of groupbench.testing on hf-lm, with a tiny Llama and without any model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from groupbench.testing.checks import check_results, checks_for
from groupbench_hf_lm.runner import HfLmRunner

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.testing.checks import Check


@pytest.mark.parametrize("check", checks_for(HfLmRunner()), ids=lambda check: check.__name__)
def test_hf_lm_keeps_its_promises(llamas: dict[str, Path], check: Check) -> None:
    model = str(llamas["llama3"])
    check(HfLmRunner(model, shots=2, max_length=512, max_output=4, batch_size=16))


def test_without_a_model_checks_that_need_one_are_skipped_and_none_fails() -> None:
    results = list(check_results(HfLmRunner()))
    assert {result.status for result in results} == {"pass", "skip"}
    assert all("model is empty" in str(r.reason) for r in results if r.status == "skip")
