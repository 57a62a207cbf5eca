"""Adapters behind a real vLLM: each as peft computes it, and no other's."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sites import Site, write_tasks

from groupbench.llm.fitting import SCORES
from groupbench.runner import FitRequest, FitResult
from groupbench.task import Kind
from groupbench.testing.toy import request_for, toy_task
from groupbench_lora.runner import LoraRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NATS = 1e-4
COMMON: dict[str, Any] = {"lr": 2e-3, "epochs": 1, "batch_size": 8, "max_length": 1024}


@pytest.fixture(scope="module", params=["llama3", "llama2"])
def base(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """The folder of a tiny model, and the address of the one server of all its adapters."""
    folder: Path = request.getfixturevalue(request.param)
    server = LoraRunner(str(folder), engine="vllm", **COMMON).service()
    assert server is not None
    try:
        yield folder, server.start(tmp_path_factory.mktemp("logs"))
    finally:
        server.stop()


def fitted(
    base: tuple[Path, Mapping[str, str]], engine: Any, *kinds: Kind, **more: Any
) -> FitResult:
    """Return a fit of one adapter on toy tasks."""
    keep = more.pop("keep", None)
    request = request_for(*(toy_task(kind) for kind in kinds))
    given = {"keep_weights": keep, "service": base[1] if engine == "vllm" else {}}
    request = FitRequest(request.tasks, request.seed, last_attempt=True, **given)
    return LoraRunner(str(base[0]), engine=engine, **COMMON, **more).fit(request)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("kinds", [(Kind.SINGLE,), (Kind.PAIR, Kind.MULTILABEL)])
def test_each_adapter_answers_behind_the_server_as_in_this_process(
    base: tuple[Path, Mapping[str, str]], kinds: tuple[Kind, ...], shots: int
) -> None:
    behind = fitted(base, "vllm", *kinds, shots=shots)
    here = fitted(base, "transformers", *kinds, shots=shots)
    for task, splits in here.outputs.items():
        for split, output in splits.items():
            other = behind.outputs[task][split]
            assert output.log_probs is not None
            assert other.log_probs is not None
            np.testing.assert_allclose(other.log_probs, output.log_probs, atol=NATS)
    read, wanted = behind.arrays[SCORES], here.arrays[SCORES]
    assert set(read) == set(wanted)
    for name, sums in wanted.items():
        np.testing.assert_allclose(read[name], sums, atol=NATS, err_msg=name)
    facts: Any = behind.training["model"]
    assert facts["canary"]["off_nats"] < NATS < 100 * NATS < facts["canary"]["moved_nats"]


@pytest.mark.timeout(900)
def test_entities_are_written_as_json_by_schema(base: tuple[Path, Mapping[str, str]]) -> None:
    result = fitted(base, "vllm", Kind.TOKEN, max_output=24)
    facts: Any = result.training["prompts"]
    assert facts["toy-token"]["mode"] == "json"
    canary: Any = result.training["model"]
    assert canary["canary"]["off_nats"] < NATS


@pytest.mark.timeout(900)
def test_an_adapter_that_is_not_the_one_that_was_trained_is_found_out(
    base: tuple[Path, Mapping[str, str]], tmp_path: Path
) -> None:
    from groupbench_causal_lm.about import abilities_of
    from groupbench_causal_lm.load import load_model
    from groupbench_causal_lm.model import HfModel
    from groupbench_causal_lm.tokenizers import load_tokenizer
    from groupbench_lora import adapter
    from groupbench_lora.canary import CanaryError
    from groupbench_lora.prepare import prepared
    from groupbench_lora.serving import served, served_abilities

    folder, address = base
    runner = LoraRunner(str(folder), engine="vllm", **COMMON)
    plain = request_for(toy_task(Kind.SINGLE))
    for seed, name in enumerate(("one", "other")):
        (tmp_path / name).mkdir()
        runner.fit(
            FitRequest(
                plain.tasks, seed, keep_weights=tmp_path / name, service=address, last_attempt=True
            )
        )
    request = FitRequest(plain.tasks, 0, service=address)
    tokenizer = load_tokenizer(folder)
    ours = abilities_of(folder, tokenizer)
    abilities = served_abilities(address, tokenizer, ours)
    manifest = adapter.Manifest.of(runner, request, folder, ours.form.name)
    net = load_model(folder, dtype="float32", device="cpu")
    adapter.load(net, tmp_path / "one", manifest)
    peft = HfModel(net, tokenizer, abilities, 8)
    tasks = prepared(runner, abilities, request)
    parts: dict[str, Any] = {"peft": peft, "abilities": abilities, "tasks": tasks}
    with served(runner, request, tmp_path / "one", **parts) as model:
        facts: Any = model.use().facts
        assert facts["canary"]["off_nats"] < NATS
    with (
        pytest.raises(CanaryError, match="does not apply the adapter"),
        served(runner, request, tmp_path / "other", **parts),
    ):
        pass


@pytest.mark.timeout(900)
def test_adapters_of_groups_are_rows_of_the_leaderboard_behind_one_server(
    site: Site, tmp_path: Path, llama3: Path
) -> None:
    cards = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=16)
    runner = f"lora:model={llama3},engine=vllm,epochs=1,batch_size=8,lr=0.002,max_length=1024"
    done = subprocess.run(
        [
            sys.executable, "-m", "groupbench", "run", "--tasks-dir", str(cards),
            "--task", "alpha", "--task", "beta", "--grouping", "single", "--grouping", "all",
            "--runner", runner, "--store", str(tmp_path / "store"), "--json",
        ],
        env=site.environment(GROUPBENCH_CACHE=str(tmp_path / "cache")),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("starting vLLM") == 1, done.stderr
    entries = {entry["grouping"]: entry for entry in json.loads(done.stdout)["entries"]}
    assert {name: entry["status"] for name, entry in entries.items()} == {
        "single": "ok",
        "all": "ok",
    }
    results = [
        json.loads(path.read_text()) for path in (tmp_path / "store/fits").glob("*/*/result.json")
    ]
    proofs = [result["training"]["model"]["canary"] for result in results]
    assert len(proofs) == 3
    assert all(proof["off_nats"] < NATS for proof in proofs)
    assert len({result["training"]["model"]["adapter"] for result in results}) == 3
