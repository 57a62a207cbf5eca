"""What a fit computes on: decided without importing torch, confirmed when it is there."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError

if TYPE_CHECKING:
    import torch

EAGER_ONLY = frozenset({"deberta", "deberta-v2", "sew-d"})
"""Kinds of model whose code refuses scaled-dot-product attention."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has to compute on."""

    cuda: bool = False
    cuda_bf16: bool = False
    mps: bool = False
    cpu_bf16: bool = False
    """The CPU multiplies bfloat16 itself. Without that, bfloat16 is many times slower."""

    @classmethod
    def here(cls) -> Machine:
        """Look at files and flags only."""
        cuda = _has_cuda()
        return cls(
            cuda=cuda,
            cuda_bf16=cuda and _cuda_capability() >= (8, 0),
            mps=platform.system() == "Darwin" and platform.machine() == "arm64",
            cpu_bf16=bool({"avx512_bf16", "amx_bf16"} & _cpu_flags()),
        )


@dataclass(frozen=True, slots=True)
class Device:
    """What decides a fit's results, of all that it computes on."""

    device: str
    """``cpu``, ``cuda`` or ``mps``."""
    dtype: str
    """``float32``, or ``bfloat16``: products in bfloat16, weights and losses in float32."""
    attention: str
    """``eager`` or ``sdpa``."""

    @classmethod
    def choose(
        cls, machine: Machine, device: str, dtype: str, attention: str, model_type: str
    ) -> Device:
        """Return what the settings mean on ``machine``.

        ``auto`` takes the GPU if there is one, bfloat16 where the device has it, and eager
        attention on a CPU, where its backward pass is the faster one for short texts.

        Raises:
            SettingError: the device asked for is not there.
        """
        if device == "auto":
            device = "cuda" if machine.cuda else "mps" if machine.mps else "cpu"
        if (device == "cuda" and not machine.cuda) or (device == "mps" and not machine.mps):
            raise SettingError(
                f"device = '{device}': this machine, or its torch, has none; use device = 'auto'."
            )
        if dtype == "auto":
            has = machine.cuda_bf16 if device == "cuda" else device == "cpu" and machine.cpu_bf16
            dtype = "bfloat16" if has else "float32"
        if attention == "auto":
            slow = device == "cpu" or model_type in EAGER_ONLY
            attention = "eager" if slow else "sdpa"
        return cls(device, dtype, attention)

    def confirm(self) -> torch.device:
        """Return torch's device.

        Raises:
            SettingError: torch does not find it.
        """
        import torch

        there = {
            "cpu": True,
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
        }
        if not there[self.device]:
            raise SettingError(
                f"device = '{self.device}' was chosen, but torch {torch.__version__} cannot use "
                "it; mend the driver, or use device = 'cpu'."
            )
        return torch.device(self.device)

    def autocast(self) -> torch.autocast:
        """Return the context that a forward pass runs in."""
        import torch

        bf16 = self.dtype == "bfloat16"
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=bf16)

    def as_json(self) -> dict[str, Any]:
        """Return it as a fit's key holds it."""
        return {"device": self.device, "dtype": self.dtype, "attention": self.attention}


def _has_cuda() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
        return False
    devices = Path("/dev")
    if not any(devices.glob("nvidia[0-9]*")) and not (devices / "dxg").exists():
        return False
    spec = importlib.util.find_spec("torch")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        version = Path(place) / "version.py"
        if version.is_file():
            text = version.read_text(encoding="utf-8")
            return re.search(r"^cuda\b[^=\n]*= *['\"]", text, re.MULTILINE) is not None
    return False


def _cuda_capability() -> tuple[int, int]:
    """Return the lowest compute capability here, ``(0, 0)`` if it cannot be told."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return (0, 0)
    query = [program, "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.findall(r"^(\d+)\.(\d+)", done.stdout, re.MULTILINE)
    return min(((int(major), int(minor)) for major, minor in found), default=(0, 0))


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(flags.group(1).split()) if flags else set()
