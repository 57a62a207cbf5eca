"""What a fit computes on, decided without importing torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import metadata

from groupbench.llm.vllm_installation import n_gpus


@dataclass(frozen=True, slots=True)
class Device:
    """Of all that a fit computes on, what decides its results."""

    device: str
    """``cpu`` or ``cuda``."""
    dtype: str
    """Of the model: ``float32`` or ``bfloat16``."""

    @classmethod
    def choose(cls, device: str, dtype: str) -> Device:
        """Return what settings mean here: ``auto`` takes a GPU if there is one, and bfloat16 there.

        A processor computes in float32: few of them multiply bfloat16 themselves.
        """
        if device == "auto":
            device = "cuda" if _has_cuda() else "cpu"
        if dtype == "auto":
            dtype = "bfloat16" if device == "cuda" else "float32"
        return cls(device, dtype)

    def as_json(self) -> dict[str, str]:
        """Return it as a fit's key holds it."""
        return {"device": self.device, "dtype": self.dtype}


def _has_cuda() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"} or not n_gpus():
        return False
    try:
        return "+cpu" not in metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False
