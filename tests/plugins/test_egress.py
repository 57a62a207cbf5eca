"""Where language models send text, and that private text reaches none that is not named for it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fault_server import FaultServer
from pretended_vllm import pretend
from sites import Site, write_tasks

from groupbench.cli import main
from groupbench.runner import Place
from groupbench_hf_lm.runner import HfLmRunner
from groupbench_lora.runner import LoraRunner
from groupbench_openai.runner import OpenAIRunner
from groupbench_vllm.runner import VllmRunner

AZURE = "https://mine.openai.azure.com/openai/v1"
SEND_AWAY = (
    "openai:model=gpt-4.1,key_variable=A_KEY",
    "openai:model=x,url=http://127.0.0.1:9/v1,mode=json",
    "vllm:url=http://127.0.0.1:9/v1,served_as=x,mode=text",
)


@pytest.mark.parametrize(
    ("runner", "place"),
    [
        (HfLmRunner("x"), Place.LOCAL),
        (LoraRunner("x"), Place.LOCAL),
        (LoraRunner("x", engine="vllm"), Place.LOCAL),
        (VllmRunner("x"), Place.LOCAL),
        # A URL that the user named is no server of ours, wherever it is.
        (VllmRunner("x", url="http://127.0.0.1:8000/v1"), Place.ENDPOINT),
        (VllmRunner("x", url="https://gpu.example.org/v1"), Place.ENDPOINT),
        (OpenAIRunner("x", url="http://127.0.0.1:8000/v1"), Place.ENDPOINT),
        (OpenAIRunner("x", url="https://openai.com.example.org/v1"), Place.ENDPOINT),
        (OpenAIRunner("gpt-4.1"), Place.EXTERNAL),
        (OpenAIRunner("gpt-4.1", url="https://api.openai.com/v1/"), Place.EXTERNAL),
        (OpenAIRunner("gpt-4.1", url="https://eu.API.openai.com/v1"), Place.EXTERNAL),
        (OpenAIRunner("gpt-4.1", url=AZURE), Place.EXTERNAL),
        (OpenAIRunner("gpt-4.1", delivery="batch"), Place.EXTERNAL),
    ],
)
def test_a_runner_says_where_its_settings_send_text(runner: Any, place: Place) -> None:
    assert runner.place() is place


RECORDING = """
import os, socket

def noted(name):
    real = getattr(socket.socket, name)
    def attempt(self, address):
        if not isinstance(address, tuple):
            return real(self, address)
        note(address)
        raise ConnectionRefusedError(111, "nobody is there")
    setattr(socket.socket, name, attempt)

def note(what):
    with open(os.environ["ATTEMPTS"], "a") as file:
        file.write(f"{what!r}\\n")

def nowhere(*host, **more):
    note(host)
    raise socket.gaierror(-2, "no such name")

