"""Weights from a folder: safetensors only, no code of the model's, no network."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError
from groupbench_causal_lm.quiet import named, quietly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def load_model(folder: Path, *, dtype: str, device: str) -> Any:  # noqa: ANN401 - transformers has no types
    """Return the causal language model in ``folder``, ready to compute.

    Its own sampling settings are dropped, its end marks kept.

    Raises:
        SettingError: it cannot be loaded, or the device is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    if device == "cuda" and not torch.cuda.is_available():
        raise SettingError(
            f"device = 'cuda': torch {torch.__version__} finds no GPU; use device = 'cpu'."
        )
    with quietly(), named(folder, "weights"):
        net = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=True,
        )
    own = net.generation_config
    net.generation_config = GenerationConfig(
        do_sample=False, num_beams=1, eos_token_id=own.eos_token_id, bos_token_id=own.bos_token_id
    )
    return net.to(device).eval()


@contextmanager
def threads_of(n: int) -> Iterator[None]:
    """Compute with ``n`` threads, and with as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
