"""Other processes of the store's checks: they write, race, read, and are killed.

Run as ``python -m groupbench.testing.store_worker COMMAND OPENER FOLDER ...``.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from groupbench.canonical import digest
from groupbench.errors import StoreError
from groupbench.testing.checks import demand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from groupbench.store import Record, Store

KIND = "fits"
FAULTS = (
    *(("fsync", n) for n in range(1, 16)),
    *(("rename", n) for n in range(1, 4)),
    *(("mkdir", n) for n in range(1, 5)),
    *(("close", n) for n in range(1, 24, 3)),
)
"""Calls of the system before which a writer is killed, and the how-manieth of them."""
FULL = 2
"""Exit status of a writer on a full disk."""
FULL_BYTES = 4096
"""No file grows longer on a full disk."""
WAIT_SECONDS = 60


def load(opener: str) -> Callable[..., Store]:
    """Return what an opener's name, ``module:attribute``, stands for."""
    module, _, path = opener.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    opened: Callable[..., Store] = found
    return opened


def contents(key: str) -> dict[str, bytes]:
    """Return the files of a record, as a function of its key."""
    block = sha256(key.encode()).digest()
    return {
        "result.json": block.hex().encode(),
        "a.test.parquet": block * 300,
        "weights/model.safetensors": block * 1000,
    }


def write(store: Store, key: str, files: dict[str, bytes] | None = None) -> Record:
    """Write a record whose meta data and files follow from its key."""
    with store.draft(KIND, key) as draft:
        for name, content in (contents(key) if files is None else files).items():
            path = draft.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return draft.commit({"key": key})


def is_whole(record: Record) -> bool:
    """Whether a record holds what `write` wrote, every byte read."""
    return record.meta["key"] == record.key and contents(record.key) == {
        name: record.path(name).read_bytes() for name in record.files
    }


def environment() -> dict[str, str]:
    """Return an environment in which other processes import what this one can."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def start(command: str, opener: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command of this module, in a process group of its own."""
    return subprocess.Popen(  # noqa: S603 - this Python, our own module
        [
            *(sys.executable, "-m", "groupbench.testing.store_worker"),
            *(command, opener, str(folder), *arguments),
        ],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a process and return what it said."""
    said, complaint = process.communicate(timeout=WAIT_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, said, complaint)


def run(command: str, opener: str, folder: Path, *arguments: str) -> str:
    """Run a command of this module and return what it said."""
    done = finish(start(command, opener, folder, *arguments))
    demand(done.returncode == 0, f"{command} failed: {done.stderr}")
    return done.stdout


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _keys(seed: str) -> Iterator[str]:
    n = 0
    while True:
        n += 1
        yield digest([seed, n])


def _write(store: Store, seed: str) -> None:
    """Write until killed; say each key that is acknowledged."""
    for key in _keys(seed):
        write(store, key)
        _say(key)


def _fault(store: Store) -> None:
    """Write once for each fault, killed there; say what was acknowledged nevertheless."""
    for function, nth in FAULTS:
        key = digest([function, nth])
        child = os.fork()
        if child == 0:
            _kill_at(function, nth)
            write(store, key)
            _say(key)
            os._exit(0)
        os.waitpid(child, 0)


def _kill_at(function: str, nth: int) -> None:
    original, n_calls = getattr(os, function), 0

    def deadly(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - stands for any function
        nonlocal n_calls
        n_calls += 1
        if n_calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(os, function, deadly)


def _race(store: Store, name: str, n_keys: str) -> None:
    """Write the same keys as others, each with another content; say what became of each."""
    _say("ready")
    sys.stdin.readline()
    mine = {part: f"{name} {part}".encode() * 500 for part in ("one", "two")}
    for n in range(int(n_keys)):
        key = digest(["race", n])
        record = write(store, key, mine)
        held = [record.path(part).read_bytes().split()[0].decode() for part in ("one", "two")]
        _say(json.dumps([key, *held]))


def _read(store: Store, n_keys: str) -> None:
    """Look for the keys of `_write` until all are there; each is whole or not there at all."""
    wanted = [key for key, _ in zip(_keys("reader"), range(int(n_keys)), strict=False)]
    _say("ready")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        records = [store.get(KIND, key) for key in wanted]
        if not all(is_whole(record) for record in records if record is not None):
            raise SystemExit("a record was visible that is not whole")
        if all(records):
            return
    raise SystemExit("the records did not appear within a minute")


def _full(store: Store, key: str) -> None:
    """Write where no file may grow beyond some bytes, as on a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, resource.RLIM_INFINITY))
    try:
        write(store, key)
    except OSError:
        pass  # a file of the record does not fit: that is for its writer to say
    else:
        raise SystemExit("the disk is not full")
    try:
        # Each file fits; the record's list of them does not.
        write(store, key, {f"{n}.test.parquet": b"x" for n in range(FULL_BYTES // 64)})
    except StoreError as problem:
        _say(str(problem))
        raise SystemExit(FULL) from None


def _hold(store: Store, key: str) -> None:
    """Hold a draft until standard input ends."""
    with store.draft(KIND, key) as draft:
        (draft.folder / "half").write_bytes(b"half")
        os.utime(draft.folder / "half", (0, 0))
        os.utime(draft.folder, (0, 0))
        _say(str(draft.folder))
        sys.stdin.read()


def _read_only(opener: str, folder: str, key: str) -> None:
    """Use a store that cannot be written, without the powers of root."""
    _drop_powers()
    store = load(opener)(folder, create=False)
    record = store.get(KIND, key)
    said: dict[str, bool | str] = {
        "writable": store.writable,
        "whole": record is not None and is_whole(record),
    }
    for name, attempt in (
        ("draft", lambda: store.draft(KIND, key)),
        ("open", lambda: load(opener)(folder, create=True)),
    ):
        try:
            attempt()
            said[name] = ""
        except StoreError as problem:
            said[name] = str(problem)
    _say(json.dumps(said))


def _drop_powers() -> None:
    """Give up root's right to write anything (Linux; elsewhere tests do not run as root)."""
    if os.geteuid() != 0:
        return
    import ctypes

    version_3 = 0x20080522
    header = (ctypes.c_uint32 * 2)(version_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset failed")


def _digests() -> None:
    """Say the keys of values in which order, locale or hashing could show."""
    values: list[Any] = [
        {"b": 1, "a": [1.5, 1e-7, -0.0, 10**18], "ä": "naïve café 漢字 \u202e"},
        {"names": {"rte", "mnli", "cola", "sst2", "mrpc", "qqp", "stsb"}, "none": None},
        frozenset(f"task-{n}" for n in range(50)),
        {f"task-{n}": n / 7 for n in range(50)},
    ]
    _say(json.dumps([digest(value) for value in values]))


def main() -> None:
    """Run one command."""
    command, *rest = sys.argv[1:]
    if command == "digests":
        _digests()
        return
    opener, folder, *arguments = rest
    if command == "read-only":
        _read_only(opener, folder, *arguments)
        return
    commands: dict[str, Callable[..., None]] = {
        "write": _write,
        "fault": _fault,
        "race": _race,
        "read": _read,
        "full": _full,
        "hold": _hold,
    }
    commands[command](load(opener)(folder), *arguments)


if __name__ == "__main__":
    main()
