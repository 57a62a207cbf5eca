"""Files of a model on this machine: where they are, whether they are safe, and their hash.

Imports no library of models, and asks no hub.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.cache import cache_folder
from groupbench.canonical import canonical
from groupbench.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable


class MissingModelError(SettingError):
    """A model that is not on this machine, or not in a form that is safe to load."""


def files_hash(folder: Path, patterns: Iterable[str]) -> str:
    """Return a SHA-256 over the files of ``folder`` that match ``patterns``.

    Equal files give equal hashes wherever they are.
    """
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return hashlib.sha256(canonical([[path.name, file_hash(path)] for path in files])).hexdigest()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, from memory if it has not changed.

    Remembered by path, size and modification time, where the cache folder can be written.
    """
    path = path.resolve()
    stat = path.stat()
    state = [stat.st_size, stat.st_mtime_ns]
    memory = cache_folder("weights") / "sha256.json"
    known = _recall(memory)
    entry = known.get(str(path))
    if isinstance(entry, list) and entry[:2] == state:
        return str(entry[2])
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(memory, {**known, str(path): [*state, found]})
    return found


def hub_repository(hub_id: str) -> Path:
    """Return where the Hugging Face cache keeps a model; it may not be there."""
    home = os.environ.get("HF_HOME") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    )
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    return cache / f"models--{hub_id.replace('/', '--')}"


def hub_snapshot(hub_id: str, revision: str) -> Path | None:
    """Return the folder of a model in the Hugging Face cache.

    ``revision`` is a branch, a tag or a commit; empty: main.
    """
    repository = hub_repository(hub_id)
    commit = revision or "main"
    named = repository / "refs" / commit
    if named.is_file():
        commit = named.read_text(encoding="utf-8").strip()
    snapshot = repository / "snapshots" / commit
    return snapshot if (snapshot / "config.json").is_file() else None


def demand_safetensors(folder: Path, name: str) -> Path:
    """Return ``folder`` if it holds a whole model in a form that is safe to load.

    Raises:
        MissingModelError: it does not; the message says what it lacks and the mend.
    """
    if not folder.is_dir():
        what = "is a file" if folder.is_file() else "is not there"
        raise MissingModelError(
            f"model = '{name}': {folder} {what}; name the folder that holds the model's"
            " config.json."
        )
    if not (folder / "config.json").is_file():
        raise MissingModelError(f"model = '{name}': {folder} holds no config.json.")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        what = f"only {', '.join(pickled)}, which would be unpickled" if pickled else "no weights"
        raise MissingModelError(
            f"model = '{name}': {folder} holds {what}; groupbench loads safetensors only. Name a "
            "revision that holds model.safetensors, or convert it once: "
            "from_pretrained(FOLDER).save_pretrained(FOLDER)."
        )
    if lost := _lost_parts(folder):
        raise MissingModelError(
            f"model = '{name}': {folder} lacks {lost[0]}, which its index names; download it again."
        )
    return folder


def _lost_parts(folder: Path) -> list[str]:
    """Return the parts of the weights that an index names and that are not there."""
    wanted: set[str] = set()
    for index in folder.glob("*.safetensors.index.json"):
        parts = _recall(index).get("weight_map")
        wanted |= set(map(str, parts.values())) if isinstance(parts, dict) else set()
    return sorted(part for part in wanted if not (folder / part).is_file())


def _recall(memory: Path) -> dict[str, object]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(memory: Path, known: dict[str, object]) -> None:
    aside = memory.with_name(f"{memory.name}.{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(known), encoding="utf-8")
        aside.replace(memory)
    except OSError:
        return  # hashing again costs time, and nothing else depends on it
