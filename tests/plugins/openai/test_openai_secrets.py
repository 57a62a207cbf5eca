"""A planted key is found nowhere: not in what is written, said or shown to other processes."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import pytest
from fault_server import FaultServer
from sites import write_tasks

if TYPE_CHECKING:
    from sites import Site

pytest.importorskip("openai")

KEY = "sk-canary-7Jx2+Qm/9vT0aZ41"
FORMS = (KEY, KEY.replace("+", "%2B").replace("/", "%2F"), base64.b64encode(KEY.encode()).decode())


def holds_key(text: bytes) -> bool:
    return any(form.encode() in text for form in FORMS)


def descendants(root: int) -> set[int]:
    """Return the processes that ``root`` started, and those that they started."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_a_planted_key_is_found_nowhere(site: Site, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "cards", ["alpha", "beta"], n=6)
    home = tmp_path / "home"
    home.mkdir()
    environment = site.environment(
        THE_KEY=f"{KEY}\n",  # as a careless file of secrets gives it
        OPENAI_LOG="debug",
        GROUPBENCH_CACHE=str(home / "cache"),
        TMPDIR=str(home),
    )
    arguments: set[bytes] = set()
    said: list[bytes] = []

    def groupbench(*given: object) -> int:
        with TemporaryFile() as out, TemporaryFile() as err:  # a pipe may be full
            process = subprocess.Popen(
                [sys.executable, "-m", "groupbench", *map(str, given)],
                env=environment, cwd=home, stdout=out, stderr=err,
            )  # fmt: skip
            while process.poll() is None:
                for pid in descendants(process.pid):
                    try:
                        arguments.add(Path(f"/proc/{pid}/cmdline").read_bytes())
                    except OSError:
                        continue
                time.sleep(0.05)
            for file in (out, err):
                file.seek(0)
                said.append(file.read())
        return process.returncode

    faults = [*[None] * 8, "500", "429 ms", "401"]
    with FaultServer(faults=faults, only="test item", seconds=0.05, wait=0.1) as server:
        told = f"openai:model=gpt-4o,url={server.url},key_variable=THE_KEY,concurrency=2"
        asked = ("--tasks-dir", tasks, "--task", "alpha", "--task", "beta", "--grouping", "single")
        run = ("run", *asked, "--store", home / "store", "--runner")
        assert groupbench("--debug", *run, told) == 3, said[-1]
        assert b"Traceback" in said[-1], "the fit that failed is shown in full"
        assert b"[key]" in said[-1], "the server said the key, and it was struck out"
        assert groupbench(*run, told, "--json") == 0, said[-1]
        assert all(one.headers["authorization"] == f"Bearer {KEY}" for one in server.seen)
        server.models_status = 401
        assert groupbench("--debug", *run, told.replace("gpt-4o", "gpt-4.1")) == 3
    assert groupbench("leaderboard", "show", home / "store", "--markdown") == 0, said[-1]

    assert len([one for one in arguments if b"groupbench" in one]) > 1
    assert not [one for one in arguments if holds_key(one)]
    assert not [text for text in said if holds_key(text)]
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any("responses" in path.name for path in files)
    assert len(files) > 10
    assert not [path for path in files if holds_key(path.read_bytes())]
