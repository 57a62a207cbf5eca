"""Accuracy through a real vLLM, of a tiny model that has learnt a calibration task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sites import Site  # noqa: TC002 - a fixture's type
from trained_llama import train_llama
from trained_runs import agreement, run_trained

from groupbench.llm.vllm_server import VllmServer, VllmSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("manner", ["llama3", "llama2"])
def test_three_runners_read_the_same_answers_from_a_model_that_knows(
    site: Site, tmp_path: Path, manner: str
) -> None:
    model = train_llama(tmp_path / manner, manner)
    server = VllmServer(VllmSettings(model, manner, dtype="float32", max_model_len=1024))
    try:
        (tmp_path / "logs").mkdir()
        address = server.start(tmp_path / "logs")
        attached = f"url={address['url']},key_variable=TRAINED_KEY,served_as={manner}"
        vllm = f"vllm:model={model},{attached},mode="
        local = f"hf-lm:model={model},mode="
        openai = f"openai:{attached},mode=text"
        found = run_trained(
            site,
            tmp_path / "store",
            [vllm + "score", vllm + "text", local + "score", local + "text", openai, "majority"],
            TRAINED_KEY=address["api_key"],
        )
    finally:
        server.stop()
    majority = found.pop("majority")
    assert len(found) == 5
    for answers in found.values():
        answers.demand_far_above(majority)
    (scored,) = (answers for label, answers in found.items() if label == local + "score")
    (text,) = (answers for label, answers in found.items() if label == local + "text")
    for label, answers in found.items():
        assert agreement(answers, scored if "mode=score" in label else text) >= 0.99, label
