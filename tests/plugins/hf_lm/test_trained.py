"""A language model that has learnt a task answers it: prompts, decoding and reading are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trained_llama import TASK, train_llama
from trained_runs import agreement, run_trained

from groupbench.llm import MessagesForm, Mode, PromptBuilder, Wording
from groupbench.task import Split
from groupbench_tasks.calibration.suites import Calibration

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


def test_its_prompts_hold_the_labels_as_the_list_of_answers_and_nowhere_else() -> None:
    (task,) = (task for task in Calibration().build() if task.name == TASK)
    wording = Wording.of(task)
    builder = PromptBuilder(task, wording, Mode.TEXT, MessagesForm(), limit=4096)
    data = task.loader()
    examples = data[Split.TEST]
    assert len(examples) >= 500
    assert not {e.text for e in examples} & {e.text for e in data[Split.TRAIN]}, "all are unseen"
    for example in examples:
        prompt = builder.build(example)
        assert prompt.text.count(prompt.parts["labels"]) == 1
        rest = prompt.text.replace(prompt.parts["labels"], "").casefold()
        for name in wording.names:
            assert not [said for said in wording.surfaces[name] if said.casefold() in rest]
