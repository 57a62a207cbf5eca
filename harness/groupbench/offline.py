"""Whether the network must not be used: one answer for everything that would fetch."""

from __future__ import annotations

import os

NAMES = (
    "GROUPBENCH_OFFLINE",
    "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "TRANSFORMERS_OFFLINE",
)
"""Variables that forbid it; ``--offline`` sets them."""


def offline_because() -> str | None:
    """Return the variable that forbids the network; ``None`` where none does."""
    for name in NAMES:
        if os.environ.get(name, "").strip().lower() not in {"", "0", "false", "no", "off"}:
            return name
    return None
