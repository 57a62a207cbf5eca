"""The index of what plugins offer, kept on the local disk so that listings import no plugin.

An entry is good for as long as the plugin's distribution and version, the files beside its hook
module, its task cards and the set of installed distributions are what they were. Other plugins are
imported in a process of their own (`groupbench.plugins.probe`), never in ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupbench.cache import cache_folder
from groupbench.plugins.sources import Source

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from groupbench.canonical import Json
    from groupbench.cards.card import TaskCard
    from groupbench.task import Task

SCHEMA = "groupbench/plugin-index/1"
RETRY_SECONDS = 600
"""A plugin that could not be imported is tried again after this: the fault may lie elsewhere."""
MAX_FILES = 300
KEEP_SECONDS = 30 * 86400
"""Indexes of other environments that were not written for this long are removed."""


@dataclass(frozen=True, slots=True)
class Offering:
    """One thing that a plugin offers, as listings show it."""

    kind: str
    """``tasks``, ``suites``, ``groupings``, ...: the plural that commands use."""
    name: str
    summary: str
    source: Source
    settings: tuple[Mapping[str, Json], ...] = ()
    reason: str | None = None
    """Why it cannot be used here, with the mend."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What only this kind has: a task's kind and domain, a suite's tasks, an oracle's mark."""
    suite: str | None = None
    """The suite that a task was found in, where no plugin registers the task itself."""


@dataclass(frozen=True, slots=True)
class Record:
    """Everything the index holds about one plugin."""

    source: Source
    summary: str
    offerings: tuple[Offering, ...]
    hooks: tuple[str, ...]
    """Hooks it implements."""
    problems: tuple[str, ...]
    """What is broken about it; other parts of it may work."""
    watched: tuple[str, ...] = ()
    """Folders of task cards: when they change, it is indexed again."""

    @classmethod
    def broken(cls, source: Source, reason: str) -> Record:
        """Return the record of a plugin that could not be imported, and why."""
        return cls(source, "", (), (), (reason,))

    @property
    def unusable(self) -> bool:
        """Whether nothing of it works."""
        return bool(self.problems) and not self.hooks

    @classmethod
    def from_json(cls, source: Source, document: Mapping[str, Any]) -> Record:
        """Return the record that `to_json` wrote."""
        return cls(
            source=source,
            summary=document["summary"],
            offerings=tuple(
                Offering(**{**item, "source": source, "settings": tuple(item["settings"])})
                for item in document["offerings"]
            ),
            hooks=tuple(document["hooks"]),
            problems=tuple(document["problems"]),
            watched=tuple(document["watched"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON, without what its key says already."""
        document = asdict(self)
        del document["source"]
        for item in document["offerings"]:
            del item["source"]
        return document


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that is wrong with a plugin. What else it offers may still work."""

    source: Source
    reason: str

    def __str__(self) -> str:
        return f"{self.source} is broken: {self.reason}."


def task_facts(task: Task | TaskCard) -> dict[str, Any]:
    """Return what listings show of a task beside its name and summary.

    Of a card whose data come from elsewhere also ``loader``, and ``source_key``: what the note that
    they were read is filed under.
    """
    from groupbench.cards.card import TaskCard
    from groupbench.cards.loaded import card_of, source_key

    facts: dict[str, Any] = {
        "kind": str(task.kind),
        "domain": task.domain,
        "data_class": str(task.data_class),
        "planted": getattr(task, "planted", None) is not None,
    }
    card = task if isinstance(task, TaskCard) else card_of(task)
    if card is not None and card.source is not None:
        facts |= {"loader": card.source["loader"], "source_key": source_key(card)}
    return facts


def read_records(sources: Sequence[Source]) -> list[Record]:
    """Return what each plugin offers, asking the plugins themselves only where that is not known.

    Where the index cannot be written everything still works, slower.
    """
    path = cache_folder("plugins") / f"index-{_environment()}.json"
    stored = _read(path)
    known: dict[Source, Record] = {}
    for source in sources:
        entry = stored.get(_key(source))
        record = _fresh(source, entry) if entry else None
        if record is not None:
            known[source] = record
    stale = [source for source in sources if source not in known]
    if stale:
        from groupbench.plugins.process import probe_apart

        signatures = {source: signature(source) for source in stale}  # before, not after
        found = probe_apart(stale)
        known.update(found)
        entries = {
            _key(source): {
                "signature": signatures[source],
                "watched": _signature_of_folders(record.watched),
                "time": time.time(),
                "record": record.to_json(),
            }
            for source, record in found.items()
        }
        _write(path, {**_read(path), **entries})
    return [known[source] for source in sources]


def signature(source: Source) -> str:
    """Return a hash of names, sizes and times of the hook module's file and its package's files.

    They are found without importing anything. Empty where there is no file: such a plugin is known
    by its version alone. Of a package too large to look through, the one file stands for all.
    """
    path = locate(source.module)
    if path is None:
        return ""
    if "." in source.module or path.name == "__init__.py":
        files = list(islice(_files_below(path.parent, {".py"}), MAX_FILES + 1))
        if len(files) <= MAX_FILES:
            return _stats([path, *files])
    return _stats([path])


def locate(module: str) -> Path | None:
    """Return the file of a module without importing anything, or ``None`` if it has none.

    >>> locate("groupbench.plugins.index").name
    'index.py'
    """
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)  # of a top-level name: imports nothing, asks editable finders too
    except Exception:  # noqa: BLE001 - finders of other packages may raise anything
        return None
    if spec is None:
        return None
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    found = Path(spec.origin) if spec.origin else None
    for part in rest:  # importlib would import a namespace package to look into it
        files = [file for p in places for file in (p / part / "__init__.py", p / f"{part}.py")]
        found = next((file for file in files if file.is_file()), None)
        places = [place / part for place in places if (place / part).is_dir()]
    return found if found is not None and found.is_file() else None


def _fresh(source: Source, entry: Mapping[str, Any]) -> Record | None:
    try:
        record = Record.from_json(source, entry["record"])
        if record.unusable and not 0 <= time.time() - entry["time"] < RETRY_SECONDS:
            return None
        same = entry["signature"] == signature(source) and entry[
            "watched"
        ] == _signature_of_folders(record.watched)
    except (KeyError, TypeError, OSError):
        return None  # written by a program of another mind, or the files went away meanwhile
    return record if same else None


def _signature_of_folders(folders: Iterable[str]) -> str:
    return _stats(path for folder in folders for path in _files_below(Path(folder), {".toml"}))


def _files_below(folder: Path, suffixes: Container[str]) -> Iterator[Path]:
    for root, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith((".", "__"))]
        for name in names:
            if os.path.splitext(name)[1] in suffixes:  # noqa: PTH122 - names alone, fast
                yield Path(root) / name


def _stats(files: Iterable[Path]) -> str:
    lines = []
    for path in sorted(files):
        stat = path.stat()
        lines.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}")
    return _hash(lines)


