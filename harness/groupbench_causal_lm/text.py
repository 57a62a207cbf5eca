"""Greedy text, many prompts at a time, each up to its own cap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from groupbench.llm.answers import Said

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Ask:
    """What to go on from, and for how long."""

    ids: tuple[int, ...]
    max_tokens: int


class Writer:
    """Writes with one network."""

    def __init__(self, net: Any, tokenizer: Any, stop: Sequence[str]) -> None:  # noqa: ANN401 - transformers has no types
        """Make the writer.

        Args:
            net: with its end marks in ``generation_config``.
            tokenizer: of the model.
            stop: texts that end an answer too, and are no part of it.
        """
        self._net, self._tokenizer, self._stop = net, tokenizer, tuple(stop)
        ends = net.generation_config.eos_token_id
        ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        if tokenizer.eos_token_id is not None:
            ends.append(tokenizer.eos_token_id)
        self._ends = sorted(set(ends))
        self.n_tokens = 0
        """Written so far."""

    @torch.inference_mode()
    def write(self, asks: Sequence[Ask]) -> list[Said]:
        """Return the likeliest answer of each."""
        width = max(len(ask.ids) for ask in asks)
        pad = self._ends[0] if self._ends else 0
        ids = torch.tensor([[*[pad] * (width - len(ask.ids)), *ask.ids] for ask in asks])
        mask = torch.tensor([[0] * (width - len(ask.ids)) + [1] * len(ask.ids) for ask in asks])
        caps = [ask.max_tokens for ask in asks]
        out = self._net.generate(
            input_ids=ids.to(self._net.device),
            attention_mask=mask.to(self._net.device),
            max_new_tokens=max(caps),
            eos_token_id=self._ends or None,
            pad_token_id=pad,
            stopping_criteria=StoppingCriteriaList([_Enough(self, width, caps)]),
        )
        written = [row[width:].tolist() for row in out]
        return [self._said(row, cap) for row, cap in zip(written, caps, strict=True)]

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def stops_at(self, text: str) -> int:
        """Return where the first of the stop texts begins; -1 if none is there."""
        return min((at for stop in self._stop if (at := text.find(stop)) >= 0), default=-1)

    @property
    def has_stops(self) -> bool:
        """Whether there are stop texts to look for."""
        return bool(self._stop)

    def _said(self, ids: list[int], cap: int) -> Said:
        end = next((i for i, token in enumerate(ids) if token in self._ends), len(ids))
        kept = ids[: min(end, cap)]
        text = self.text(kept)
        at = self.stops_at(text)
        self.n_tokens += len(kept)
        if at >= 0:
            return Said(text[:at], "stop")
        return Said(text, "length" if len(kept) == cap and end >= cap else "stop")


class _Enough(StoppingCriteria):  # type: ignore[misc] # transformers has no types
    """Ends a row at its own cap or at a stop text."""

    def __init__(self, writer: Writer, width: int, caps: Sequence[int]) -> None:
        self._writer, self._width, self._caps = writer, width, caps

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        del scores
        done = [
            input_ids.shape[1] - self._width >= cap or self._stopped(row)
            for row, cap in zip(input_ids, self._caps, strict=True)
        ]
        return torch.tensor(done, device=input_ids.device)

    def _stopped(self, row: torch.Tensor) -> bool:
        if not self._writer.has_stops:
            return False
        return self._writer.stops_at(self._writer.text(row[self._width :].tolist())) >= 0
