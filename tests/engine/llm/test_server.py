from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import server_program

from groupbench.llm.errors import StoppedError
from groupbench.llm.server import Launch, ServerProcess, free_port
from groupbench.llm.server_api import ServerError, get, served_models, server_root
from groupbench.llm.watching import watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KEY = "canary-0123456789"


def a_server(tmp_path: Path, what: str, **more: float) -> ServerProcess:
    port = free_port()
    program = str(Path(server_program.__file__))
    launch = Launch(
        name="stub",
        command=(sys.executable, program, str(port), "tiny", what),
        url=f"http://127.0.0.1:{port}/v1",
        model="tiny",
        environment={"SECRET_KEY": KEY},
        api_key=KEY,
        **more,
    )
    return ServerProcess(launch, tmp_path / "server.log")


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie, which only awaits its parent, has."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_it_is_ready_when_it_is_healthy_and_lists_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-user")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing listens there
    server = a_server(tmp_path, "ready")
    server.start()
    try:
        assert server.alive()
        assert get(f"{server_root(server.launch.url)}/health").status == 200
        assert served_models(server.launch.url, KEY)["tiny"]["max_model_len"] == 512
        with pytest.raises(ServerError, match="refuses the API key"):
            served_models(server.launch.url, "wrong")
        log = server.log_tail()
        assert "SECRET_KEY" in log
        assert "OPENAI_" not in log
        assert "AWS_" not in log
        assert server.pid is not None
        assert KEY not in Path(f"/proc/{server.pid}/cmdline").read_text()
    finally:
        server.stop()
    assert not server.alive()
    server.stop()


def test_a_death_ends_the_wait_at_once_with_the_end_of_the_log(tmp_path: Path) -> None:
    server = a_server(tmp_path, "dies")
    began = time.monotonic()
    with pytest.raises(ServerError) as error:
        server.start()
    assert time.monotonic() - began < 5
    message = str(error.value)
    assert "stub ended while it started (exit code 3)" in message
    assert "line 59" in message
    assert "line 20\n" not in message
    assert KEY not in message
    assert "key [key]" in message


@pytest.mark.parametrize("what", ["never", "other"])
def test_what_is_never_ready_is_given_up_and_ended(tmp_path: Path, what: str) -> None:
    server = a_server(tmp_path, what, ready_seconds=1.0)
    with pytest.raises(ServerError, match="not ready after 1 s; the end of its log"):
        server.start()
    assert not server.alive()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    launch = Launch("stub", ("/nowhere/python",), "http://127.0.0.1:1/v1", "tiny")
    with pytest.raises(ServerError, match=r"cannot be run: No such file.*/nowhere/python"):
        ServerProcess(launch, tmp_path / "log").start()


def test_one_that_takes_no_more_connections_is_told_from_one_that_runs(tmp_path: Path) -> None:
    server = a_server(tmp_path, "lingers")
    server.start()
    try:
        assert server.listens()
        look = watch(server.launch.url)
        asyncio.run(_await(look))
        get(f"{server_root(server.launch.url)}/close")
        give_up = time.monotonic() + 20
        while server.listens():
            assert time.monotonic() < give_up
            time.sleep(0.01)
        assert server.alive()
        began = time.monotonic()
        with pytest.raises(StoppedError, match="died"):
            asyncio.run(_await(look))
        assert time.monotonic() - began < 3, "nobody is waited for"
    finally:
        server.stop()


async def _await(look: Callable[[], Awaitable[None]]) -> None:
    await look()


def test_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    server = a_server(tmp_path, "deaf", stop_seconds=0.3)
    server.start()
    began = time.monotonic()
    server.stop()
    assert 0.3 <= time.monotonic() - began < 5
    assert not server.alive()


@pytest.mark.parametrize("crashed", [False, True])
def test_workers_that_survive_are_killed(tmp_path: Path, *, crashed: bool) -> None:
    server = a_server(tmp_path, "family")
    server.start()
    child = re.search(r"child (\d+)", server.log_tail())
    assert child is not None
    if crashed:
        assert server.pid is not None
        os.kill(server.pid, 9)
        for _ in range(50):
            if not server.alive():
                break
            time.sleep(0.1)
        assert not server.alive()
    server.stop()
    assert gone(int(child[1]))


def test_it_can_be_stopped_while_it_starts_and_before(tmp_path: Path) -> None:
    server = a_server(tmp_path, "never")
    failures: list[BaseException] = []

    def start() -> None:
        try:
            server.start()
        except ServerError as failure:
            failures.append(failure)

    thread = threading.Thread(target=start)
    thread.start()
    while not server.alive():
        time.sleep(0.01)
    server.stop()
    thread.join(10)
    assert "was stopped while it started" in str(failures[0])
    assert not server.alive()

    server = a_server(tmp_path, "ready")
    server.stop()
    with pytest.raises(ServerError, match="stopped before it started"):
        server.start()
    assert server.pid is None


KILLED = """
import sys, time
from pathlib import Path
from groupbench.llm.server import Launch, ServerProcess
command, url, log = sys.argv[1].split("|"), sys.argv[2], Path(sys.argv[3])
launch = Launch("stub", tuple(command), url, "tiny", {"SECRET_KEY": "%s"}, "%s", stop_seconds=0.5)
server = ServerProcess(launch, log)
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("what", ["ready", "deaf"])
def test_a_server_goes_when_its_starter_is_killed(tmp_path: Path, what: str) -> None:
    launch = a_server(tmp_path, what).launch
    starter = subprocess.Popen(
        [sys.executable, "-c", KILLED % (KEY, KEY), "|".join(launch.command), launch.url,
         str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert gone(pid)


def test_a_url_that_is_no_api_is_named(tmp_path: Path) -> None:
    server = a_server(tmp_path, "ready")
    server.start()
    try:
        wrong = server_root(server.launch.url)
        with pytest.raises(ServerError, match="/models answers 200 and no list of models"):
            served_models(wrong)
    finally:
        server.stop()
