"""What is needed of a tokenizer; a fast one of transformers fits, and needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Span = tuple[int, int]
"""First character, and the one after the last."""

Encoded = tuple[list[int], list[Span]]
"""Token ids, and the characters of each."""


class Tokenizer(Protocol):
    """Turns text into token ids, and chat turns into text."""

    @property
    def bos_token_id(self) -> int | None:
        """The token that opens a text, where there is one."""
        ...

    def __call__(self, text: Any, **options: Any) -> Any:  # noqa: ANN401 - transformers' own signature
        """Return ``input_ids`` and, with ``return_offsets_mapping``, ``offset_mapping``."""
        ...

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> Any:  # noqa: ANN401 - transformers' own
        """Return the vocabulary's spelling of each id, for people to read."""
        ...

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, str]],
        **options: Any,  # noqa: ANN401 - transformers' own signature
    ) -> Any:  # noqa: ANN401 - the text, with ``tokenize=False``
        """Return the text of a conversation."""
        ...


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], *, plain: bool) -> list[Encoded]:
    """Return the token ids and spans of each text, without BOS.

    The Rust part of a fast tokenizer is asked itself, where there is one: of a short text, what
    transformers does around it takes longer than the tokens.

    Args:
        tokenizer: a fast one, since offsets are needed.
        texts: each by itself.
        plain: special tokens are characters like any others.
    """
    rust = getattr(tokenizer, "backend_tokenizer", None)
    if rust is None:
        options = {"split_special_tokens": True} if plain else {}
        encoding = tokenizer(
            list(texts), add_special_tokens=False, return_offsets_mapping=True, **options
        )
        return list(zip(encoding.input_ids, encoding.offset_mapping, strict=True))
    if rust.truncation is not None:  # a call of transformers leaves its own behind
        rust.no_truncation()
    if rust.padding is not None:
        rust.no_padding()
    rust.encode_special_tokens = plain or getattr(tokenizer, "split_special_tokens", False)
    found = rust.encode_batch(list(texts), add_special_tokens=False)
    return [(each.ids, each.offsets) for each in found]


def opens_with_bos(tokenizer: Tokenizer) -> bool:
    """Return whether the tokenizer itself puts a BOS before a text."""
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer("").input_ids[:1] == [bos]


def special_tokens(tokenizer: Tokenizer) -> dict[str, object]:
    """Return the special tokens by their text: what is on their two sides is tokenised apart."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {str(token): token for token in added.values() if getattr(token, "special", False)}
