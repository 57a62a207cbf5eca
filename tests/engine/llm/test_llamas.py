from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from llamas import TOKENIZERS, build_llama
from prompting import an_example, make_task, train_of

from groupbench.llm import ChatForm, Mode, PlainForm, PromptBuilder, Wording, plan_reads
from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from groupbench.llm import Form


@pytest.mark.parametrize("manner", TOKENIZERS)
def test_a_tiny_llama_loads_and_its_logits_are_finite_and_far_from_uniform(
    manner: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build_llama(tmp_path / "a", manner)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Sentence: the film was good.\nAnswer:", return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits[0, -1]

    assert (
        ids[0].tolist() == TOKENIZERS[manner]()("Sentence: the film was good.\nAnswer:").input_ids
    )
    assert tokenizer.chat_template
    assert torch.isfinite(logits).all()
    assert logits.std() > 0.5
    assert 300_000 < sum(p.numel() for p in model.parameters()) < 600_000
    assert model.generation_config.temperature == 0.6

    again = AutoModelForCausalLM.from_pretrained(build_llama(tmp_path / "b", manner))
    other = AutoModelForCausalLM.from_pretrained(build_llama(tmp_path / "c", manner, seed=1))
    with torch.no_grad():
        assert torch.equal(again(ids).logits[0, -1], logits)
        assert not torch.allclose(other(ids).logits[0, -1], logits)


@pytest.mark.parametrize("manner", TOKENIZERS)
@pytest.mark.parametrize("make_form", [ChatForm, PlainForm])
def test_label_reads_of_a_model_are_the_sums_over_whole_texts(
    manner: str, make_form: Callable[[Any], Form], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build_llama(tmp_path, manner)
    model = AutoModelForCausalLM.from_pretrained(folder)
    # One label begins another, so that end marks are scored too.
    task = make_task(labels=("positive", "very", "very positive", "negative"))
    form = make_form(AutoTokenizer.from_pretrained(folder))
    builder = PromptBuilder(task, Wording.of(task), Mode.SCORE, form, limit=4096)
    (question,) = builder.build(an_example(Kind.SINGLE, 9), train_of(Kind.SINGLE)[:2]).questions
    assert question.ids is not None

    def log_probs(ids: list[int]) -> Any:
        with torch.no_grad():
            return torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)

    plan = plan_reads(question.continuations)
    replies = []
    for call in plan.calls:
        last = [log_probs(prompt)[-1] for prompt in plan.prompts(question.ids, call)]
        replies.append([{t: float(row[t]) for t in call.token_ids} for row in last])
    reads = plan.sums(replies)

    assert len({tuple(ids) for ids in question.continuations.values()}) == 4
    for label, total in zip(plan.labels, reads.sums, strict=True):
        whole = [*question.ids, *question.continuations[label]]
        rows = log_probs(whole)
        naive = sum(float(rows[i - 1, whole[i]]) for i in range(len(question.ids), len(whole)))
        assert total == pytest.approx(naive, abs=1e-4)
    assert reads.sums.max() - reads.sums.min() > 0.1
