"""Batches: examples of one task as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from groupbench.task import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from groupbench_encoder.encode import Encoded, Ints


@dataclass(slots=True, eq=False)
class EncodedBatch:
    """Examples of one task, with n examples, P pieces of at most L sub-words, W words.

    Outputs have one row per example, or per word in token tasks.
    """

    task: str
    kind: Kind
    n_examples: int
    ids: torch.Tensor
    """``[P, L]``."""
    mask: torch.Tensor
    """``[P, L]``, 1 where there is no padding."""
    types: torch.Tensor | None
    """``[P, L]``, where the model wants them."""
    owner: torch.Tensor
    """``[P]``: the example of each piece, ascending."""
    word_piece: torch.Tensor
    """Token tasks: the piece and place of each answered word."""
    word_position: torch.Tensor
    word_row: torch.Tensor
    """Its row in the output."""
    word_example: torch.Tensor
    n_rows: int
    """Rows of the output, words that were cut included."""
    gold: torch.Tensor | None
    """``[n]`` indices, ``[n, K]`` 0/1 (multilabel) or ``[W]`` indices (token)."""

    def __len__(self) -> int:
        return self.n_examples


def collate(data: Encoded, rows: Ints, device: torch.device) -> EncodedBatch:
    """Return the examples ``rows`` of ``data``, padded to the longest piece among them."""
    owners = [i for i, row in enumerate(rows) for _ in data.pieces[row]]
    pieces = [piece for row in rows for piece in data.pieces[row]]
    length = max(len(piece.ids) for piece in pieces)
    ids = np.full((len(pieces), length), data.padding, np.int64)
    mask = np.zeros((len(pieces), length), np.int64)
    types = np.zeros((len(pieces), length), np.int64) if data.has_types else None
    for index, piece in enumerate(pieces):
        ids[index, : len(piece.ids)] = piece.ids
        mask[index, : len(piece.ids)] = 1
        if types is not None:
            types[index, : len(piece.ids)] = piece.types
    n_words = data.n_words[rows]
    first_row = np.concatenate([[0], np.cumsum(n_words)])
    answered = [len(piece.words) for piece in pieces]
    word_owner = np.repeat(np.asarray(owners, np.int64), answered)
    words = np.concatenate([piece.words for piece in pieces])

    def tensor(values: np.typing.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    return EncodedBatch(
        task=data.task,
        kind=data.kind,
        n_examples=len(rows),
        ids=tensor(ids),
        mask=tensor(mask),
        types=None if types is None else tensor(types),
        owner=tensor(np.asarray(owners, np.int64)),
        word_piece=tensor(np.repeat(np.arange(len(pieces)), answered)),
        word_position=tensor(np.concatenate([piece.positions for piece in pieces])),
        word_row=tensor(first_row[word_owner] + words),
        word_example=tensor(word_owner),
        n_rows=int(first_row[-1]),
        gold=None if data.gold is None else tensor(_gold(data, rows)),
    )


def split_rows(data: Encoded, rows: Ints, n_parts: int, max_tokens: int) -> Iterator[Ints]:
    """Yield ``rows`` in at least ``n_parts`` parts, each of at most ``max_tokens`` with padding.

    Rows of like length go together, so that little is padded.
    """
    rows = rows[np.argsort(data.lengths[rows], kind="stable")]
    size = max(1, -(-len(rows) // n_parts))
    for start in range(0, len(rows), size):
        part: list[int] = []
        n_pieces, longest = 0, 0
        for row in rows[start : start + size]:
            pieces = data.pieces[row]
            longest_now = max(longest, *(len(piece.ids) for piece in pieces))
            if part and (n_pieces + len(pieces)) * longest_now > max_tokens:
                yield np.asarray(part, np.int64)
                part, n_pieces = [], 0
                longest_now = max(len(piece.ids) for piece in pieces)
            part.append(int(row))
            n_pieces, longest = n_pieces + len(pieces), longest_now
        yield np.asarray(part, np.int64)


def _gold(data: Encoded, rows: Ints) -> np.typing.NDArray[np.generic]:
    gold = data.gold
    if gold is None:
        raise ValueError(f"task {data.task}: no gold labels here")
    if data.kind is not Kind.TOKEN:
        return gold[rows].astype(np.int64)
    offsets = data.offsets
    parts = [gold[offsets[row] : offsets[row + 1]] for row in rows]
    return np.concatenate(parts).astype(np.int64)
