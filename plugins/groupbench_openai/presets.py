"""OpenAI's models, as data. What they cost and until when they are served is in the price file."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

_LONG = 128_000
_LONGER = 1_047_576
_LONGEST = 1_050_000


@dataclass(frozen=True, slots=True)
class Preset:
    """A snapshot of a model."""

    snapshot: str
    """Its name at the API; an alias may be pointed to another snapshot any day."""
    context: int
    """Tokens of prompt and answer together."""
    schema: bool = True
    """It writes JSON by a schema."""
    effort: str = ""
    """The reasoning effort that it is asked for unless a setting says otherwise; empty: it does not
    reason and takes no such field. With any effort but none it takes no temperature."""


PRESETS = {
    "gpt-4": Preset("gpt-4-0613", 8192, schema=False),
    "gpt-4-turbo": Preset("gpt-4-turbo-2024-04-09", _LONG, schema=False),
    "gpt-4o": Preset("gpt-4o-2024-08-06", _LONG),
    "gpt-4o-mini": Preset("gpt-4o-mini-2024-07-18", _LONG),
    "gpt-4.1": Preset("gpt-4.1-2025-04-14", _LONGER),
    "gpt-4.1-mini": Preset("gpt-4.1-mini-2025-04-14", _LONGER),
    "gpt-4.1-nano": Preset("gpt-4.1-nano-2025-04-14", _LONGER),
    "gpt-6-luna": Preset("gpt-6-luna", _LONGEST, effort="none"),
    "gpt-6.1-sol": Preset("gpt-6.1-sol", _LONGEST, effort="none"),
}
"""By short name, which stands for the snapshot and is never sent."""

_OTHERS = (
    Preset("gpt-4o-2024-05-13", _LONG, schema=False),
    Preset("gpt-4o-2024-11-20", _LONG),
)

SNAPSHOTS = {preset.snapshot: preset for preset in (*PRESETS.values(), *_OTHERS)}
"""By the name of the snapshot."""

CAPABILITIES = frozenset({"chat", "usage", "seed", "model_404"})
"""What all of OpenAI's models can do, named as the probe does."""


def near_preset(model: str) -> str | None:
    """Return the short name or snapshot that a model's name, which is none, was meant to be.

    >>> near_preset("gpt-4.1-mni")
    'gpt-4.1-mini'
    >>> near_preset("llama") is None
    True
    """
    near = get_close_matches(model, [*PRESETS, *SNAPSHOTS], n=1, cutoff=0.7)
    return near[0] if near else None


def preset_of(model: str) -> Preset | None:
    """Return the preset of a short name or a snapshot; ``None`` of any other model."""
    return PRESETS.get(model) or SNAPSHOTS.get(model)
