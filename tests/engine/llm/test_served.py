from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from llamas import llama2_tokenizer, llama3_tokenizer
from pretending import KEY, MODEL, PretendingServer, log_prob
from prompting import an_example, make_task

from groupbench.llm import ChatForm, MessagesForm, Mode, PromptBuilder, Wording
from groupbench.llm.errors import StoppedError
from groupbench.llm.model import Abilities
from groupbench.llm.pace import Patience
from groupbench.llm.readers import Reason
from groupbench.llm.requests import Requester
from groupbench.llm.responses import Served
from groupbench.llm.served import ServedModel
from groupbench.llm.spelling import is_canonical
from groupbench.task import Kind
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from groupbench.llm.prompt import Prompt, Question

pytest.importorskip("openai")
pytest.importorskip("transformers")

FORMS: dict[str, Callable[[], Any]] = {
    "llama3": lambda: ChatForm(llama3_tokenizer()),
    "llama2": lambda: ChatForm(llama2_tokenizer()),
}
READS = frozenset({"token_prompts", "label_reads"})
ECHO = frozenset({"token_prompts", "echo_scores"})


def prompts_of(kind: Kind, mode: Mode, form: Any, n: int = 5, **task: Any) -> list[Prompt]:
    made = make_task(kind, **task)
    builder = PromptBuilder(made, Wording.of(made), mode, form, limit=2000)
    return [builder.build(an_example(kind, i)) for i in range(n)]


def answers(
    server: PretendingServer,
    form: Any,
    capabilities: frozenset[str],
    ask: Callable[[ServedModel], Iterator[Any]],
    **parts: Any,
) -> list[Any]:
    with asyncio.Runner() as loop:
        client = OpenAIClient(server.url, KEY)
        settings = {"at_once": 3, "patience": Patience(tries=2, backoff_seconds=0.01), **parts}
        requester = Requester(client, Served("stub", MODEL), **settings)
        model = ServedModel(requester, loop, MODEL, Abilities(form, 2000, capabilities))
        try:
            return list(ask(model))
        finally:
            loop.run(client.__aexit__(None, None, None))


def naive(question: Question) -> list[float]:
    """Sum the pretended model's log-probabilities of each label, token by token."""
    sums = []
    for ids in question.continuations.values():
        whole = [*(question.ids or ()), *ids]
        start = len(whole) - len(ids)
        sums.append(sum(log_prob(whole[:i], whole[i]) for i in range(start, len(whole))))
    return sums


@pytest.mark.parametrize("manner", sorted(FORMS))
@pytest.mark.parametrize("can", [READS, ECHO], ids=["reads", "echo"])
@pytest.mark.parametrize("kind", [Kind.SINGLE, Kind.PAIR, Kind.MULTILABEL])
def test_label_reads_are_the_sums_in_one_call_for_an_example(
    manner: str, can: frozenset[str], kind: Kind
) -> None:
    form = FORMS[manner]()
    prompts = prompts_of(kind, Mode.SCORE, form)
    with PretendingServer() as server:
        found = answers(server, form, can, lambda model: model.read(prompts))
        n_calls = len(server.seen)
    for prompt, reads in zip(prompts, found, strict=True):
        for question, read in zip(prompt.questions, reads, strict=True):
            np.testing.assert_allclose(read.sums, naive(question), atol=1e-9)
            lengths = [len(ids) for ids in question.continuations.values()]
            assert read.n_tokens.tolist() == lengths
    if can is READS:
        assert n_calls == len(prompts)


