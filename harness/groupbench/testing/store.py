"""Checks of a store: the invariants that results rely on, held against real processes.

Each check is a function of an opener and an empty folder. The opener is the name, as
``module:attribute``, of what opens a store (`groupbench.store.Store.open` is one): other
processes open it too. A check raises `CheckError` with what does not hold.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.canonical import digest
from groupbench.errors import StoreError
from groupbench.store.check import check_store, drafts
from groupbench.store.files import read_document, write_document
from groupbench.store.gc import collect
from groupbench.testing.checks import demand, fail
from groupbench.testing.store_worker import (
    FAULTS,
    FULL,
    KIND,
    WAIT_SECONDS,
    environment,
    finish,
    is_whole,
    load,
    run,
    start,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from groupbench.store import Store

OPENER = "groupbench.store:Store.open"
DAY_SECONDS = 86400


def check_visible_implies_complete(opener: str, folder: Path) -> None:
    """A writer killed before any call of the system leaves a whole record or none."""
    acknowledged = run("fault", opener, folder).split()
    store = load(opener)(folder)
    n_visible = 0
    for fault in FAULTS:
        record = store.get(KIND, digest(list(fault)))
        if record is not None:
            n_visible += 1
            demand(is_whole(record), f"killed before {fault}: what is visible is not whole")
    demand(n_visible < len(FAULTS), "no writer was killed before its record was visible")
    demand(n_visible >= len(acknowledged), "an acknowledged record is gone")
    _is_sound(store)


def check_acknowledged_is_durable(opener: str, folder: Path, rounds: int = 5) -> None:
    """What a writer was told is stored is there after it is killed at any instant."""
    moments = random.Random(0)  # noqa: S311 - moments, not secrets
    n_acknowledged = 0
    for number in range(rounds):
        writers = [start("write", opener, folder, f"{number}-{n}") for n in range(2)]
        # The first word says that it writes; then it may die at any moment.
        said = [writer.stdout.readline() for writer in writers if writer.stdout is not None]
        time.sleep(moments.random() * 0.2)
        for writer in writers:
            os.killpg(writer.pid, signal.SIGKILL)
        words = [writer.communicate()[0] for writer in writers]
        # A last line without its end was not said in full.
        keys = [w for w in "".join([*said, *words]).split("\n") if len(w) == len(digest(0))]
        n_acknowledged += len(keys)
        store = load(opener)(folder)
        for key in keys:
            record = store.get(KIND, key)
            demand(record is not None and is_whole(record), f"{key} was acknowledged and is lost")
        _is_sound(store)
    demand(n_acknowledged >= rounds, "the writers hardly wrote")


def check_one_winner(opener: str, folder: Path, writers: int = 8, n_keys: int = 20) -> None:
    """Of writers that race, one wins; the others get its record, and nothing is mixed."""
    load(opener)(folder)
    with ExitStack() as stack:
        racers = [
            stack.enter_context(start("race", opener, folder, f"writer{n}", str(n_keys)))
            for n in range(writers)
        ]
        for racer in racers:
            if racer.stdout is not None:
                racer.stdout.readline()
        for racer in racers:
            if racer.stdin is not None:
                racer.stdin.write("go\n")
                racer.stdin.flush()
        ended = [racer.communicate(timeout=WAIT_SECONDS) for racer in racers]
    winners: dict[str, set[str]] = {}
    for said, complaint in ended:
        lines = said.splitlines()
        demand(len(lines) == n_keys, f"a racer failed: {complaint}")
        for key, *held in map(json.loads, lines):
            winners.setdefault(key, set()).update(held)
    for key, names in winners.items():
        demand(len(names) == 1, f"{key} was won by {', '.join(sorted(names))}")
    _is_sound(load(opener)(folder))


def check_full_disk(opener: str, folder: Path) -> None:
    """On a full disk nothing becomes visible, it is said, and the next attempt succeeds."""
    key = digest("full")
    store = load(opener)(folder)
    done = finish(start("full", opener, folder, key))
    demand(done.returncode == FULL, f"a full disk ended with {done.returncode}: {done.stderr}")
    said = done.stdout.strip()
    demand(str(folder) in said and "\n" not in said, f"it is not said in a sentence: {said!r}")
    demand(store.get(KIND, key) is None, "a record of a full disk is visible")
    demand(not list(drafts(store)), "a draft of a full disk was left")
    demand(is_whole(write(store, key)), "after the disk was full, writing fails")


def check_readers_see_old_or_new(opener: str, folder: Path, n_keys: int = 40) -> None:
    """A reader during a write sees a whole record or none."""
    load(opener)(folder)
    with start("read", opener, folder, str(n_keys)) as reader:
        if reader.stdout is not None:
            reader.stdout.readline()
        with start("write", opener, folder, "reader") as writer:
            _, complaint = reader.communicate(timeout=WAIT_SECONDS)
            os.killpg(writer.pid, signal.SIGKILL)
            writer.communicate()
    demand(reader.returncode == 0, complaint)


def check_flipped_bytes_are_found(opener: str, folder: Path) -> None:
    """A flipped byte, or a missing file, is found, set aside and not deleted; the rest stays."""
    store = load(opener)(folder)
    sound = write(store, digest("sound"))
    names = ("record.json", *sound.files)
    spots = [(name, spot) for name in names for spot in (0, 0.2, 0.5, 0.8, 1)]
    for name, spot in spots:
        key = digest([name, spot])
        path = write(store, key).folder / name
        content = bytearray(path.read_bytes())
        content[round(spot * (len(content) - 1))] ^= 4
        path.write_bytes(content)
        report = check_store(store)
        demand([d.key for d in report.damaged] == [key], f"a flipped byte of {name} is not found")
        aside = report.damaged[0].moved_to
        demand(aside is not None, "nothing was set aside")
        if aside is not None:
            demand((aside / name).read_bytes() == content, f"{name} was changed or deleted")
        demand(store.get(KIND, key) is None, f"{key} is visible with a flipped byte of {name}")
        demand(is_whole(write(store, key)), f"{key} cannot be written again")
    missing = write(store, digest("missing"))
    (missing.folder / "result.json").unlink()
    demand(store.get(KIND, missing.key) is None, "a record with a missing file is served")
    demand(is_whole(write(store, missing.key)), "it cannot be written again")
    demand(is_whole(sound), "a sound record was touched")
    _is_sound(store)


def check_orphans_are_collected(opener: str, folder: Path) -> None:
    """Drafts of killed writers go after a day; those of the living and the young ones stay."""
    store = load(opener)(folder)
    kept = write(store, digest("kept"))
    with ExitStack() as stack:
        holders = [stack.enter_context(start("hold", opener, folder, digest(n))) for n in range(3)]
        old, young, living = (
            Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout
        )
        for holder in holders[:2]:
            os.killpg(holder.pid, signal.SIGKILL)
            holder.wait()
        now = time.time()
        for path, age in ((old, DAY_SECONDS + 60), (young, DAY_SECONDS - 600)):
            for part in (path / "half", path):
                os.utime(part, (now - age, now - age))
        report = collect(store)
        demand(report.orphans == 1 and not old.exists(), "an orphan older than a day was left")
        demand(young.exists(), "a draft younger than a day was removed")
        demand((living / "half").exists(), "a draft of a living process was removed")
        demand(is_whole(kept), "a record was touched")


def check_read_only_stores_serve(opener: str, folder: Path) -> None:
    """A store that cannot be written still serves what it holds, and says so when written to."""
    key = write(load(opener)(folder), digest("kept")).key
    everything = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in everything]
    try:
        for path, mode in zip(everything, modes, strict=True):
            path.chmod(mode & ~0o222)
        said = json.loads(run("read-only", opener, folder, key))
    finally:
        for path, mode in zip(everything, modes, strict=True):
            path.chmod(mode)
    demand(said["whole"], "a record of a read-only store cannot be read")
    demand(not said["writable"], "a read-only store calls itself writable")
    for name in ("draft", "open"):
        demand(str(folder) in said[name], f"{name} on a read-only store does not say why it fails")


def check_keys_are_equal_everywhere(opener: str, folder: Path) -> None:
    """A key depends on no hash seed, locale, time zone or working folder."""
    del opener
    folder.mkdir(exist_ok=True)
    seen = set()
    for seed, locale, zone in (("0", "C", "UTC"), ("1", "tr_TR.UTF-8", "Asia/Kathmandu")):
        surroundings = {"PYTHONHASHSEED": seed, "LC_ALL": locale, "LANG": locale, "TZ": zone}
        for mode in ("0", "1"):
            done = subprocess.run(
                [sys.executable, "-m", "groupbench.testing.store_worker", "digests"],
                env=environment() | surroundings | {"PYTHONUTF8": mode},
                cwd=folder,
                capture_output=True,
                text=True,
                check=True,
            )
            seen.add(done.stdout)
    demand(len(seen) == 1, "keys differ between processes")


def check_newer_schemas_are_refused(opener: str, folder: Path) -> None:
    """A store, or a record, of a newer program is refused in a sentence and left as it is."""
    store = load(opener)(folder)
    record = write(store, digest("newer"))
    path = record.folder / "record.json"
    document = read_document(path)
    write_document(path, document | {"schema": "groupbench/record/99"})
    _refuses(lambda: store.get(KIND, record.key), "record/99")
    demand(not check_store(store).damaged and path.exists(), "a newer record was set aside")
    (folder / "store.json").write_text('{"schema": "groupbench/store/99"}', encoding="utf-8")
    _refuses(lambda: load(opener)(folder), "store/99")
    _refuses(lambda: load(opener)(folder, create=False), "store/99")


def check_copied_stores_merge(opener: str, folder: Path) -> None:
    """Copying the folders of one store into another merges them."""
    here, there = load(opener)(folder / "here"), load(opener)(folder / "there")
    mine, common, yours = (digest(name) for name in ("mine", "common", "yours"))
    for store, keys in ((here, (mine, common)), (there, (common, yours))):
        for key in keys:
            write(store, key)
    shutil.copytree(there.root, here.root, dirs_exist_ok=True)
    found = list(load(opener)(folder / "here").records(KIND))
    demand([r.key for r in found] == sorted({mine, common, yours}), "records are missing")
    demand(all(map(is_whole, found)), "a record is not whole after the merge")
    _is_sound(here)


CHECKS: tuple[Callable[[str, Path], None], ...] = (
    check_visible_implies_complete,
    check_acknowledged_is_durable,
    check_one_winner,
    check_full_disk,
    check_readers_see_old_or_new,
    check_flipped_bytes_are_found,
    check_orphans_are_collected,
    check_read_only_stores_serve,
    check_keys_are_equal_everywhere,
    check_newer_schemas_are_refused,
    check_copied_stores_merge,
)
"""In the order of the invariants: eleven."""


def _refuses(attempt: Callable[[], object], naming: str) -> None:
    try:
        attempt()
    except StoreError as refusal:
        said = str(refusal)
        demand(naming in said and "\n" not in said, f"the refusal says only {said!r}")
    else:
        fail(f"{naming} was not refused")


def _is_sound(store: Store) -> None:
    """Demand that a full check of what is visible finds nothing."""
    report = check_store(store)
    demand(not report.damaged, f"store check found {report.damaged}")
