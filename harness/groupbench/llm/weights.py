"""Open weights: where a model's files are on this machine, and the hash that stands for them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groupbench.cache import cache_folder
from groupbench.canonical import canonical
from groupbench.errors import SettingError

TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)
PATTERNS = (
    "config.json",
    "generation_config.json",
    *TOKENIZER_FILES,
    "*.safetensors",
    "*.safetensors.index.json",
)
"""What is read of a model, downloaded of a hub model, and hashed."""

UNKNOWN_CONTEXT = 4096
"""Tokens that a model is taken to see where its configuration does not say."""


class MissingModelError(SettingError):
    """A model that is not on this machine, or not in a form that is safe to load."""


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model as settings name it: a folder, or a hub id."""

    name: str
    revision: str = ""
    """Of the hub; empty: main."""

    @classmethod
    def of(cls, model: str) -> OpenModel:
        """Read a folder, or a hub id that ``@REVISION`` may follow.

        >>> OpenModel.of("org/model@v1")
        OpenModel(name='org/model', revision='v1')
        """
        if _is_folder(model):
            return cls(model)
        name, _, revision = model.partition("@")
        return cls(name, revision)

    @property
    def is_folder(self) -> bool:
        """Whether it is named by a folder."""
        return _is_folder(self.name)

    def find(self) -> Path:
        """Return the folder of its files on this machine. Imports and asks nothing.

        Raises:
            MissingModelError: there is none, or it holds no safetensors; the message says how to
                get them.
        """
        if not self.name.strip():
            raise MissingModelError("model is empty: name a folder or a hub id, as model=FOLDER.")
        if self.is_folder:
            return _checked(Path(self.name).expanduser(), self.name)
        folder = _in_hub_cache(self.name, self.revision)
        if folder is None:
            at = f" --revision {self.revision}" if self.revision else ""
            raise MissingModelError(
                f"model = '{self.name}' is not on this machine. Once online: hf download"
                f" {self.name}{at}; or name a folder that holds it."
            )
        return _checked(folder, self.name)

    def fetch(self) -> Path:
        """Return the folder of its files, downloading what is missing unless offline.

        Raises:
            MissingModelError: they cannot be had, or hold no safetensors.
        """
        try:
            return self.find()
        except MissingModelError:
            in_cache = not self.is_folder and _in_hub_cache(self.name, self.revision) is not None
            if offline() or self.is_folder or in_cache or not self.name.strip():
                raise
        return _checked(_download(self.name, self.revision), self.name)


def offline() -> bool:
    """Return whether the network must not be used."""
    names = ("HF_HUB_OFFLINE", "GROUPBENCH_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").lower() in {"1", "true", "yes", "on"} for name in names)


def model_hash(folder: Path) -> str:
    """Return a SHA-256 over everything that is read of the model in ``folder``.

    Equal files give equal hashes wherever they are. Hashes of files are remembered by path, size
    and modification time, where the cache folder can be written.
    """
    files = sorted({path for pattern in PATTERNS for path in folder.glob(pattern)})
    return hashlib.sha256(canonical([[path.name, _file_hash(path)] for path in files])).hexdigest()


def context_length(folder: Path) -> int:
    """Return how many tokens the model in ``folder`` can see, as its configuration says."""
    try:
        config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return UNKNOWN_CONTEXT
    if isinstance(config, dict):
        inner = config.get("text_config")
        for part in (config, inner if isinstance(inner, dict) else {}):
            for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
                if isinstance(part.get(name), int) and part[name] > 0:
                    return int(part[name])
    return UNKNOWN_CONTEXT


def _file_hash(path: Path) -> str:
    path = path.resolve()
    stat = path.stat()
    state = [stat.st_size, stat.st_mtime_ns]
    memory = cache_folder("weights") / "models.json"
    known = _recall(memory)
    entry = known.get(str(path))
    if isinstance(entry, list) and entry[:2] == state:
        return str(entry[2])
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(memory, {**known, str(path): [*state, found]})
    return found


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


def _is_folder(model: str) -> bool:
    return model.startswith((".", "/", "~")) or Path(model).is_dir()


def _in_hub_cache(hub_id: str, revision: str) -> Path | None:
    """Return a snapshot in the Hugging Face cache."""
    home = os.environ.get("HF_HOME") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    )
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    commit = revision or "main"
    named = repository / "refs" / commit
    if named.is_file():
        commit = named.read_text(encoding="utf-8").strip()
    snapshot = repository / "snapshots" / commit
    return snapshot if (snapshot / "config.json").is_file() else None


def _checked(folder: Path, name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise MissingModelError(f"model = '{name}': {folder} holds no config.json.")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        what = f"only {', '.join(pickled)}, which would be unpickled" if pickled else "no weights"
        raise MissingModelError(
            f"model = '{name}': {folder} holds {what}; groupbench loads safetensors only. Name a"
            " revision that holds model.safetensors, or convert it once with save_pretrained."
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
        document = _recall(index)
        parts = document.get("weight_map")
        wanted |= set(map(str, parts.values())) if isinstance(parts, dict) else set()
    return sorted(part for part in wanted if not (folder / part).is_file())


def _download(hub_id: str, revision: str) -> Path:
    try:
        import huggingface_hub

        return Path(
            huggingface_hub.snapshot_download(
                hub_id, revision=revision or None, allow_patterns=list(PATTERNS)
            )
        )
    except Exception as failure:
        lines = str(failure).strip().splitlines() or [repr(failure)]
        raise MissingModelError(
            f"model = '{hub_id}': it could not be downloaded ({type(failure).__name__}:"
            f" {lines[0]}); name a folder that holds it, or see to access and network."
        ) from failure
