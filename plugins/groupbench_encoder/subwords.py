"""A tokenizer as a fit uses it: sub-words of texts and words, and what goes around them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

Ids: TypeAlias = list[int]
SAMPLE = "a"
"""Any text that is encoded to something, to see what the tokenizer puts around it."""


@dataclass(frozen=True)
class Subwords:
    """Encodes texts without special tokens, and words one by one.

    Words are encoded alone, so that each has sub-words of its own whatever is in it: a word that
    the tokenizer leaves nothing of is one unknown token.
    """

    tokenizer: PreTrainedTokenizerBase
    model_takes_types: bool = True

    def of_texts(self, texts: Sequence[str]) -> list[Ids]:
        """Return the sub-words of each text; empty where there are none."""
        if not texts:
            return []
        clean = [_valid(text) for text in texts]
        encoded = self.tokenizer(
            clean,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        ids: list[Ids] = encoded["input_ids"]
        return ids

    def of_words(self, words: Sequence[str]) -> dict[str, Ids]:
        """Return the sub-words of each distinct word, at least one."""
        distinct = sorted(set(words))
        space = " " if self._space_matters else ""
        encoded = self.of_texts([space + word for word in distinct])
        return {word: ids or [self.unknown] for word, ids in zip(distinct, encoded, strict=True)}

    @cached_property
    def unknown(self) -> int:
        """The token that stands for what cannot be encoded."""
        known = (self.tokenizer.unk_token_id, self.tokenizer.mask_token_id, self.suffix[-1])
        return next(int(token) for token in known if token is not None)

    @cached_property
    def padding(self) -> int:
        """The token that fills batches; masked, so that any would do."""
        token = self.tokenizer.pad_token_id
        return 0 if token is None else int(token)

    @cached_property
    def prefix(self) -> Ids:
        """What stands before a text."""
        whole, inner = self._whole, self._inner
        return whole[: _position(inner, whole)]

    @cached_property
    def suffix(self) -> Ids:
        """What stands after a text."""
        return self._whole[len(self.prefix) + len(self._inner) :]

    @cached_property
    def middle(self) -> Ids:
        """What stands between two texts."""
        pair: Ids = self.tokenizer(SAMPLE, SAMPLE)["input_ids"]
        return pair[
            len(self.prefix) + len(self._inner) : len(pair) - len(self.suffix) - len(self._inner)
        ]

    @cached_property
    def has_types(self) -> bool:
        """Whether the model is told which of two texts a token belongs to."""
        return self.model_takes_types and "token_type_ids" in self.tokenizer.model_input_names

    @cached_property
    def second_types(self) -> tuple[int, int, int]:
        """The types of what is between two texts, of the second text, and of what is after it."""
        if not self.has_types:
            return (0, 0, 0)
        types: Ids = self.tokenizer(SAMPLE, SAMPLE, return_token_type_ids=True)["token_type_ids"]
        return types[len(types) - len(self.suffix) - len(self._inner) - 1], *types[-2:]  # type: ignore[return-value]

    @cached_property
    def _whole(self) -> Ids:
        ids: Ids = self.tokenizer(SAMPLE)["input_ids"]
        return ids

    @cached_property
    def _inner(self) -> Ids:
        ids: Ids = self.tokenizer(SAMPLE, add_special_tokens=False)["input_ids"]
        return ids

    @cached_property
    def _space_matters(self) -> bool:
        spaced: Ids = self.tokenizer(f" {SAMPLE}", add_special_tokens=False)["input_ids"]
        return spaced != self._inner


def _position(inner: Ids, whole: Ids) -> int:
    for start in range(len(whole) - len(inner) + 1):
        if whole[start : start + len(inner)] == inner:
            return start
    return 0


def _valid(text: str) -> str:
    """Return ``text`` with a replacement character for each lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
