"""A run of requests that is killed in the middle, and what is left of its key."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from asking import KEY, SERVED, ask, chat, mixed, replies, truth
from fault_server import FaultServer

from groupbench.llm.client import Reply
from groupbench.llm.requests import Requester
from groupbench.llm.responses import Answer, ResponseStore
from groupbench.llm.secrets import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

pytest.importorskip("openai")

SUPPORT = Path(__file__).parents[2] / "support"
N = 60


def start(url: str, store: Path, key: str = KEY) -> subprocess.Popen[str]:
    """Start a run in a process of its own; it asks four things at once."""
    paths = [str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(SUPPORT / "asking.py"), url, str(store), str(N)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "FAULT_SERVER_KEY": key},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(n: int, server: FaultServer) -> None:
    end = time.monotonic() + 60
    while len(server.seen) < n:
        assert time.monotonic() < end, "the run has not asked"
        time.sleep(0.005)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_goes_on_and_asks_nothing_answered_again(
    blow: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "r.sqlite"
    with FaultServer(seconds=0.02) as server:
        process = start(server.url, path)
        wait_for(N // 2, server)
        process.send_signal(blow)
        process.communicate(timeout=60)
        assert process.returncode != 0
        n = len(server.seen)
    assert n < N, "it was killed too late"
    with ResponseStore(path) as store, FaultServer() as server:
        stored = len(store)
        assert stored >= n - 4, "only what was in flight is lost"
        got, requester = ask(server.url, mixed(N), store=store)
        assert len(server.seen) == N - stored
        assert requester.totals.replayed == stored
    assert replies(got) == {request.tag: truth(request) for request in mixed(N)}


def test_two_processes_share_a_store_and_end_with_the_same_answers(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with FaultServer(seconds=0.005) as server:
        processes = [start(server.url, path) for _ in range(2)]
        said = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert json.loads(said[0][0])["7"] == truth(list(mixed(8))[7])
    with ResponseStore(path) as store:
        assert len(store) == N


def test_the_key_is_in_no_file_and_no_output(tmp_path: Path) -> None:
    with FaultServer(faults=[None] * 5 + ["401"]) as server:
        process = start(server.url, tmp_path / "r.sqlite", key=f"  {KEY}\r\n")
        said = process.communicate(timeout=60)
        assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert process.returncode == 1
    assert "Incorrect API key provided: Bearer [key]" in said[1], "the server did echo it"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    everything = "".join(said).encode() + b"".join(path.read_bytes() for path in written)
    forms = {KEY, quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode().rstrip("=")}
    assert not [form for form in forms if form.encode() in everything]


def test_a_key_that_a_reply_repeats_is_struck_out_before_it_is_stored(tmp_path: Path) -> None:
    class Parrot:
        async def post(self, path: str, body: Mapping[str, Any], timeout: float) -> Reply:
            assert path
            assert timeout
            message = {"role": "assistant", "content": f"you said {KEY}"}
            choices = [{"message": message, "finish_reason": "stop"}]
            text = json.dumps({"model": body["model"], "choices": choices})
            return Reply(200, {"x-request-id": f"req-{KEY}"}, text)

    with ResponseStore(tmp_path / "r.sqlite") as store:
        requester = Requester(Parrot(), SERVED, store=store, redact=Redactor([KEY]))
        result = asyncio.run(requester.ask_one(chat(0)))
    assert isinstance(result, Answer)
    assert result.reply["choices"][0]["message"]["content"] == "you said [key]"
    assert result.headers == {"x-request-id": "req-[key]"}
    assert not [path for path in tmp_path.iterdir() if KEY.encode() in path.read_bytes()]
