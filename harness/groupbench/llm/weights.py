"""Open weights: where a model's files are on this machine, and the hash that stands for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groupbench.model_files import (
    MissingModelError,
    demand_safetensors,
    files_hash,
    hub_snapshot,
)
from groupbench.offline import offline_because

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
            return demand_safetensors(Path(self.name).expanduser(), self.name)
        folder = hub_snapshot(self.name, self.revision)
        if folder is None:
            at = f" --revision {self.revision}" if self.revision else ""
            raise MissingModelError(
                f"model = '{self.name}' is not on this machine. Once online: hf download"
                f" {self.name}{at}; or name a folder that holds it."
            )
        return demand_safetensors(folder, self.name)

    def fetch(self) -> Path:
        """Return the folder of its files, downloading what is missing unless offline.

        Raises:
            MissingModelError: they cannot be had, or hold no safetensors.
        """
        try:
            return self.find()
        except MissingModelError:
            in_cache = not self.is_folder and hub_snapshot(self.name, self.revision) is not None
            if offline_because() or self.is_folder or in_cache or not self.name.strip():
                raise
        return demand_safetensors(_download(self.name, self.revision), self.name)


def model_hash(folder: Path) -> str:
    """Return a SHA-256 over everything that is read of the model in ``folder``.

    Equal files give equal hashes wherever they are. Hashes of files are remembered by path, size
    and modification time, where the cache folder can be written.
    """
    return files_hash(folder, PATTERNS)


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


def _is_folder(model: str) -> bool:
    return model.startswith((".", "/", "~")) or Path(model).is_dir()


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
