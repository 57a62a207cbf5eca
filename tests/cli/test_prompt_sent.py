"""``groupbench prompt`` against what a server then really gets, and against other runners."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from fault_server import FaultServer
from llamas import TOKENIZERS, write_without_weights
from pretending import KEY, PretendingServer
from sites import Site, write_tasks

from groupbench.cli import main

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("openai")
pytest.importorskip("transformers")

N = 3


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models without weights that could be loaded: only the tokenizers are there."""
    return {
        manner: write_without_weights(tmp_path_factory.mktemp(manner), manner)
        for manner in TOKENIZERS
    }


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "cards", ["alpha"], n=N)


def shown(cards: Path, runner: str, *more: object) -> Any:
    given = ["prompt", "alpha", "--tasks-dir", cards, "--runner", runner, "--json", *more]
    done = CliRunner().invoke(main, [str(part) for part in given])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def ran(site: Site, cards: Path, runner: str) -> None:
    done = site.groupbench(
        *("run", "--tasks-dir", cards, "--task", "alpha", "--grouping", "single"),
        *("--runner", runner, "--store", cards.parent / "store", "--json"),
        STUB_KEY=KEY,
        GROUPBENCH_CACHE=str(cards.parent / "cache"),
    )
    assert done.returncode == 0, done.stderr


def test_the_messages_that_are_shown_are_those_that_are_sent(site: Site, cards: Path) -> None:
    with FaultServer() as server:
        runner = f"openai:model=tiny-1,url={server.url},mode=json,shots=2"
        asked = [shown(cards, runner, "--example", f"test-{i}") for i in range(N)]
        assert server.connections == 0, "to show a prompt nobody is asked"
        ran(site, cards, runner)
        bodies = [one.body for one in server.seen if "test item" in json.dumps(one.body)]
    assert len(bodies) == N
    for document in asked:
        (question,) = document["questions"]
        (body,) = [body for body in bodies if body["messages"] == question["messages"]]
        assert body["max_completion_tokens"] == document["max_tokens"]
        assert body["response_format"]["json_schema"]["schema"] == document["answer_schema"]


@pytest.mark.parametrize(("manner", "mode"), [("llama3", "score"), ("llama2", "text")])
def test_the_tokens_that_are_shown_are_those_that_are_sent(
    site: Site, cards: Path, models: dict[str, Path], manner: str, mode: str
) -> None:
    with PretendingServer(tokenizer=TOKENIZERS[manner]()) as server:
        runner = (
            f"vllm:model={models[manner]},url={server.url},served_as=tiny-1,"
            f"key_variable=STUB_KEY,shots=2,mode={mode}"
        )
        asked = [shown(cards, runner, "--example", f"test-{i}") for i in range(N)]
        assert server.seen == []
        ran(site, cards, runner)
        bodies = [body for path, body in server.seen if path == "/v1/completions"]
    for document in asked:
        (question,) = document["questions"]
        ids = [token["id"] for token in question["tokens"]]
        (body,) = [body for body in bodies if body["prompt"][0] == ids]
        if mode == "text":
            assert body["prompt"] == [ids]
            assert body["max_tokens"] == document["max_tokens"]
            continue
        labels = [[t["id"] for t in tokens] for tokens in question["continuations"].values()]
        read = {(*ids, *label[:n]) for label in labels for n in range(len(label))}
        assert {tuple(prompt) for prompt in body["prompt"]} == read
        assert body["logprob_token_ids"] == sorted({token for label in labels for token in label})


def test_every_model_is_shown_the_same_shots_of_the_train_split(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    cards = write_tasks(tmp_path / "many", ["alpha"], n=40)
    runners = [
        f"hf-lm:model={models['llama2']},shots=4",
        f"hf-lm:model={models['llama3']},shots=4,template=plain,mode=text",
        f"vllm:model={models['llama3']},shots=4,mode=json",
        f"lora:model={models['llama3']},shots=4",
        "openai:model=gpt-4.1,shots=4",
    ]
    drawn = {
        seed: {tuple(shown(cards, runner, "--seed", seed)["shots"]) for runner in runners}
        for seed in (0, 1)
    }
    assert all(len(shots) == 1 for shots in drawn.values())
    ((first,), (second,)) = drawn.values()
    assert first != second
    assert len(set(first)) == 4
    assert all(shot.startswith("train-") for shot in (*first, *second))
