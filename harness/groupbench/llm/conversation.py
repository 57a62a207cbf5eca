"""Conversations: what a prompt holds, and what the forms that render it have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from groupbench.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.llm.boundaries import LabelTokens

Message = dict[str, str]
"""``role`` (system, user, assistant) and ``content``."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a prompt holds, however it is rendered."""

    instruction: str
    """May be empty."""
    shots: tuple[tuple[str, str], ...]
    """What is asked, and its answer."""
    ask: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as it is sent."""

    text: str
    """Up to where the answer begins. Where messages are sent: for people to read."""
    ids: tuple[int, ...] | None
    """Token ids of ``text``, BOS included; ``None`` where messages are sent."""
    messages: tuple[Message, ...] | None
    """``None`` where there is no chat template."""
    n_tokens: int
    """Exact where there are ids; else estimated, rather too high."""
    plain: tuple[tuple[int, int], ...] = ()
    """Characters of ``text`` that read like special tokens and come from what is said."""


class Form(Protocol):
    """How conversations are rendered."""

    name: str
    """For the record: ``chat``, ``plain`` or ``messages``, and what else was chosen."""
    stop: tuple[str, ...]
    """Texts that end an answer, besides the model's own end marks."""

    def render(self, conversation: Conversation) -> Rendered:
        """Return the conversation as it is sent."""
        ...

    def count(self, text: str) -> int:
        """Return the tokens of a text by itself."""
        ...

    def surface(self, surface: str) -> str:
        """Return an answer as the model would write it, with what precedes it."""
        ...

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the vocabulary's spelling of token ids, for people to read."""
        ...

    def split(self, rendered: Rendered, surfaces: Mapping[str, str]) -> LabelTokens:
        """Return the token ids of the context and of each label.

        Raises:
            SettingError: labels cannot be scored in this form.
        """
        ...

    def answer(self, rendered: Rendered, text: str) -> tuple[int, ...]:
        """Return the token ids of an answer and its end mark, after exactly those of the prompt.

        Raises:
            SettingError: they cannot be told apart in this form.
        """
        ...


def as_messages(
    conversation: Conversation, *, system: bool = True, inline: bool = False
) -> tuple[Message, ...]:
    """Return a conversation as chat messages.

    Args:
        conversation: what to say.
        system: the instruction has a turn of its own; else it is at the top of the first user's.
        inline: shots stand in the last user turn, not as turns.
    """
    pairs = conversation.shots
    ask = conversation.ask
    if inline:
        ask = "\n\n".join([*(f"{asked} {answer}" for asked, answer in pairs), ask])
        pairs = ()
    turns: list[Message] = []
    for asked, answer in pairs:
        turns += [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": answer},
        ]
    turns.append({"role": "user", "content": ask})
    if not conversation.instruction:
        return tuple(turns)
    if system:
        return ({"role": "system", "content": conversation.instruction}, *turns)
    first = turns[0]["content"]
    turns[0] = {"role": "user", "content": f"{conversation.instruction}\n\n{first}"}
    return tuple(turns)


def inline_shots(shots_as: str) -> bool:
    """Return whether shots are inline.

    Raises:
        SettingError: ``shots_as`` is neither ``turns`` nor ``inline``.
    """
    if shots_as not in {"turns", "inline"}:
        raise SettingError(f"shots_as = {shots_as!r} is unknown; use turns or inline.")
    return shots_as == "inline"
