"""In-context PVI: the prompt without input against the prompt with it, from raw logits."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sites import write_tasks

from groupbench.cards.card import load_tasks_dir
from groupbench.llm import Mode, PromptBuilder, Wording, form_of
from groupbench.task import Split

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Site

    from groupbench.llm import Prompt


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "cards", ["alpha", "beta"], n=12)


def measured(site: Site, cards: Path, runner: str, *more: object) -> tuple[int, Any, str]:
    done = site.groupbench(
        *("pvi", "--tasks-dir", cards, "--task", "alpha", "--task", "beta", "--runner", runner),
        *("--store", cards / "store", "--json", *more),
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@cache
def loaded(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def naive_bits(folder: Path, prompt: Prompt) -> np.typing.NDArray[Any]:
    """Return the surprisal of each label after a prompt: one pass of transformers for each."""
    import torch

    net = loaded(folder)
    (question,) = prompt.questions
    sums = []
    for ids in question.continuations.values():
        whole = [*(question.ids or ()), *ids]
        with torch.inference_mode():
            log_probs = net(torch.tensor([whole])).logits[0].double().log_softmax(-1)
        start = len(whole) - len(ids)
        sums.append(sum(float(log_probs[start + i - 1, token]) for i, token in enumerate(ids)))
    scores = np.array(sums)
    return np.asarray(-(scores - np.logaddexp.reduce(scores)) / np.log(2))


@pytest.mark.parametrize("manner", ["llama2", "llama3"])
def test_both_sides_are_what_transformers_says_of_their_prompts(
    site: Site, cards: Path, llamas: dict[str, Path], manner: str
) -> None:
    from transformers import AutoTokenizer

    rows = cards / "rows.parquet"
    spec = f"hf-lm:model={llamas[manner]}"
    code, document, stderr = measured(site, cards, spec, "--examples", rows)
    assert code == 0, stderr
    assert document["null"] == "in-context"
    assert document["calibrated"] is False
    assert (document["shots"], document["null_prompt"]) == (0, "instruction")
    (task,) = load_tasks_dir(cards / "alpha")
    tokenizer = AutoTokenizer.from_pretrained(llamas[manner])
    builder = PromptBuilder(task, Wording.of(task), Mode.SCORE, form_of(tokenizer), limit=4096)
    null = naive_bits(llamas[manner], builder.null())
    examples = {example.id: example for example in task.examples(Split.DEV_B)}
    found = [row for row in pq.read_table(rows).to_pylist() if row["task"] == "alpha"]
    assert len(found) == len(examples) == document["tasks"][0]["n"]
    for row in found:
        gold = task.labels.index(row["label"])
        full = naive_bits(llamas[manner], builder.build(examples[row["example"]]))
        assert row["h_0"] == pytest.approx(null[gold], abs=1e-3)
        assert row["h_x"] == pytest.approx(full[gold], abs=1e-3)
        assert row["pvi"] == pytest.approx(null[gold] - full[gold], abs=2e-3)
    mean = np.mean([row["pvi"] for row in found])
    assert document["tasks"][0]["v_information_bits"] == pytest.approx(mean)


def test_shots_reduce_to_their_answers_and_each_pair_has_its_power(
    site: Site, cards: Path, llamas: dict[str, Path]
) -> None:
    spec = f"hf-lm:model={llamas['llama3']},shots=2"
    code, document, stderr = measured(site, cards, spec, "--seed", 0, "--seed", 1)
    assert code == 0, stderr
    assert (document["shots"], document["null_prompt"]) == (2, "answers of the shots")
    assert [row["sd_between_seeds_bits"] > 0 for row in document["tasks"]] == [True, True]
    (pair,) = document["pairs"]
    assert (pair["a"], pair["b"]) == ("alpha", "beta")
    assert 0 <= pair["power"] <= 1
    bits = {row["task"]: row["v_information_bits"] for row in document["tasks"]}
    assert pair["difference"] == pytest.approx(bits["alpha"] - bits["beta"])
    # Label frequencies are another null: the full side stays, and temperatures are picked again.
    code, other, _ = measured(site, cards, spec, "--seed", 0, "--null", "closed-form")
    assert code == 0
    assert other["null"] == "closed-form"
    assert "shots" not in other


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("mode=text", "gives none with mode = 'text'. Use mode=score."),
        ("calibration=pmi", "which the null prompt's scores have not. Use calibration=none."),
    ],
)
def test_what_has_no_such_null_is_refused(
    site: Site, cards: Path, llamas: dict[str, Path], more: str, message: str
) -> None:
    code, _, stderr = measured(site, cards, f"hf-lm:model={llamas['llama3']},{more}")
    assert code == 2
    assert message in stderr
    assert "Traceback" not in stderr


def test_entities_are_refused_before_anything_is_asked(
    site: Site, cards: Path, llamas: dict[str, Path]
) -> None:
    done = site.groupbench(
        *("pvi", "--task", "f0_tag", "--runner", f"hf-lm:model={llamas['llama3']}"),
        *("--store", cards / "store"),
    )
    assert done.returncode == 2
    assert "leave out f0_tag" in done.stderr
    assert "to compute" not in done.stderr