def test_more_tokens_than_a_call_may_read_take_several() -> None:
    form = FORMS["llama3"]()
    labels = [f"{a}{b}{c}" for a in "qzxjkv" for b in "wyhgfd" for c in "btmpl"][:160]
    prompts = prompts_of(Kind.SINGLE, Mode.SCORE, form, n=2, labels=labels)
    tokens = {t for ids in prompts[0].questions[0].continuations.values() for t in ids}
    with PretendingServer() as server:
        found = answers(server, form, READS, lambda model: model.read(prompts))
        bodies = [body for _, body in server.seen]
    assert max(len(body["logprob_token_ids"]) for body in bodies) <= 128
    assert len(bodies) == 2 * -(-len(tokens) // 128)
    np.testing.assert_allclose(found[1][0].sums, naive(prompts[1].questions[0]), atol=1e-9)


def test_prompts_are_pulled_as_they_are_needed_and_answered_in_order() -> None:
    form = FORMS["llama3"]()
    prompts = prompts_of(Kind.SINGLE, Mode.TEXT, form, n=60)
    pulled = 0

    def lazily() -> Iterable[Prompt]:
        nonlocal pulled
        for prompt in prompts:
            pulled += 1
            yield prompt

    first = []

    def ask(model: ServedModel) -> Iterator[Any]:
        for said in model.generate(lazily()):
            first.append(pulled)
            yield said

    with PretendingServer() as server:
        said = answers(server, form, READS, ask)
        alone = answers(server, form, READS, lambda model: model.generate(prompts[:3]), at_once=1)
    assert first[0] < 30
    assert said[:3] == alone
    assert len({one[0].text for one in said}) == 60


def test_choices_and_schemas_are_sent_and_an_example_takes_one_call() -> None:
    form = FORMS["llama2"]()
    with PretendingServer() as server:
        choices = prompts_of(Kind.MULTILABEL, Mode.CHOICE, form, n=2)
        chosen = answers(server, form, READS, lambda model: model.generate(choices))
        assert len(server.seen) == 2
        assert server.seen[0][1]["structured_outputs"] == {"choice": [" yes", " no"]}
        asked = prompts_of(Kind.SINGLE, Mode.JSON, form, n=2)
        written = answers(server, form, READS, lambda model: model.generate(asked))
    assert {said.text for each in chosen for said in each} <= {" yes", " no"}
    assert [len(each) for each in chosen] == [3, 3]
    assert written[0][0].text == '{"label": "negative"}'


@pytest.mark.parametrize("manner", sorted(FORMS))
@pytest.mark.parametrize("kind", [Kind.SINGLE, Kind.MULTILABEL])
@pytest.mark.parametrize("by_characters", [False, True])
def test_the_spelling_of_a_choice_is_known_by_its_tokens(
    manner: str, kind: Kind, by_characters: bool
) -> None:
    tokenizer = {"llama3": llama3_tokenizer, "llama2": llama2_tokenizer}[manner]()
    prompts = prompts_of(kind, Mode.CHOICE, ChatForm(tokenizer))
    with PretendingServer(tokenizer=tokenizer, by_characters=by_characters) as server:
        found = answers(server, ChatForm(tokenizer), READS, lambda model: model.generate(prompts))
        assert all(body["return_token_ids"] for _, body in server.seen)
    for prompt, said in zip(prompts, found, strict=True):
        for question, one in zip(prompt.questions, said, strict=True):
            assert is_canonical(question, one) is not by_characters


def test_messages_are_sent_where_the_server_renders() -> None:
    form = MessagesForm()
    prompts = prompts_of(Kind.TOKEN, Mode.TEXT, form, n=3)
    with PretendingServer() as server:
        said = answers(server, form, frozenset({"chat"}), lambda model: model.generate(prompts))
        paths = Counter(path for path, _ in server.seen)
    assert paths == {"/v1/chat/completions": 3}
    assert all(one[0].text.startswith(" word") for one in said)


def test_a_prompt_that_is_too_long_has_a_reason_and_the_others_answers() -> None:
    form = FORMS["llama3"]()
    prompts = prompts_of(Kind.SINGLE, Mode.TEXT, form, n=4)
    with PretendingServer(too_long="Number 2.") as server:
        server.tokenizer = llama3_tokenizer()
        said = answers(server, form, READS, lambda model: model.generate(prompts))
    assert said[2] is Reason.PROMPT_TOO_LONG
    assert [isinstance(one, tuple) for one in said] == [True, True, False, True]


def test_a_server_that_fails_is_no_answer() -> None:
    form = FORMS["llama3"]()
    prompts = prompts_of(Kind.SINGLE, Mode.TEXT, form, n=4)
    with PretendingServer(failing=[500] * 50) as server, pytest.raises(StoppedError) as error:
        answers(server, form, READS, lambda model: model.generate(prompts))
    assert "was not answered after all attempts: 500 (busy). Run again" in str(error.value)
