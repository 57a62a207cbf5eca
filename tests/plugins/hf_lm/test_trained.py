"""A language model that has learnt a task answers it: prompts, decoding and reading are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trained_llama import train_llama
from trained_runs import agreement, run_trained

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site


@pytest.mark.timeout(600)
def test_a_model_that_has_learnt_the_task_is_far_above_the_commonest_label(
    site: Site, tmp_path: Path
) -> None:
    model = train_llama(tmp_path / "model", "llama3")
    scored, written = (f"hf-lm:model={model},mode={mode}" for mode in ("score", "text"))
    found = run_trained(site, tmp_path / "store", [scored, written, "majority"])
    for runner in (scored, written):
        found[runner].demand_far_above(found["majority"])
    assert agreement(found[scored], found[written]) >= 0.99
