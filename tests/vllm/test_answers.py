"""What a real vLLM answers, against transformers with the same weights."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from prompting import an_example, make_task, train_of

from groupbench.llm import Mode, PromptBuilder, Wording, read_answer
from groupbench.llm.errors import StoppedError
from groupbench.llm.forms import form_of
from groupbench.llm.model import Abilities
from groupbench.llm.probe import CAPABILITIES, Probed, probe
from groupbench.llm.readers import Reason
from groupbench.llm.requests import Requester
from groupbench.llm.responses import Served
from groupbench.llm.secrets import Redactor
from groupbench.llm.served import ServedModel
from groupbench.llm.server_api import get, tokenized
from groupbench.llm.spelling import is_canonical
from groupbench.task import Kind
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from groupbench.llm.prompt import Prompt, Question

    Tiny = tuple[Path, Mapping[str, str]]

REPLACED = "\N{REPLACEMENT CHARACTER}"
SCORED = (Kind.SINGLE, Kind.PAIR, Kind.MULTILABEL)
TEXTS = (
    "Sentence: The film was good, said patient 12.\n\nAnswer:",
    "  two blanks, naïve 日本語 and\ttabs\n",
    '[INST] <<SYS>> a <</SYS>> b [/INST] {"x": [1.5e-3]}',
)


def tokenizer_of(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder))


def prompts_of(folder: Path, kind: Kind, mode: Mode, *, k: int = 0, n: int = 6) -> list[Prompt]:
    task = make_task(kind)
    form = form_of(tokenizer_of(folder))
    builder = PromptBuilder(task, Wording.of(task), mode, form, limit=1000)
    shots = train_of(kind)[:k]
    return [builder.build(an_example(kind, 100 + i), shots) for i in range(n)]


def probing(address: Mapping[str, str], key: str) -> Probed:
    async def run() -> Probed:
        async with OpenAIClient(address["url"], key) as client:
            return await probe(client, address["model"], redact=Redactor([key]))

    return asyncio.run(run())


def asked(
    tiny: Tiny, ask: Callable[[ServedModel], Iterator[Any]], can: frozenset[str] = frozenset()
) -> list[Any]:
    folder, address = tiny
    form = form_of(tokenizer_of(folder))
    abilities = Abilities(form, 1000, can or frozenset({"token_prompts", "label_reads"}))
    with asyncio.Runner() as loop:
        client = OpenAIClient(address["url"], address["api_key"])
        requester = Requester(client, Served("vllm", folder.name), at_once=8)
        try:
            return list(ask(ServedModel(requester, loop, address["model"], abilities)))
        finally:
            loop.run(client.__aexit__(None, None, None))


def naive_sums(model: Any, question: Question) -> list[float]:
    """Score each label's whole text by itself, with no cache and no padding."""
    import torch

    sums = []
    for ids in question.continuations.values():
        whole = torch.tensor([[*(question.ids or ()), *ids]])
        with torch.no_grad():
            log_probs = model(whole).logits[0].double().log_softmax(-1)
        start = whole.shape[1] - len(ids)
        sums.append(sum(float(log_probs[start + i - 1, t]) for i, t in enumerate(ids)))
    return sums


def test_the_probe_finds_what_vllm_can(served: Tiny) -> None:
    _, address = served
    found = probing(address, address["api_key"])
    assert found.capabilities == frozenset(CAPABILITIES) - {"echo_scores"}, found.lacking


def test_a_wrong_key_is_refused(served: Tiny) -> None:
    _, address = served
    with pytest.raises(StoppedError, match="Check its API key"):
        probing(address, "sk-wrong-0123456789")


def test_the_server_tokenises_as_we_do(served: Tiny) -> None:
    folder, address = served
    tokenizer = tokenizer_of(folder)
    rendered = [
        prompt.text
        for kind in SCORED
        for k in (0, 4)
        for prompt in prompts_of(folder, kind, Mode.TEXT, k=k, n=2)
    ]
    for text in (*TEXTS, *rendered):
        ours = list(tokenizer(text, add_special_tokens=False).input_ids)
        assert tokenized(address["url"], address["model"], text, address["api_key"]) == ours


@pytest.mark.parametrize("k", [0, 4], ids=["zero-shot", "few-shot"])
@pytest.mark.parametrize("by", ["label_reads", "echo_scores"])
def test_label_scores_are_those_of_transformers(served: Tiny, k: int, by: str) -> None:
    from transformers import AutoModelForCausalLM

    folder, _ = served
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype="float32").eval()
    can = frozenset({"token_prompts", by})
    for kind in SCORED:
        prompts = prompts_of(folder, kind, Mode.SCORE, k=k, n=3)
        found = asked(served, partial(ServedModel.read, prompts=prompts), can)
        for prompt, reads in zip(prompts, found, strict=True):
            for question, read in zip(prompt.questions, reads, strict=True):
                np.testing.assert_allclose(read.sums, naive_sums(model, question), atol=1e-4)


