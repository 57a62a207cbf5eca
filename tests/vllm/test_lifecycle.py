"""Runs with a real vLLM: whole, killed in the middle, and told to stop while it works."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from sites import Site, write_tasks

from groupbench.llm.vllm_server import VllmServer, VllmSettings
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from groupbench.llm.client import Reply

START_SECONDS = 400
N_WRITTEN = 900
"""Tokens, which take a tiny model a second or more."""


def arguments(tasks: Path, llama: Path, *more: str) -> list[str]:
    runner = f"vllm:model={llama},dtype=float32,max_model_len=1024,concurrency=4"
    return [
        sys.executable, "-m", "groupbench", "run", "--tasks-dir", str(tasks), "--task", "alpha",
        "--task", "beta", "--grouping", "single", "--runner", runner, *more,
    ]  # fmt: skip


def processes() -> dict[int, tuple[int, int, str]]:
    """Return parent, session and command line of every process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        found[int(folder.name)] = int(fields[1]), int(fields[3]), command
    return found


def engine_of(run: int) -> int | None:
    """Return the engine's process of the vLLM server that ``run`` started."""
    there = processes()
    servers = [pid for pid, (parent, sid, _) in there.items() if parent == run and sid == pid]
    engines = [
        pid
        for pid, (_, sid, command) in there.items()
        if sid in servers and pid not in servers and "EngineCore" in command
    ]
    return engines[0] if engines else None


def scores(text: str) -> Any:
    """Return the scores of the leaderboard in a run's JSON."""
    return [entry["scores"] for entry in json.loads(text)["entries"]]


def n_running(server: str) -> int:
    """Return how many requests a server's engine works on."""
    with urlopen(f"{server}/metrics") as page:  # noqa: S310 - on loopback
        lines = page.read().decode().splitlines()
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in lines
        if line.startswith("vllm:num_requests_running")
    )


def n_answers(cache: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(
            f"file:{cache / 'responses/responses.sqlite'}?mode=ro", uri=True
        ) as db:
            return int(db.execute("SELECT count(*) FROM responses").fetchone()[0])
    except sqlite3.Error:
        return 0


@pytest.mark.timeout(1200)
def test_an_engine_that_is_killed_costs_a_restart_and_no_answer(
    site: Site, tmp_path: Path, llama3: Path
) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=600)
    cache = tmp_path / "cache"
    environment = site.environment(GROUPBENCH_CACHE=str(cache))
    run = subprocess.Popen(
        arguments(tasks, llama3, "--json"),
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up = time.monotonic() + START_SECONDS
    while n_answers(cache) < 50:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.05)
    engine = engine_of(run.pid)
    assert engine is not None
    os.kill(engine, signal.SIGKILL)
    out, err = run.communicate(timeout=START_SECONDS)
    assert run.returncode == 0, err
    assert "died; started again" in err
    answered = n_answers(cache)

    # The same once more, from the answers alone: nothing is asked, so nothing was lost.
    again = subprocess.run(
        arguments(tasks, llama3, "--json", "--store", str(tmp_path / "another")),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    assert again.returncode == 0, again.stderr
    assert n_answers(cache) == answered
    assert scores(again.stdout) == scores(out)
    mine = str(os.getpid())
    left = [c for _, _, c in processes().values() if str(llama3) in c and mine not in c]
    assert not [command for command in left if "api_server" in command]


@pytest.mark.timeout(600)
def test_what_is_in_flight_when_it_is_told_to_stop_is_finished(
    tmp_path: Path, llama3: Path
) -> None:
    server = VllmServer(VllmSettings(llama3, "tiny", dtype="float32", max_model_len=1024))
    address = server.start(tmp_path)
    process = server.process
    assert process is not None
    pid = process.pid

    async def ask() -> tuple[list[Reply], float]:
        async with OpenAIClient(address["url"], address["api_key"]) as client:
            body: dict[str, Any] = {
                "model": "tiny",
                "max_tokens": N_WRITTEN,
                "ignore_eos": True,
                "temperature": 0,
            }
            calls = [
                asyncio.create_task(
                    client.post("/completions", {**body, "prompt": [[11, 12, 13, 20 + i]]}, 60)
                )
                for i in range(24)
            ]
            base = address["url"].removesuffix("/v1")
            while await asyncio.to_thread(n_running, base) < len(calls):
                assert not any(call.done() for call in calls)
            began = time.monotonic()
            await asyncio.to_thread(server.stop)
            return await asyncio.gather(*calls), time.monotonic() - began

    try:
        replies, seconds = asyncio.run(ask())
    finally:
        server.stop()
    assert [reply.status for reply in replies] == [200] * 24
    usages = [json.loads(reply.text)["usage"]["completion_tokens"] for reply in replies]
    assert usages == [N_WRITTEN] * 24
    assert seconds < 40
    assert not server.alive()
    assert [p for p, (_, sid, _) in processes().items() if sid == pid] == []
