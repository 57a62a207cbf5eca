"""A run killed at any moment loses at most the fits in flight, and ends the same when run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from groupbench.store import Store
from groupbench.store.check import check_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sites import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

N_MOMENTS = 20
N_FITS = 8  # 3 single + 1 joint, for two seeds
FIT_SECONDS = 0.15
WORKERS = 2

KILL_IN_COMMIT = """
import os, signal, sys
name, nth = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
original, seen = getattr(os, name), 0

def deadly(*arguments, **options):
    global seen
    seen += 1
    if seen == nth:
        os.killpg(os.getpgid(0), signal.SIGKILL)
    return original(*arguments, **options)

setattr(os, name, deadly)
from groupbench.cli import main
main()
"""


class Killing:
    """Runs of one experiment, each on a store of its own."""

    def __init__(self, site: Site, tasks_dir: Path, folder: Path) -> None:
        self.site, self.tasks_dir, self.folder = site, tasks_dir, folder

    def command(self, name: str) -> list[str]:
        """The command line of the experiment; ``name`` picks the store."""
        tasks = [o for task in ("alpha", "beta", "gamma") for o in ("--task", task)]
        return [
            *("run", "--tasks-dir", str(self.tasks_dir), *tasks, "--json", "--quiet"),
            *("--grouping", "single", "--grouping", "all", "--seed", "0", "--seed", "1"),
            *("--runner", f"counting:seconds={FIT_SECONDS}"),
            *("--executor", f"local:workers={WORKERS}", "--store", str(self.folder / name)),
        ]

    def start(self, name: str, *before: str) -> subprocess.Popen[str]:
        """Start the experiment in a process group of its own."""
        launch = before or ("-m", "groupbench")
        return subprocess.Popen(
            [sys.executable, *launch, *self.command(name)],
            env=self.site.environment(FIXTURE_LOG=str(self.folder / f"{name}.log")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, name: str) -> dict[str, Any]:
        """Run the experiment to its end and return the leaderboard without timings."""
        process = self.start(name)
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        board: dict[str, Any] = without_timings(json.loads(stdout))
        return board

    def started(self, name: str) -> list[str]:
        """Every fit that was ever started, killed ones included."""
        log = self.folder / f"{name}.log"
        return log.read_text().splitlines() if log.exists() else []

    def stored(self, name: str) -> int:
        """How many fits are visible in the store."""
        return len(list((self.folder / name / "fits").glob("*/[0-9a-f]*/record.json")))

    def check(self, name: str, expected: dict[str, Any]) -> None:
        """After a kill: run again, and hold the count, the store and the board to the promise."""
        self.wait_for_orphans(name)
        n_started, n_stored = len(self.started(name)), self.stored(name)
        in_flight = n_started - n_stored
        assert 0 <= in_flight <= WORKERS
        assert self.finish(name) == expected
        assert len(self.started(name)) == N_FITS + in_flight
        assert not check_store(Store.open(self.folder / name)).damaged

    def wait_for_orphans(self, name: str) -> None:
        """Wait until the killed run's fits have noticed and ended, so that counts stand still."""
        mark = f"FIXTURE_LOG={self.folder / name}.log".encode()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and any(mark in env for env in environments()):
            time.sleep(0.05)


def environments() -> Iterator[bytes]:
    """Yield the environment of every process of this machine that can be read."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            yield path.read_bytes()


def without_timings(document: Any) -> Any:
    """Return a leaderboard without what depends on the clock."""
    clock = {"seconds", "predict_seconds", "latency_ms"}
    if isinstance(document, dict):
        return {k: without_timings(value) for k, value in document.items() if k not in clock}
    if isinstance(document, list):
        return [without_timings(item) for item in document]
    return document


@pytest.fixture
def killing(fixture_site: Site, tasks_dir: Path, tmp_path: Path) -> Killing:
    return Killing(fixture_site, tasks_dir, tmp_path)


def test_a_run_killed_at_any_moment_is_finished_by_the_next(killing: Killing) -> None:
    started = time.monotonic()
    expected = killing.finish("undisturbed")
    measured = time.monotonic() - started
    assert len(killing.started("undisturbed")) == N_FITS

    def kill(moment: int) -> None:
        name = f"moment{moment}"
        process = killing.start(name)
        time.sleep(measured * (moment + 0.5) / N_MOMENTS)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killing.check(name, expected)

    for moment in range(N_MOMENTS):
        kill(moment)


@pytest.mark.parametrize(
    ("function", "nth"),
    [("fsync", 1), ("fsync", 2), ("fsync", 5), ("fsync", 9), ("rename", 1), ("rename", 3)],
)
def test_a_run_killed_inside_a_commit_is_finished_by_the_next(
    killing: Killing, function: str, nth: int
) -> None:
    expected = killing.finish("undisturbed")
    driver = killing.folder / "driver.py"
    driver.write_text(KILL_IN_COMMIT)
    process = killing.start("inside", str(driver), function, str(nth))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    killing.check("inside", expected)


def test_two_runs_at_once_compute_each_fit_once(killing: Killing) -> None:
    expected = killing.finish("undisturbed")
    with ThreadPoolExecutor(2) as both:
        boards = list(both.map(killing.finish, ["shared", "shared"]))
    assert boards == [expected, expected]
    assert len(killing.started("shared")) == N_FITS
    assert sorted(set(killing.started("shared"))) == sorted(killing.started("shared"))