def test_free_text_is_the_likeliest_and_ends_where_the_model_ends_it(served: Tiny) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder, address = served
    tokenizer = tokenizer_of(folder)
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype="float32").eval()
    prompts = prompts_of(folder, Kind.SINGLE, Mode.TEXT)
    said = asked(served, lambda served: served.generate(prompts))
    for prompt, (one,) in zip(prompts, said, strict=True):
        sent = list(prompt.questions[0].ids or ())
        ids = torch.tensor([sent])
        with torch.no_grad():
            whole = model.generate(ids, do_sample=False, max_new_tokens=prompt.max_tokens)
        likeliest = whole[0, ids.shape[1] :]
        body = {"model": address["model"], "prompt": [sent], "max_tokens": prompt.max_tokens}
        body |= {"temperature": 0, "return_token_ids": True}
        reply = get(f"{address['url']}/completions", api_key=address["api_key"], body=body)
        (choice,) = reply.json()["choices"]
        assert choice["token_ids"] == likeliest.tolist()
        assert one.text == choice["text"]
        assert one.finish_reason == choice["finish_reason"]
        text = tokenizer.decode(likeliest, skip_special_tokens=True)
        if REPLACED not in text:  # half characters are decoded in more than one way
            assert (one.text or "").strip() == text.strip()


def test_a_choice_is_one_of_the_surfaces(served: Tiny) -> None:
    folder, _ = served
    tokenizer = tokenizer_of(folder)
    for kind in SCORED:
        prompts = prompts_of(folder, kind, Mode.CHOICE)
        for prompt, said in zip(
            prompts, asked(served, partial(ServedModel.generate, prompts=prompts)), strict=True
        ):
            for question, one in zip(prompt.questions, said, strict=True):
                assert one.text in set(question.choices.values())
                assert one.finish_reason == "stop"
                assert one.token_ids
                decoded = tokenizer.decode(one.token_ids, skip_special_tokens=True)
                assert decoded.strip() == (one.text or "").strip()
                spelt = [question.spellings[name] for name, text in question.choices.items()
                         if text == one.text]  # fmt: skip
                canonical = any(one.token_ids[: len(ids)] == ids for ids in spelt)
                assert is_canonical(question, one) is canonical


@pytest.mark.parametrize("kind", [Kind.SINGLE, Kind.MULTILABEL])
def test_json_fits_its_schema_and_has_no_blanks_without_end(served: Tiny, kind: Kind) -> None:
    folder, _ = served
    prompts = prompts_of(folder, kind, Mode.JSON)
    for prompt, (one,) in zip(
        prompts, asked(served, lambda served: served.generate(prompts)), strict=True
    ):
        assert prompt.schema is not None
        said = json.loads(one.text)
        assert set(said) == set(prompt.schema["required"])  # type: ignore[arg-type]
        assert "\n" not in one.text


def test_entities_come_as_json_by_schema_and_are_aligned(served: Tiny) -> None:
    folder, _ = served
    task = make_task(Kind.TOKEN)
    wording = Wording.of(task)
    prompts = prompts_of(folder, Kind.TOKEN, Mode.JSON, n=4)
    said = asked(served, lambda served: served.generate(prompts))
    for prompt, one in zip(prompts, said, strict=True):
        read = read_answer(wording, Mode.JSON, prompt, one, salvage=True)
        if one[0].finish_reason == "stop":
            entities = json.loads(one[0].text)["entities"]
            assert all(set(entity) == {"text", "type"} for entity in entities)
            assert {entity["type"] for entity in entities} <= {"drug", "disease"}
            assert read.reason is None
            assert len(read.tags) == len(prompt.given)
        else:  # a model that has learnt nothing may write on to the cap, but only by the schema
            assert one[0].text.startswith('{"entities"')
            assert one[0].finish_reason == "length"


def test_a_prompt_over_the_context_is_refused_and_the_others_answered(served: Tiny) -> None:
    folder, _ = served
    task = make_task(Kind.SINGLE)
    builder = PromptBuilder(
        task, Wording.of(task), Mode.SCORE, form_of(tokenizer_of(folder)), limit=9000
    )
    fine = an_example(Kind.SINGLE, 1)
    long = type(fine)("long", "The film was good. " * 400, None)
    prompts = [builder.build(example) for example in (fine, long, fine)]
    assert prompts[1].n_tokens > 1024
    found = asked(served, lambda served: served.read(prompts))
    assert found[1] is Reason.PROMPT_TOO_LONG
    assert found[0][0].sums.tolist() == found[2][0].sums.tolist()
