"""The runner hf-lm against plain passes of transformers over whole texts."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from llamas import TOKENIZERS, llama2_tokenizer
from prompting import GIVEN, an_example, make_task, train_of

from groupbench.errors import SettingError
from groupbench.predictions import Outcome, Output
from groupbench.runner import FitRequest, FitResult, TaskInput
from groupbench.settings import configure
from groupbench.task import Example, Kind, Split, Task
from groupbench_hf_lm.runner import HfLmRunner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from groupbench.llm import Prompt

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

NATS = 1e-4
SCORED = [Kind.SINGLE, Kind.PAIR, Kind.MULTILABEL]
# Labels of several tokens, some of which begin alike, and one that begins another.
WORDED = {
    Kind.SINGLE: ("positive", "very", "very positive", "cause-effect"),
    Kind.PAIR: ("not_equivalent", "equivalent"),
    Kind.MULTILABEL: ("joy", "sign, symptom or illness"),
}


def rows(kind: Kind, n: int = 5) -> list[Example]:
    """Return examples of quite different lengths."""
    found = []
    for i in range(n):
        more = " and so on" * (3 * i % 7)
        given = GIVEN[kind]
        if isinstance(given, str):
            found.append(Example(f"t{i}", f"{i}: {given}{more}", None))
        else:
            found.append(Example(f"t{i}", (*given[:-1], f"{given[-1]}{i}{more}".strip()), None))
    return found


def given(task: Task, examples: Sequence[Example]) -> TaskInput:
    train = tuple(
        e if task.kind is not Kind.SINGLE else replace(e, gold=i % len(task.labels))
        for i, e in enumerate(train_of(task.kind, 12))
    )
    if task.kind is Kind.MULTILABEL:
        train = tuple(replace(e, gold=tuple(k for k in e.gold if k < 2)) for e in train)  # type: ignore[union-attr] # multilabel
    return TaskInput(task, train, (), {Split.TEST: tuple(examples)})


def fitted(
    runner: HfLmRunner, task: Task, examples: Sequence[Example], seed: int = 0
) -> tuple[Output, FitResult]:
    result = runner.fit(FitRequest((given(task, examples),), seed=seed))
    return result.outputs[task.name][Split.TEST], result


def sums_of(result: FitResult) -> Any:
    return result.arrays["label-scores"]["mood.test.sums"]


@cache
def loaded(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def naive(folder: Path, prompt: Prompt) -> list[list[float]]:
    """Return the sums of labels, a pass over context and label for each."""
    found = []
    for question in prompt.questions:
        sums = []
        for ids in question.continuations.values():
            whole = torch.tensor([[*(question.ids or ()), *ids]])
            with torch.no_grad():
                logs = torch.log_softmax(loaded(folder)(whole).logits[0].float(), dim=-1)
            at = len(question.ids or ()) - 1
            sums.append(sum(float(logs[at + i, token]) for i, token in enumerate(ids)))
        found.append(sums)
    return found


@pytest.mark.parametrize("manner", TOKENIZERS)
@pytest.mark.parametrize("kind", SCORED)
@pytest.mark.parametrize(("shots", "template"), [(0, "chat"), (4, "chat"), (4, "plain")])
def test_label_scores_are_sums_over_whole_texts(
    llamas: dict[str, Path], manner: str, kind: Kind, shots: int, template: Any
) -> None:
    runner = HfLmRunner(str(llamas[manner]), shots=shots, template=template, batch_size=3)
    task, examples = make_task(kind, WORDED[kind]), rows(kind)
    output, result = fitted(runner, task, examples)
    prompts = [runner.preview(given(task, examples), e, 0).prompt for e in examples]
    wanted = np.array([naive(llamas[manner], prompt) for prompt in prompts])
    read = sums_of(result).reshape(wanted.shape)
    assert np.abs(read - wanted).max() < NATS
    if kind is not Kind.MULTILABEL:
        assert output.predicted.tolist() == wanted[:, 0].argmax(axis=1).tolist()
        logs = wanted[:, 0] - np.logaddexp.reduce(wanted[:, 0], axis=1, keepdims=True)
        assert output.log_probs == pytest.approx(logs, abs=NATS)
    if shots:
        assert all(len(prompt.shots) == shots for prompt in prompts)
        use: Any = result.training["model"]
        assert use["tokens_computed_for_reads"] < use["tokens_in"]  # beginnings are shared


@pytest.mark.parametrize("manner", TOKENIZERS)
def test_neither_batch_nor_company_nor_order_moves_a_score(
    llamas: dict[str, Path], manner: str
) -> None:
    runner = HfLmRunner(str(llamas[manner]), shots=2)
    task, examples = make_task(labels=WORDED[Kind.SINGLE]), rows(Kind.SINGLE, 7)
    base = sums_of(fitted(runner, task, examples)[1])
    for batch_size in (1, 3):
        other = sums_of(fitted(replace(runner, batch_size=batch_size), task, examples)[1])
        assert np.abs(other - base).max() < NATS
    back = sums_of(fitted(runner, task, examples[::-1])[1])
    assert np.abs(back[::-1] - base).max() < NATS
    alone = sums_of(fitted(runner, task, examples[3:4])[1])
    assert np.abs(alone - base[3:4]).max() < NATS


def test_a_model_whose_layers_see_a_window_is_read_whole(tmp_path: Path) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = llama2_tokenizer()
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=12,
        initializer_range=0.15,
        pad_token_id=None,
    )
    MistralForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    runner = HfLmRunner(str(tmp_path), shots=1, batch_size=4)
    task, examples = make_task(labels=WORDED[Kind.SINGLE]), rows(Kind.SINGLE)
    _, result = fitted(runner, task, examples)
    wanted = [naive(tmp_path, runner.preview(given(task, examples), e, 0).prompt)[0]
              for e in examples]  # fmt: skip
    assert np.abs(sums_of(result) - np.array(wanted)).max() < NATS
    facts: Any = result.training["model"]
    assert facts["shares_beginnings"] is False


def plainly_generated(folder: Path, prompt: Prompt) -> str:
    """Return what transformers generates after one prompt, alone and without padding."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    (question,) = prompt.questions
    ids = torch.tensor([list(question.ids or ())])
    with torch.no_grad():
        out = loaded(folder).generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            temperature=None,
            top_p=None,
            max_new_tokens=prompt.max_tokens,
            pad_token_id=0,
        )
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


