"""Whole runs against a server that fails: the same predictions, and outcomes example by example."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from fault_server import TRANSIENT, FaultServer, written
from sites import Site, write_tasks

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("openai")

KEY = "sk-canary-0123456789abcdef"
GPT = "gpt-4o-2024-08-06"
LIVES = {GPT: {"shutdown_date": "2999-01-01"}}
QUICK = tuple(fault for fault in TRANSIENT if fault not in {"429 date", "hang", "drip"})


def run(
    site: Site, root: Path, server: FaultServer, names: list[str], **settings: object
) -> subprocess.CompletedProcess[str]:
    told = {"model": "gpt-4o", "url": server.url, "key_variable": "THE_KEY", "mode": "text"}
    told |= {name: str(value) for name, value in settings.items()}
    tasks = [part for name in names for part in ("--task", name)]
    return site.groupbench(
        *("run", "--tasks-dir", root / "cards", *tasks, "--grouping", "single", "--json"),
        *("--runner", "openai:" + ",".join(f"{name}={value}" for name, value in told.items())),
        *("--store", root / "store"),
        THE_KEY=KEY,
        GROUPBENCH_CACHE=str(root / "cache"),
    )


def predictions(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.glob("store/fits/*/*/*.test.parquet")}


def records(root: Path) -> list[dict[str, Any]]:
    paths = root.glob("store/fits/*/*/result.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def scattered(share: float) -> Iterator[str | None]:
    rng = random.Random(5)  # noqa: S311 - seeded faults
    while True:
        yield rng.choice(QUICK) if rng.random() < share else None


def test_faults_that_pass_leave_every_prediction_as_it_is_byte_for_byte(
    site: Site, tmp_path: Path
) -> None:
    n, names = 120, ["alpha", "beta"]
    roots = [tmp_path / "calm", tmp_path / "rough"]
    for root in roots:
        write_tasks(root / "cards", names, n=n)
    with FaultServer(models=LIVES) as server:
        done = run(site, roots[0], server, names)
        assert done.returncode == 0, done.stderr
    faults = scattered(0.3)
    with FaultServer(faults=faults, only="test item", wait=0.01, models=LIVES) as server:
        done = run(site, roots[1], server, names)
        assert done.returncode == 0, done.stderr
        asked = [seen for seen in server.seen if "test item" in json.dumps(seen.body)]
        n_faults = sum(seen.fault is not None for seen in asked)
        billed = server.billed(said=True)

    calm, rough = map(predictions, roots)
    assert sorted(calm) == ["alpha.test.parquet", "beta.test.parquet"]
    assert rough == calm
    # Each was answered whole once: what was asked more often had failed before.
    whole = Counter(seen.key for seen in asked if seen.said)
    assert set(whole.values()) == {1}
    assert len(whole) == 2 * n
    assert n_faults > 0.2 * 2 * n
    models = [record["training"]["model"] for record in records(roots[1])]
    assert sum(sum(facts["retries"].values()) for facts in models) == n_faults
    spent = [*models, models[0]["probe"]]
    assert sum(each["tokens_in"] for each in spent) == billed["prompt_tokens"]
    assert sum(each["tokens_out"] for each in spent) == billed["completion_tokens"]
    assert all(facts["usd_unknown"] > 0 for facts in models), "replies were lost in both"


FINAL = {
    "context openai": ("truncated", "prompt_too_long"),
    "context vllm": ("truncated", "prompt_too_long"),
    "filtered prompt": ("refused", "content_filter"),
    "refusal": ("refused", "refusal"),
    "content_filter": ("refused", "content_filter"),
    "length": ("truncated", "length"),
    "null content": ("invalid", "empty"),
}


def test_a_final_fault_is_the_outcome_of_its_own_example_and_no_label(
    site: Site, tmp_path: Path
) -> None:
    n = 2 * len(FINAL)
    write_tasks(tmp_path / "cards", ["alpha"], n=n)
    # What is written is no label of these tasks: let every second example be answered by a choice.
    faults = [fault for each in FINAL for fault in (each, None)]
    with FaultServer(faults=faults, only="test item", models=LIVES) as server:
        done = run(site, tmp_path, server, ["alpha"], concurrency=1, mode="choice")
        assert done.returncode == 0, done.stderr
        ended = {}
        for seen in server.seen:
            text = json.dumps(seen.body)
            if found := re.search(r"alpha test item (\d+)", text):
                ended[int(found[1])] = (seen.fault, written(seen.body))
    assert len(ended) == n, "each was asked about once"
    (record,) = records(tmp_path)
    tally = record["training"]["prompts"]["alpha"]["splits"]["test"]
    (path,) = tmp_path.glob("store/fits/*/*/alpha.test.parquet")
    rows = {row["id"]: row for row in pq.read_table(path).to_pylist()}
    labels = ["no", "yes"]
    for i, (fault, word) in ended.items():
        row = rows[f"test-{i}"]
        if fault is None:
            assert (row["outcome"], labels[row["predicted"]]) == ("ok", word)
            assert row["id"] not in tally["reasons"]
            continue
        assert (row["outcome"], tally["reasons"][row["id"]]) == FINAL[fault]
        assert row["predicted"] not in range(len(labels)), "no label stands in for an answer"

    (entry,) = json.loads(done.stdout)["entries"]
    score = entry["scores"]["alpha"]
    right = sum(labels[i % 2] == word for i, (fault, word) in ended.items() if fault is None)
    assert score["mean"] == pytest.approx(right / n, abs=1e-6), "what has no answer counts as wrong"
    assert score["score_answered"] == pytest.approx(right / (n - len(FINAL)), abs=1e-6)
    counted = Counter(outcome for outcome, _ in FINAL.values()) | {"ok": n - len(FINAL)}
    assert score["outcome_rates"] == pytest.approx(
        {name: k / n for name, k in counted.items()}, abs=1e-6
    )
