"""The checks of groupbench.testing on lora, with a tiny Llama and without any model."""

from __future__ import annotations

import pytest

from groupbench.testing.checks import Check, check_results, checks_for
from groupbench_lora import hooks
from groupbench_lora.runner import LoraRunner


@pytest.mark.parametrize("check", checks_for(LoraRunner()), ids=lambda check: check.__name__)
def test_lora_keeps_its_promises(llama: str, check: Check) -> None:
    check(LoraRunner(llama, steps=2, max_length=512, max_output=4, lr=2e-3, read_batch_size=16))


def test_without_a_model_checks_that_need_one_are_skipped_and_none_fails() -> None:
    results = list(check_results(LoraRunner()))
    assert {result.status for result in results} == {"pass", "skip"}
    assert all("model is empty" in str(r.reason) for r in results if r.status == "skip")


def test_the_plugin_offers_the_runner() -> None:
    assert list(hooks.groupbench_register_runners()) == [LoraRunner]
