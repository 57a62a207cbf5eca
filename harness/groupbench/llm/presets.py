"""Models known by a short name. A preset is data; any other hub id or folder works as well."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from groupbench.llm.weights import OpenModel
from groupbench.model_files import MissingModelError
from groupbench.offline import offline_because


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


def source_of(model: str) -> OpenModel:
    """Return where the files of a model come from: a preset, a folder or a hub id.

    >>> source_of("llama2-7b@v1")
    OpenModel(name='meta-llama/Llama-2-7b-chat-hf', revision='v1')
    """
    name, at, revision = model.partition("@")
    preset = PRESETS.get(name)
    return OpenModel.of(f"{preset.hub}{at}{revision}" if preset else model)


def demand_model(model: str) -> None:
    """Raise `MissingModelError` where a model is not here and cannot, or may not, be fetched."""
    source = source_of(model)
    try:
        source.find()
    except MissingModelError as missing:
        preset = PRESETS.get(model.partition("@")[0])
        if preset is not None and preset.gated:
            raise MissingModelError(
                f"{missing} It is gated: accept its licence at"
                f" https://huggingface.co/{preset.hub} and log in with hf auth login first."
            ) from None
        near = get_close_matches(source.name, PRESETS, n=1, cutoff=0.7)
        if near and not source.is_folder and "/" not in source.name:
            raise MissingModelError(f"{missing} Did you mean '{near[0]}'?") from None
        if offline_because() or source.is_folder or not model.strip():
            raise
