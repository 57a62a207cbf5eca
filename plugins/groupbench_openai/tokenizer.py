"""The tokenizer of a model that another endpoint serves: where it is on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from groupbench.llm.weights import TOKENIZER_FILES, OpenModel
from groupbench.model_files import files_hash, hub_snapshot

if TYPE_CHECKING:
    from groupbench.canonical import Json


@dataclass(frozen=True, slots=True)
class LocalTokenizer:
    """The tokenizer that the setting of that name speaks of; without a name there is none."""

    name: str
    """Folder or hub id."""

    def folder(self) -> Path | None:
        """Return where it is on this machine; ``None`` if it is not."""
        if not self.name:
            return None
        named = OpenModel.of(self.name)
        if named.is_folder:
            folder = Path(named.name).expanduser()
            return folder if (folder / "tokenizer.json").is_file() else None
        return hub_snapshot(named.name, named.revision)

    def lack(self) -> str | None:
        """Return what is missing to use it, with the mend; ``None`` if nothing is."""
        if not self.name:
            return None
        for module in ("transformers", "jinja2"):
            if find_spec(module) is None:
                return f"{module} is not installed: pip install 'groupbench[llm]'"
        if self.folder() is not None:
            return None
        return (
            f"tokenizer = '{self.name}' is not on this machine: name a folder that holds its"
            " tokenizer.json, or a hub id that hf download has fetched"
        )

    def identity(self) -> dict[str, Json]:
        """Return what of it decides prompts: its files."""
        folder = self.folder()
        return {} if folder is None else {"tokenizer": files_hash(folder, TOKENIZER_FILES)}
