"""Whether a server makes the same tokens of a text as we do: prompts are sent as token ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.llm.server_api import ServerError, tokenized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.llm.tokenizer import Tokenizer

TRIED = (
    "Sentence: Is it 1,000 or 2?\nAnswer:",
    "  two blanks, naïve 日本語 \u00a0 and\ttabs\n\n",
    "<html>[INST] 'quoted' \"twice\" {json: [1.5e-3]}",
)
"""Texts whose token ids the server must make as we do."""


def demand_equal_tokens(tokenizer: Tokenizer, address: Mapping[str, str]) -> None:
    """Raise `ServerError` unless the server at ``address`` tokenises as ``tokenizer`` does."""
    for text in TRIED:
        ours = list(tokenizer(text, add_special_tokens=False).input_ids)
        theirs = tokenized(address["url"], address["model"], text, address["api_key"])
        if theirs != ours:
            said = "says nothing at /tokenize" if theirs is None else f"makes {theirs[:12]}"
            raise ServerError(
                f"The server at {address['url']} {said} where the tokenizer of model makes"
                f" {ours[:12]} of {text[:24]!r}: its model is another one. Give model the folder or"
                " id of what is served."
            )