@pytest.mark.parametrize("manner", TOKENIZERS)
@pytest.mark.parametrize("kind", list(Kind))
def test_text_is_what_transformers_generates(
    llamas: dict[str, Path], manner: str, kind: Kind
) -> None:
    runner = HfLmRunner(str(llamas[manner]), mode="text", shots=1, batch_size=2, max_output=12)
    task, examples = make_task(kind), rows(kind, 3)
    output, result = fitted(runner, task, examples)
    shown = [runner.preview(given(task, examples), e, 0).prompt for e in examples]
    assert output.raw == tuple(plainly_generated(llamas[manner], prompt) for prompt in shown)
    facts: Any = result.training["prompts"]
    assert facts["mood"]["mode"] == "text"


def test_plain_text_ends_at_an_empty_line(llamas: dict[str, Path]) -> None:
    """A base model has no end mark: what it writes is cut where the next example would begin."""
    folder = llamas["llama3"]
    runner = HfLmRunner(str(folder), mode="text", template="plain", max_output=40)
    task, examples = make_task(), rows(Kind.SINGLE, 8)
    output, _ = fitted(runner, task, examples)
    shown = [runner.preview(given(task, examples), e, 0).prompt for e in examples]
    whole = [plainly_generated(folder, prompt) for prompt in shown]
    assert output.raw == tuple(text.split("\n\n")[0] for text in whole)


def test_each_answer_has_its_own_cap(llamas: dict[str, Path]) -> None:
    runner = HfLmRunner(str(llamas["llama3"]), mode="text", batch_size=8)
    task = make_task(Kind.TOKEN)
    examples = [Example("short", ("Aspirin",), None), an_example(Kind.TOKEN)]
    prompts = [runner.preview(given(task, examples), e, 0).prompt for e in examples]
    assert prompts[0].max_tokens < prompts[1].max_tokens
    output, _ = fitted(runner, task, examples)
    assert output.raw == tuple(plainly_generated(llamas["llama3"], prompt) for prompt in prompts)