def _environment() -> str:
    """Return what tells one environment from another: Python, and the distributions it sees.

    Whether a runner can be used depends on what is installed beside it.
    """
    names = []
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208 - names alone, fast
        except OSError:
            continue
        names += [
            f"{folder}\0{entry}" for entry in entries if entry.endswith((".dist-info", ".egg-info"))
        ]
    version = ".".join(map(str, sys.version_info[:3]))
    return _hash([SCHEMA, version, sys.prefix, signature(_OURSELVES), *sorted(names)])[:16]


_OURSELVES = Source("", "groupbench.plugins.index", "groupbench", "")
"""An index is not read by another version of the code that made it."""


def _key(source: Source) -> str:
    return "\0".join((source.distribution, source.version, source.plugin, source.value))


def _hash(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return {}
    plugins = document.get("plugins")
    return plugins if isinstance(plugins, dict) else {}


def _write(path: Path, plugins: Mapping[str, Any]) -> None:
    document = json.dumps({"schema": SCHEMA, "plugins": plugins})
    aside = path.with_name(f".{path.stem}-{os.getpid()}-{time.monotonic_ns()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(document, encoding="utf-8")
        aside.replace(path)
        oldest = time.time() - KEEP_SECONDS
        for other in path.parent.iterdir():
            if other.stat().st_mtime < oldest:
                other.unlink()
    except OSError:  # slower the next time, and nothing else
        with suppress(OSError):
            aside.unlink()
