"""Which maps of a model an adapter may change, and of what rank: what vLLM serves too, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear maps of attention and MLP, as Llama and most others name them."""

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""For which vLLM makes room."""

_EMBEDDINGS = ("lm_head", "embed", "wte", "wpe", "all-linear")


def refused_target(names: Sequence[str]) -> str | None:
    """Return the first target that is, or may hold, embeddings or the output layer.

    Such an adapter loads, and is served silently wrong.

    >>> refused_target(["q_proj", "model.embed_tokens"])
    'model.embed_tokens'
    """
    return next((name for name in names if any(part in name for part in _EMBEDDINGS)), None)


def room_for(rank: int) -> int:
    """Return the smallest of `RANKS` that has room for a rank.

    >>> room_for(12)
    16
    """
    return next(largest for largest in RANKS if largest >= rank)