def test_what_does_not_fit_or_is_cut_has_its_outcome(llamas: dict[str, Path]) -> None:
    task = make_task()
    examples = [*rows(Kind.SINGLE, 2), Example("long", "very good " * 300, None)]
    short = HfLmRunner(str(llamas["llama2"]), max_length=300, on_long="refuse")
    output, result = fitted(short, task, examples)
    assert output.outcomes == (Outcome.OK, Outcome.OK, Outcome.TRUNCATED)
    facts: Any = result.training["prompts"]
    assert facts["mood"]["splits"]["test"]["reasons"] == {"long": "prompt_too_long"}

    output, _ = fitted(replace(short, on_long="cut"), task, examples)
    assert output.outcomes == (Outcome.OK,) * 3
    assert output.input_cut == (False, False, True)

    output, result = fitted(replace(short, mode="text", max_output=1), task, examples[:2])
    assert output.outcomes == (Outcome.TRUNCATED,) * 2
    facts = result.training["prompts"]
    assert set(facts["mood"]["splits"]["test"]["reasons"].values()) == {"length"}


def test_calibration_and_normalisation_hold_for_a_real_model(llamas: dict[str, Path]) -> None:
    task, examples = make_task(labels=WORDED[Kind.SINGLE]), rows(Kind.SINGLE)
    runner = HfLmRunner(str(llamas["llama3"]), calibration="pmi", normalisation="per_token")
    output, result = fitted(runner, task, examples)
    kept = result.arrays["label-scores"]
    scores = kept["mood.test.sums"] / kept["mood.test.n_tokens"]
    scores = scores - kept["mood.pmi.sums"] / kept["mood.pmi.n_tokens"]
    assert output.predicted.tolist() == scores.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "json"}, "mode = 'json': hf-lm constrains no answer; use auto, score or text"),
        ({"batch_size": 0}, "batch_size = 0 must be at least 1"),
        ({"dtype": "int8"}, "Invalid enum value 'int8'"),
        ({"shot": 3}, "no setting named 'shot'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as problem:
        configure(HfLmRunner, settings, where="runner hf-lm")
    assert message in str(problem.value)


def test_what_is_missing_is_said_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "model is empty: name a folder or a hub id" in str(HfLmRunner().availability())
    absent = HfLmRunner("org/no-model@v2").availability()
    assert "hf download org/no-model --revision v2" in str(absent)
    with pytest.raises(SettingError, match="hf download"):
        HfLmRunner("org/no-model").identity()

    folder = tmp_path / "model"
    folder.mkdir()
    said = [HfLmRunner(str(folder)).availability()]
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    said.append(HfLmRunner(str(folder)).availability())
    (folder / "model-1.safetensors").write_bytes(b"x")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    said.append(HfLmRunner(str(folder)).availability())
    wanted = ("holds no config.json", "which would be unpickled", "lacks model-2.safetensors")
    assert all(part in str(each) for part, each in zip(wanted, said, strict=True))
    (folder / "model-2.safetensors").write_bytes(b"x")
    assert HfLmRunner(str(folder)).availability() is None
    with pytest.raises(SettingError, match="transformers cannot load its tokenizer"):
        HfLmRunner(str(folder)).abilities()


def test_without_torch_it_is_skipped_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch, llamas: dict[str, Path]
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else found(name)
    )
    said = HfLmRunner(str(llamas["llama3"])).availability()
    assert said == "torch is not installed: pip install 'groupbench[encoder,llm]'"


def test_the_identity_is_that_of_the_files_not_of_the_folder(
    llamas: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "elsewhere"
    shutil.copytree(llamas["llama3"], copy)
    same, other = HfLmRunner(str(copy)), HfLmRunner(str(llamas["llama2"]))
    original = HfLmRunner(str(llamas["llama3"])).identity()
    assert same.identity() == original != other.identity()
    template = copy / "chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert same.identity() != original


def test_the_process_is_left_as_it_was(llamas: dict[str, Path]) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    fitted(HfLmRunner(str(llamas["llama3"]), threads=threads + 1), make_task(), rows(Kind.SINGLE))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_half_the_batch_after_memory_ran_out(llamas: dict[str, Path]) -> None:
    runner, task = HfLmRunner(str(llamas["llama3"]), batch_size=4), make_task()
    request = FitRequest((given(task, rows(Kind.SINGLE)),), seed=0)
    used: Any = [runner.fit(replace(request, batch_divisor=n)).training["model"] for n in (1, 2, 8)]
    assert [facts["batch_size"] for facts in used] == [4, 2, 1]
