"""Models known by a short name. A preset is data; any other hub id or folder works as well."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING

from groupbench.llm.weights import OpenModel
from groupbench.model_files import MissingModelError
from groupbench.offline import offline_because

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Preset:
    """An open model on the Hugging Face hub."""

    hub: str
    """Its id there."""
    context: int
    """Tokens that it can see."""
    weights_gb: float
    """In bfloat16; the GPUs must hold more than that."""
    gated: bool = True
    """Its licence must be accepted on the hub first."""


PRESETS = {
    "llama2-7b": Preset("meta-llama/Llama-2-7b-chat-hf", 4096, 14),
    "llama2-13b": Preset("meta-llama/Llama-2-13b-chat-hf", 4096, 26),
    "llama2-70b": Preset("meta-llama/Llama-2-70b-chat-hf", 4096, 140),
    "llama2-7b-base": Preset("meta-llama/Llama-2-7b-hf", 4096, 14),
    "llama3-8b": Preset("meta-llama/Meta-Llama-3-8B-Instruct", 8192, 16),
    "llama3-70b": Preset("meta-llama/Meta-Llama-3-70B-Instruct", 8192, 141),
    "llama3.1-8b": Preset("meta-llama/Llama-3.1-8B-Instruct", 131_072, 16),
    "llama3.1-8b-base": Preset("meta-llama/Llama-3.1-8B", 131_072, 16),
    "llama3.1-70b": Preset("meta-llama/Llama-3.1-70B-Instruct", 131_072, 141),
    "llama3.2-1b": Preset("meta-llama/Llama-3.2-1B-Instruct", 131_072, 2.5),
    "llama3.2-3b": Preset("meta-llama/Llama-3.2-3B-Instruct", 131_072, 6.4),
    "llama3.3-70b": Preset("meta-llama/Llama-3.3-70B-Instruct", 131_072, 141),
}
"""By short name."""


@dataclass(frozen=True, slots=True)
class PresetModel(OpenModel):
    """A model as runners that know presets name it: where it is missing, they are told of."""

    @property
    def gated(self) -> bool:
        """Whether it is a preset whose licence must be accepted first."""
        return any(preset.hub == self.name and preset.gated for preset in PRESETS.values())

    @property
    def mistyped(self) -> bool:
        """Whether it looks like a preset's short name and is none."""
        plain = not self.is_folder and "/" not in self.name
        return plain and bool(get_close_matches(self.name, PRESETS, n=1, cutoff=0.7))

    def find(self) -> Path:
        """Return the folder of its files on this machine; see `OpenModel.find`."""
        try:
            return OpenModel.find(self)
        except MissingModelError as missing:
            raise self._explained(missing) from None

    def fetch(self) -> Path:
        """Return the folder of its files, downloading what is missing; see `OpenModel.fetch`."""
        if self.mistyped:
            return self.find()  # a hub would be asked for what nobody has
        return OpenModel.fetch(self)

    def _explained(self, missing: MissingModelError) -> MissingModelError:
        if self.mistyped:
            first, *others = presets_like(self.name)
            return MissingModelError(
                f"model = '{self.name}' is no preset. Did you mean '{first}'? Others, nearest"
                f" first: {', '.join(others)}. Any other model is named by its folder, or as"
                " OWNER/NAME."
            )
        if self.gated:
            return MissingModelError(
                f"{missing} It is gated: accept its licence at https://huggingface.co/{self.name}"
                " and log in with hf auth login first."
            )
        if self.is_folder or "/" in self.name:
            return missing
        return MissingModelError(
            f"{missing} A preset is one of {', '.join(presets_like(self.name))}."
        )


def presets_like(name: str) -> list[str]:
    """Return the short names of all presets, those that are written most like ``name`` first.

    >>> presets_like("lama-3-8b")[0]
    'llama3-8b'
    """
    return sorted(PRESETS, key=lambda known: -SequenceMatcher(None, name, known).ratio())


def source_of(model: str) -> PresetModel:
    """Return where the files of a model come from: a preset, a folder or a hub id.

    >>> source_of("llama2-7b@v1")
    PresetModel(name='meta-llama/Llama-2-7b-chat-hf', revision='v1')
    """
    name, at, revision = model.partition("@")
    preset = PRESETS.get(name)
    found = OpenModel.of(f"{preset.hub}{at}{revision}" if preset else model)
    return PresetModel(found.name, found.revision)


def demand_model(model: str) -> None:
    """Raise `MissingModelError` where a model is not here and cannot, or may not, be fetched."""
    source = source_of(model)
    try:
        source.find()
    except MissingModelError:
        here = source.is_folder or not model.strip()
        if here or source.gated or source.mistyped or offline_because():
            raise
