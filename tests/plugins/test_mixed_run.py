"""One experiment file that mixes every kind of runner gives one leaderboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sites import Site, write_tasks

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("openai")
pytest.importorskip("sklearn")

FILE = """
tasks = ["alpha", "beta"]
tasks_dirs = ["cards"]
[[grouping]]
name = "single"
[[grouping]]
name = "pvi"
[[grouping]]
name = "all"
[[runner]]
name = "encoder"
model = "tiny"
steps = 4
[[runner]]
name = "lora"
model = "{llama}"
steps = 2
batch_size = 4
lr = 0.002
[[runner]]
name = "hf-lm"
model = "{llama}"
[[runner]]
name = "tfidf"
[[runner]]
name = "majority"
[[runner]]
name = "openai"
model = "gpt-4.1"
key_variable = "KEY_THAT_IS_NOT_SET"
[[runner]]
name = "openai"
model = "mine"
url = "http://127.0.0.1:9/v1"
[[runner]]
name = "vllm"
model = "{llama}"
python = "{gpus}"
tensor_parallel_size = 4096
[[runner]]
name = "vllm"
model = "{llama}"
url = "http://127.0.0.1:9/v1"
[[runner]]
name = "vllm"
model = "{llama}"
url = "http://127.0.0.1:9/v1"
served_as = "keyed"
key_variable = "KEY_THAT_IS_NOT_SET"
[[runner]]
name = "lora"
model = "org/not-here"
"""

SKIPPED = {
    "No API key: set the environment variable KEY_THAT_IS_NOT_SET": 2,
    "http://127.0.0.1:9/v1 does not answer": 1,
    "url = 'http://127.0.0.1:9/v1': no server answers": 1,
    "vLLM needs 4096 GPUs": 1,
    "hf download org/not-here": 3,  # one for each grouping
}


@pytest.mark.slow
def test_every_kind_of_runner_is_on_one_leaderboard_and_what_cannot_run_is_skipped(
    site: Site, tmp_path: Path
) -> None:
    from llamas import build_llama

    llama = build_llama(tmp_path / "llama", "llama3")
    gpus = tmp_path / "python"
    told = json.dumps({"found": {"vllm": "0.33.0"}, "there": True, "entry": True})
    gpus.write_text(f"#!/bin/sh\necho '{told}'\n")
    gpus.chmod(0o700)
    write_tasks(tmp_path / "cards", ["alpha", "beta"], n=24)
    file = tmp_path / "experiment.toml"
    file.write_text(FILE.format(llama=llama, gpus=gpus), encoding="utf-8")
    done = site.groupbench(
        *("run", file, "--store", tmp_path / "store", "--json", "--offline"),
        timeout=550,
        GROUPBENCH_CACHE=str(tmp_path / "cache"),
        HF_HUB_CACHE=str(tmp_path / "hub"),
    )
    assert done.returncode == 0, done.stderr
    entries: list[dict[str, Any]] = json.loads(done.stdout)["entries"]
    ok = {
        (entry["grouping"], entry["runner"].partition(":")[0]): entry
        for entry in entries
        if entry["status"] == "ok"
    }
    shared = {(grouping, name) for grouping in ("single", "pvi", "all")
              for name in ("encoder", "lora")}  # fmt: skip
    assert set(ok) == shared | {(None, "hf-lm"), (None, "tfidf"), (None, "majority")}
    assert min(entry["rank"] for entry in ok.values()) == 1
    for entry in ok.values():
        assert set(entry["scores"]) == {"alpha", "beta"}
        assert entry["predict_seconds"] > 0
        assert entry["training"]["seconds"] > 0, "costs"
    assert ok["pvi", "lora"]["deciding"]["fits"] == 2
    assert ok["all", "lora"]["n_models"] == 1
    for grouping, name in [(None, "hf-lm"), ("all", "lora")]:
        assert ok[grouping, name]["calls"]["tokens_in"] > 0

    left = [entry for entry in entries if entry["status"] != "ok"]
    assert {entry["status"] for entry in left} == {"skipped"}
    for reason, n in SKIPPED.items():
        assert len([entry for entry in left if reason in entry["reason"]]) == n, reason
    assert len(left) == sum(SKIPPED.values())