noted("connect")
noted("connect_ex")
socket.getaddrinfo = nowhere
"""


def run(
    site: Site, tasks: Path, runners: tuple[str, ...], *names: str, experiment: str = ""
) -> tuple[int, list[dict[str, Any]], list[str]]:
    """Return the exit code, the rows, and what a run tried to connect to or to look up."""
    (site.folder / "sitecustomize.py").write_text(RECORDING, encoding="utf-8")
    attempts = site.folder / "attempts"
    attempts.write_text("")
    file = site.folder / "experiment.toml"
    file.write_text(f"tasks = {json.dumps(names)}\n{experiment}", encoding="utf-8")
    chosen = [part for runner in runners for part in ("--runner", runner)]
    done = site.groupbench(
        *("run", file, "--tasks-dir", tasks, *chosen, "--store", site.folder / "store", "--json"),
        ATTEMPTS=str(attempts),
        A_KEY="sk-canary-0123456789",
        GROUPBENCH_CACHE=str(site.folder / "cache"),
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["entries"], attempts.read_text().splitlines()


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    write_tasks(tmp_path / "cards", ["alpha"], n=4)
    write_tasks(tmp_path / "cards", ["notes"], n=4, data_class="private")
    return write_tasks(tmp_path / "cards", ["charts"], n=4, data_class="credentialed")


def test_not_even_a_connection_is_attempted_with_text_that_may_not_leave(
    site: Site, tasks: Path
) -> None:
    for names in (("notes",), ("charts", "alpha")):
        code, rows, attempts = run(site, tasks, SEND_AWAY, *names)
        assert code == 6
        assert [row["status"] for row in rows] == ["refused"] * len(SEND_AWAY)
        assert all(f"{names[0]} (" in row["reason"] for row in rows)
        assert attempts == []
    # Leave for one runner, or for another task, is none for the rest.
    pair = '[[allow]]\ntask = "alpha"\nrunner = "vllm"\nreason = "open"\n'
    pair += '[[allow]]\ntask = "notes"\nrunner = "openai"\nreason = "contract 1"\n'
    code, rows, attempts = run(
        site, tasks, (SEND_AWAY[2], "majority"), "notes", "alpha", experiment=pair
    )
    assert code == 0
    assert {row["runner"].partition(":")[0]: row["status"] for row in rows} == {
        "vllm": "refused", "majority": "ok",
    }  # fmt: skip
    assert attempts == []
    # The recording works: open text is tried to be sent.
    for runner in SEND_AWAY:
        _, _, attempts = run(site, tasks, (runner,), "alpha")
        assert attempts


@pytest.mark.parametrize("runner", SEND_AWAY)
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["pvi", "--task", "notes"], {6}),
        (["group", "--task", "notes", "--grouping", "pvi"], {5, 6}),
        (["run", "--task", "notes", "--dry-run"], {0}),
        (["prompt", "notes"], {0, 2}),
    ],
)
def test_no_other_command_connects_either(
    monkeypatch: pytest.MonkeyPatch,
    tasks: Path,
    command: list[str],
    code: set[int],
    runner: str,
) -> None:
    def refuse(*address: object, **_: object) -> None:
        raise AssertionError(f"connects to {address}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("A_KEY", "sk-canary-0123456789")
    monkeypatch.setenv("GROUPBENCH_CACHE", str(tasks.parent / "cache"))
    monkeypatch.chdir(tasks.parent)
    given = [*command, "--tasks-dir", str(tasks), "--runner", runner]
    done = CliRunner().invoke(main, given)
    assert done.exit_code in code, done.output
    assert "connects to" not in done.output + done.stderr
    if command[0] == "run":
        assert "refused: " in done.stdout


def test_a_named_pair_reaches_the_url_that_was_attached_to(site: Site, tasks: Path) -> None:
    with FaultServer() as server:
        runner = f"vllm:url={server.url},served_as=tiny-1,mode=text"
        given = ("run", "--tasks-dir", tasks, "--task", "notes", "--runner", runner)
        refused = site.groupbench(*given, "--store", site.folder / "store")
        assert refused.returncode == 6
        assert "notes (private) may not be sent to vllm" in " ".join(refused.stdout.split())
        assert server.connections == 0
        file = site.folder / "experiment.toml"
        file.write_text(
            'tasks = ["notes"]\n[[allow]]\ntask = "notes"\nrunner = "vllm"\nreason = "ours"\n'
        )
        done = site.groupbench(
            *("run", file, "--tasks-dir", tasks, "--runner", runner),
            *("--store", site.folder / "store"),
            OPENAI_API_KEY="sk-of-openai-0123456789",
            OPENAI_ORG_ID="org-of-openai",
            GROUPBENCH_CACHE=str(site.folder / "cache"),
        )
        assert done.returncode == 0, done.stderr
        asked = [one for one in server.seen if "notes test item" in json.dumps(one.body)]
    assert len(asked) == 4
    sent = json.dumps([one.headers for one in server.seen])
    assert "of-openai" not in sent, "the key of another provider stays here"
    assert {one.headers["authorization"] for one in server.seen} == {"Bearer none"}


def test_a_server_of_our_own_and_this_process_may_see_private_text(
    site: Site, tmp_path: Path, tasks: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("openai")
    from llamas import build_llama

    llama = build_llama(tmp_path / "llama3", "llama3")
    site.paths.append(Path(__file__).parents[1] / "support")
    done = site.groupbench(
        *("run", "--tasks-dir", tasks, "--task", "notes", "--task", "charts", "--json"),
        *("--runner", f"hf-lm:model={llama}", "--store", tmp_path / "store"),
        *("--runner", f"vllm:model={llama},python={pretend(tmp_path)}"),
        GROUPBENCH_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in json.loads(done.stdout)["entries"]] == ["ok", "ok"]
