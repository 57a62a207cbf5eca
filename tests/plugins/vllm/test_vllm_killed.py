"""Whole runs against a server: killed in the middle and gone on with, and answered from a store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pretending import KEY, PretendingServer
from sites import Site, write_tasks

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("openai")

N = 40
CHATS = frozenset({"prompt"})
"""What the server refuses, so that messages are sent and can be read here."""


def command(tasks: Path, server: PretendingServer, store: Path) -> list[str]:
    settings = f"url={server.url},served_as=tiny-1,key_variable=STUB_KEY,concurrency=4,mode=text"
    return [
        *(sys.executable, "-m", "groupbench", "run", "--tasks-dir", str(tasks)),
        *("--task", "alpha", "--task", "beta", "--grouping", "single"),
        *("--runner", f"vllm:{settings}", "--store", str(store)),
    ]


def asked(server: PretendingServer) -> Counter[str]:
    """Return how often each test example was asked about."""
    bodies = (json.dumps(body, sort_keys=True) for _, body in list(server.seen))
    return Counter(body for body in bodies if " test item " in body)


def predictions(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.glob("fits/*/*/*.test.parquet")}


def test_a_run_that_is_killed_goes_on_and_predicts_the_same_byte_for_byte(
    site: Site, tmp_path: Path
) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=N)

    def environment(cache: str) -> dict[str, str]:
        return site.environment(STUB_KEY=KEY, GROUPBENCH_CACHE=str(tmp_path / cache))

    def whole(server: PretendingServer, store: str, cache: str) -> None:
        done = subprocess.run(
            command(tasks, server, tmp_path / store),
            env=environment(cache),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr

    with PretendingServer(refuses=CHATS) as server:
        whole(server, "undisturbed", "a")
        expected, wanted = predictions(tmp_path / "undisturbed"), asked(server)
    assert sorted(expected) == ["alpha.test.parquet", "beta.test.parquet"]
    assert set(wanted.values()) == {1}
    assert len(wanted) == 2 * N

    with PretendingServer(refuses=CHATS, seconds=0.1) as server:
        run = subprocess.Popen(
            command(tasks, server, tmp_path / "store"),
            env=environment("b"),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_until(lambda: len(asked(server)) >= N // 2, run)
            run.send_signal(signal.SIGKILL)
            run.wait(60)
            time.sleep(1.0)  # what was in flight is answered by now
            n = len(server.seen)
            time.sleep(0.5)
            assert len(server.seen) == n, "its fits went with it"
            assert len(asked(server)) < 2 * N, "it was killed too late"
            server.seconds = 0.0
            whole(server, "store", "b")
        finally:
            end(run)
        again = asked(server)
    assert predictions(tmp_path / "store") == expected
    assert set(again) == set(wanted)
    assert again.total() <= 2 * N + 4, "only what was in flight is asked again"


def test_a_stored_run_imports_neither_torch_nor_openai_and_asks_nobody(
    site: Site, tmp_path: Path
) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=6)
    told = site.environment(STUB_KEY=KEY, GROUPBENCH_CACHE=str(tmp_path / "cache"))

    def run(server: PretendingServer, *before: str) -> subprocess.CompletedProcess[str]:
        ours = command(tasks, server, tmp_path / "store")
        return subprocess.run(
            [ours[0], *before, *ours[1:]],
            env=told,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    with PretendingServer(refuses=CHATS) as server:
        first = run(server)
        assert first.returncode == 0, first.stderr
    server.seen.clear()
    again = run(server, "-X", "importtime")  # nobody listens there any more
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines()}
    assert "groupbench" in imported
    heavy = {"torch", "openai", "transformers", "asyncio", "groupbench_openai_client.client"}
    assert not heavy & imported
    assert server.seen == []


def wait_until(holds: Any, run: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 200
    while not holds():
        assert run.poll() is None, "the run ended"
        assert time.monotonic() < give_up
        time.sleep(0.02)


def end(run: subprocess.Popen[bytes]) -> None:
    """End what is left of a run's session, which is its alone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
