"""A causal model that goes on from what it has read: keys and values are kept and shared.

R is rows, T tokens read so far with padding, V the vocabulary. Padding is on the right of each
stretch and masked; positions are given, so that it moves nothing.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Wanted = dict[int, list[int]]
"""Token ids whose log-probability is wanted after the token at a place of a row's block."""

Found = dict[tuple[int, int], float]
"""By place and token id: log-probabilities in nats."""


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What some rows have read."""

    cache: Any
    """``DynamicCache`` of R rows; ``None`` before anything was read."""
    mask: torch.Tensor
    """Which of the tokens are not padding. Bool, ``[R, T]``."""
    lengths: torch.Tensor
    """Tokens that are not padding. ``[R]``."""

    @property
    def n_rows(self) -> int:
        """How many sequences there are."""
        return len(self.lengths)


class Network:
    """A causal language model of transformers, in steps."""

    def __init__(self, net: Any) -> None:  # noqa: ANN401 - transformers has no types
        """Make it. ``net``: on its device, in evaluation mode."""
        self._net = net
        self._takes = frozenset(inspect.signature(net.forward).parameters)
        self.goes_on = self._attends_to_all() and {"position_ids", "past_key_values"} <= self._takes
        """Whether a past can be kept and padded: each layer sees all tokens, by their position."""
        self.n_tokens = 0
        """Computed so far, padding excluded."""

    def nothing(self) -> Past:
        """Return the past of one row before its first token."""
        device = self._net.device
        return Past(
            None,
            torch.zeros(1, 0, dtype=torch.bool, device=device),
            torch.zeros(1, dtype=torch.long, device=device),
        )

    @torch.inference_mode()
    def read(
        self,
        past: Past,
        rows: Sequence[int],
        blocks: Sequence[Sequence[int]],
        wanted: Sequence[Mapping[int, Sequence[int]]],
        *,
        keep: bool = True,
    ) -> tuple[Past, list[Found]]:
        """Read a block of tokens after rows of a past.

        Args:
            past: is left as it is.
            rows: which of its rows each block goes on from; a row may occur many times.
            blocks: token ids, none empty.
            wanted: for each block, what is wanted after which of its tokens.
            keep: whether anything goes on from here.

        Returns:
            The past of the new rows, and for each what was wanted.
        """
        device = self._net.device
        index = torch.tensor(list(rows), dtype=torch.long, device=device)
        sizes = torch.tensor([len(block) for block in blocks], device=device)
        width = int(sizes.max())
        ids = torch.tensor([[*block, *[0] * (width - len(block))] for block in blocks])
        places = torch.arange(width, device=device)
        fresh = places < sizes[:, None]
        mask = torch.cat([past.mask[index], fresh], dim=1)
        positions = torch.where(fresh, past.lengths[index][:, None] + places, 0)
        read_after = sorted({place for each in wanted for place in each}) or [width - 1]
        options: dict[str, Any] = {"use_cache": keep}
        if "position_ids" in self._takes:
            options["position_ids"] = positions
        if "logits_to_keep" in self._takes:
            options["logits_to_keep"] = torch.tensor(read_after, device=device)
        if past.cache is not None or keep:
            options["past_key_values"] = self._selected(past.cache, index)
        out = self._net(input_ids=ids.to(device), attention_mask=mask.long(), **options)
        self.n_tokens += int(sizes.sum())
        logits = out.logits
        if "logits_to_keep" not in self._takes:
            logits = logits[:, read_after]
        column = {place: i for i, place in enumerate(read_after)}
        found = [
            _log_probs(logits[row], column, each) if each else {} for row, each in enumerate(wanted)
        ]
        after = Past(out.past_key_values if keep else None, mask, past.lengths[index] + sizes)
        return after, found

    @staticmethod
    def _selected(cache: Any, index: torch.Tensor) -> Any:  # noqa: ANN401 - as above
        from transformers import DynamicCache

        if cache is None:
            return DynamicCache()
        return DynamicCache((keys[index], values[index]) for keys, values, _ in cache)

    def _attends_to_all(self) -> bool:
        """Return whether each layer attends to all that came before; windows count by place."""
        config = self._net.config.get_text_config(decoder=True)
        kinds = getattr(config, "layer_types", None)
        if kinds is not None:
            return set(kinds) == {"full_attention"}
        stateful = getattr(self._net, "_is_stateful", False)
        return not stateful and getattr(config, "sliding_window", None) is None


def _log_probs(
    logits: torch.Tensor, column: Mapping[int, int], wanted: Mapping[int, Sequence[int]]
) -> Found:
    """Return log-probabilities of chosen tokens, from raw logits in float32."""
    found: Found = {}
    for place, tokens in wanted.items():
        raw = logits[column[place]].float()
        total = torch.logsumexp(raw, dim=-1)
        chosen = raw[torch.tensor(list(tokens), device=raw.device)] - total
        found |= {(place, token): p for token, p in zip(tokens, chosen.tolist(), strict=True)}
    return found
