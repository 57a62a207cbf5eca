"""Locks of the store: one holder on a machine, none after its death."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from groupbench.canonical import digest
from groupbench.store import Store
from groupbench.store.gc import collect

if TYPE_CHECKING:
    from pathlib import Path

KEY = digest("a key")
HOLDER = """
import sys
from groupbench.store import Store
lock = Store.open(sys.argv[1]).lock("fits", sys.argv[2])
print(lock.acquire(blocking=False), flush=True)
sys.stdin.read()
"""
COUNTERS = """
import os, sys
from pathlib import Path
from groupbench.store import Store
store, count = Store.open(sys.argv[1]), Path(sys.argv[3])
for _ in range(int(sys.argv[4])):
    with store.lock("fits", sys.argv[2]):
        count.write_text(str(int(count.read_text()) + 1))
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def hold(store: Store) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root), KEY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_lock_is_held_once_and_given_back_by_the_system(store: Store) -> None:
    lock = store.lock("fits", KEY)
    with hold(store) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        assert not lock.acquire(blocking=False)
        assert collect(store).locks == 0
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert lock.acquire(blocking=False)
    with hold(store) as second:
        assert second.stdout is not None
        assert second.stdout.readline().strip() == "False"
        second.communicate()
    lock.release()
    lock.release()
    assert not lock.held
    assert not list((store.root / "locks").iterdir())


def test_locks_of_the_dead_are_collected(store: Store) -> None:
    with hold(store) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGKILL)
    assert len(list((store.root / "locks").iterdir())) == 1
    assert collect(store, dry_run=True).locks == 1
    assert collect(store).locks == 1
    assert not list((store.root / "locks").iterdir())


def test_threads_of_one_process_exclude_each_other(store: Store) -> None:
    held = store.lock("fits", KEY)
    held.acquire()
    answers: list[bool] = []
    thread = threading.Thread(
        target=lambda: answers.append(store.lock("fits", KEY).acquire(blocking=False))
    )
    thread.start()
    thread.join()
    assert answers == [False]
    with pytest.raises(ValueError, match="held by this object already"):
        held.acquire()
    held.release()


def test_no_count_is_lost_under_contention(store: Store, tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    arguments = [str(store.root), KEY, str(count), "60"]
    counters = [subprocess.Popen([sys.executable, "-c", COUNTERS, *arguments]) for _ in range(5)]
    assert [counter.wait(60) for counter in counters] == [0] * 5
    assert count.read_text() == "300"
