from __future__ import annotations

import asyncio

import pytest
from pretending import KEY, MODEL, TOKENS, PretendingServer

from groupbench.llm.errors import StoppedError
from groupbench.llm.modes import Mode, choose_mode
from groupbench.llm.pace import Patience
from groupbench.llm.probe import CAPABILITIES, Probed, probe
from groupbench.llm.secrets import Redactor
from groupbench.task import Kind
from groupbench_openai_client.client import OpenAIClient

pytest.importorskip("openai")

HASTY = Patience(tries=4, backoff_seconds=0.01)
ALL = frozenset(CAPABILITIES) - {"echo_scores"}
"""What vLLM can: it is not asked for echo where it reads labels."""


def find_out(server: PretendingServer, key: str = KEY) -> Probed:
    async def run() -> Probed:
        async with OpenAIClient(server.url, key) as client:
            return await probe(client, MODEL, patience=HASTY, redact=Redactor([key]))

    return asyncio.run(run())


def test_all_is_found_in_some_15_short_requests() -> None:
    with PretendingServer() as server:
        found = find_out(server)
    assert found.capabilities == ALL
    assert found.lacking == {"echo_scores": "not asked: labels can be read"}
    assert found.n_requests == len(server.seen) <= 15
    caps = [body.get("max_tokens") or body["max_completion_tokens"] for _, body in server.seen]
    assert max(caps) < 100
    assert choose_mode("auto", Kind.SINGLE, found.capabilities) is Mode.SCORE
    assert found.as_json()["can"] == sorted(ALL)


@pytest.mark.parametrize(
    ("field", "lost", "why"),
    [
        ("structured_outputs", {"choice"}, "it chose ' word"),
        ("response_format", {"json_schema", "json_compact"}, "it wrote ' word"),
        ("logprob_token_ids", {"label_reads"}, "were not read"),
        ("logprobs", {"label_reads", "top_logprobs"}, "were not read"),
        ("seed", {"seed"}, "two seeds gave the same answer"),
        ("temperature", {"seed"}, "two seeds gave the same answer"),
        ("model", {"model_404"}, "another model's name gave 200"),
        ("usage", {"usage", "token_prompts", "batch_prompts"}, "usage holds no"),
        (TOKENS, {"token_prompts", "batch_prompts"}, "4 token ids were counted as"),
    ],
)
def test_a_field_that_is_ignored_with_a_200_is_found_out(
    field: str, lost: set[str], why: str
) -> None:
    with PretendingServer(ignores=frozenset({field})) as server:
        found = find_out(server)
    assert found.capabilities - {"echo_scores"} == ALL - lost
    assert why in " ".join(found.lacking[name] for name in lost)


@pytest.mark.parametrize(
    ("field", "lost"),
    [
        ("structured_outputs", {"choice"}),
        ("logprob_token_ids", {"label_reads"}),
        (TOKENS, {"token_prompts", "batch_prompts", "label_reads"}),
    ],
)
def test_a_field_that_is_refused_is_lacking_with_the_reason(field: str, lost: set[str]) -> None:
    with PretendingServer(refuses=frozenset({field})) as server:
        found = find_out(server)
    assert found.capabilities - {"echo_scores"} == ALL - lost
    assert all(found.lacking[name].startswith("400: ") for name in lost)


def test_a_server_without_label_reads_may_score_by_echo() -> None:
    with PretendingServer(ignores=frozenset({"logprob_token_ids"})) as server:
        assert "echo_scores" in find_out(server).capabilities
    with PretendingServer(ignores=frozenset({"logprob_token_ids", "echo"})) as server:
        found = find_out(server)
    assert "the prompt's tokens came back as" in found.lacking["echo_scores"]


def test_json_with_blanks_where_it_likes_is_not_compact() -> None:
    with PretendingServer(blanks=True) as server:
        found = find_out(server)
    assert found.capabilities == ALL - {"json_compact"}


def test_a_server_that_only_chats_passes_as_text() -> None:
    fields = {"structured_outputs", "response_format", "logprobs", "seed", "usage", "model"}
    with PretendingServer(ignores=frozenset(fields), refuses=frozenset({"prompt"})) as server:
        found = find_out(server)
    assert found.capabilities == {"chat"}
    assert choose_mode("auto", Kind.TOKEN, found.capabilities) is Mode.TEXT


def test_a_base_model_has_all_but_chat() -> None:
    with PretendingServer(chats=False) as server:
        assert find_out(server).capabilities == ALL - {"chat"}


def test_a_busy_server_is_asked_again_and_lacks_nothing() -> None:
    with PretendingServer(failing=[503, 500, 429]) as server:
        found = find_out(server)
    assert found.capabilities == ALL


def test_a_server_that_stays_busy_is_not_believed_to_lack_anything() -> None:
    with PretendingServer(failing=[503] * 9) as server, pytest.raises(StoppedError) as error:
        find_out(server)
    assert "could not be probed: 503 (busy). Run again" in str(error.value)


def test_a_wrong_key_ends_it_without_showing_the_key() -> None:
    with PretendingServer() as server, pytest.raises(StoppedError) as error:
        find_out(server, "sk-another-0123456789")
    assert "Check its API key" in str(error.value)
    assert "sk-another" not in str(error.value)


def test_another_model_that_answers_ends_it() -> None:
    with (
        PretendingServer(model="someone", ignores=frozenset({"model"})) as server,
        pytest.raises(StoppedError, match="'tiny-1' was asked and 'someone' answered"),
    ):
        find_out(server)


@pytest.mark.parametrize("name", ["gpt-4.1-2025-04-14", "gpt-6-luna", "org/Llama-2-7b-base", "x5"])
def test_nothing_is_inferred_from_a_models_name(name: str) -> None:
    async def ask(server: PretendingServer) -> Probed:
        async with OpenAIClient(server.url, KEY) as client:
            return await probe(client, name, patience=HASTY)

    fields = {"structured_outputs", "logprob_token_ids"}
    with PretendingServer(model=name) as server:
        assert asyncio.run(ask(server)).capabilities == ALL
        bodies = [body for _, body in server.seen if body["model"] == name]
        assert all("temperature" in body for body in bodies)
    with PretendingServer(model=name, ignores=frozenset(fields)) as server:
        found = asyncio.run(ask(server)).capabilities
    assert found - {"echo_scores"} == ALL - {"choice", "label_reads"}
