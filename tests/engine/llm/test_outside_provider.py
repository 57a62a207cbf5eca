"""A provider with an API of its own is a small plugin, made of public names alone."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fault_server import FaultServer
from sites import Site, write_tasks

import groupbench
import groupbench.llm

if TYPE_CHECKING:
    import subprocess

PROVIDER = Path(__file__).parents[2] / "outside_provider"
KEY = "quill-canary-0123456789"
N = 8


class QuillShape:
    """How Quill is asked and answers."""

    def asked(self, body: dict[str, Any]) -> dict[str, Any]:
        messages = [{"role": role, "content": content} for role, content in body["talk"]]
        return {"model": body["engine"], "messages": messages, "max_tokens": body["room"]}

    def said(self, status: int, reply: dict[str, Any]) -> dict[str, Any]:
        if status != 200:
            return {"trouble": reply["error"]["code"], "words": reply["error"]["message"]}
        ends = {"stop": "done", "length": "room", "content_filter": "barred"}
        told = [
            {"words": one["message"]["content"], "end": ends[one["finish_reason"]]}
            for one in reply["choices"]
        ]
        used = reply["usage"]
        return {
            "engine": reply["model"],
            "told": told,
            "read": used["prompt_tokens"],
            "wrote": used["completion_tokens"],
        }


def run(site: Site, tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    tasks = tmp_path / "cards"
    if not tasks.exists():
        write_tasks(tasks, ["alpha"], n=N)
        site.paths.append(PROVIDER)
        site.install("groupbench-quill", module="groupbench_quill.hooks")
    return site.groupbench(
        *("run", "--tasks-dir", tasks, "--task", "alpha", "--grouping", "single", "--json"),
        *("--store", tmp_path / "store", *arguments),
        QUILL_KEY=KEY,
        GROUPBENCH_CACHE=str(tmp_path / "cache"),
    )


def test_it_gets_retries_pace_prices_and_stored_answers_without_code_of_its_own(
    site: Site, tmp_path: Path
) -> None:
    faults = ["429 ms", "500", None, "reset", "cut json", "length", "filtered prompt"]
    with FaultServer(faults=faults, wait=0.05, shape=QuillShape()) as server:
        done = run(site, tmp_path, "--runner", f"quill:url={server.url}")
        assert done.returncode == 0, done.stderr
        billed, n = server.billed(said=True), len(server.seen)
        again = run(site, tmp_path, "--runner", f"quill:url={server.url}")
        assert again.returncode == 0
        assert len(server.seen) == n, "a second run sends nothing"
        assert {one.headers["quill-key"] for one in server.seen} == {KEY}
        at = ("--runner", f"quill:url={server.url}", "--store", tmp_path / "other")
        plan = json.loads(run(site, tmp_path, *at, "--dry-run").stdout)
    # All but the prompt that was filtered, which got no answer.
    (row,) = plan["estimates"]
    assert (row["examples"], row["stored_answers"]) == (N, N - 1)
    (path,) = (tmp_path / "store").glob("fits/*/*/result.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    facts = record["training"]["model"]
    assert facts["retries"] == {"429": 1, "500": 1, "connection": 1, "unreadable": 1}
    assert facts["tokens_in"] == billed["prompt_tokens"]
    spent = (billed["prompt_tokens"] + 2 * billed["completion_tokens"]) / 1e6
    assert abs(facts["usd"] - spent) < 1e-9
    assert facts["usd_unknown"] > 0
    reasons = record["training"]["prompts"]["alpha"]["splits"]["test"]["reasons"]
    assert {"length", "content_filter"} <= set(reasons.values())
    assert KEY not in done.stdout + done.stderr + path.read_text(encoding="utf-8")


def test_a_refused_key_says_so_in_the_providers_own_words(site: Site, tmp_path: Path) -> None:
    with FaultServer(faults=["401"] * 99, shape=QuillShape()) as server:
        done = run(site, tmp_path, "--runner", f"quill:url={server.url}")
    assert done.returncode == 3
    (row,) = json.loads(done.stdout)["entries"]
    assert "quill refused: 401: Incorrect API key provided" in row["reason"]
    assert "Check its API key." in row["reason"]


def test_it_is_small_and_made_of_public_names() -> None:
    public = {"groupbench": groupbench, "groupbench.llm": groupbench.llm}
    n_lines = 0
    for path in (PROVIDER / "groupbench_quill").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        n_lines += len([line for line in source.splitlines() if line.strip()])
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert not any(
                    name.name.startswith(("openai", "groupbench")) for name in node.names
                )
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith("openai")
                if node.module.startswith("groupbench_quill"):
                    continue
                if node.module.startswith("groupbench"):
                    assert {name.name for name in node.names} <= set(public[node.module].__all__)
    assert 0 < n_lines < 160
