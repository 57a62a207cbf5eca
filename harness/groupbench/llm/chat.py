"""Forms of rendering: chat templates, plain text, or messages for a remote server.

A `Conversation` says what is in a prompt; a form says how that becomes what is sent. A form that
renders applies the template of the served model's tokenizer itself, so that BOS, token count and
the boundary of labels are exact, and token ids are sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError
from groupbench.llm.boundaries import (
    Joint,
    LabelTokens,
    Splitter,
    TemplateRewritesTurns,
    with_bos,
)
from groupbench.llm.conversation import (
    Conversation,
    Message,
    Rendered,
    as_messages,
    inline_shots,
)
from groupbench.llm.encoding import Encoder, render_guarded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from groupbench.llm.tokenizer import Tokenizer

_NONCE = "zq7xv"
"""What no template says by itself."""


class ChatForm:
    """Renders with the chat template of a tokenizer."""

    stop: tuple[str, ...] = ()

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        shots_as: str = "turns",
        template_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the form, and try whether the template takes the ``system`` role.

        Args:
            tokenizer: of the served model, with a chat template.
            shots_as: ``turns``, or ``inline``: as text in the last user turn.
            template_options: for the template; pin ``date_string`` where it writes a date.

        Raises:
            SettingError: the template cannot be rendered, or ``shots_as`` is neither.
        """
        self._inline = inline_shots(shots_as)
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer)
        self._splitter = Splitter(tokenizer)
        self._options = dict(template_options or {})
        self._joints: dict[tuple[str, ...], Joint] = {}
        self.system = self._takes_system()
        """Whether the instruction is a turn of its own; the template may refuse the role."""
        role = "system" if self.system else "user"
        self.name = f"chat, instruction in the {role} turn, shots {shots_as}"

    def render(self, conversation: Conversation) -> Rendered:
        """Return the conversation as text and token ids, with exactly one BOS before them.

        Raises:
            DoubleBos: there would be two.
        """
        messages = as_messages(conversation, system=self.system, inline=self._inline)
        text, plain = render_guarded(
            [message["content"] for message in messages],
            self._encoder.special,
            lambda contents: self._template(
                [
                    {**message, "content": content}
                    for message, content in zip(messages, contents, strict=True)
                ],
                add_generation_prompt=True,
            ),
        )
        ids = self._encoder.ids(text, plain)
        sent, _ = with_bos(self._tokenizer, ids, opens=self._encoder.opens_with_bos)
        return Rendered(text, sent, messages, len(sent), plain)

    def count(self, text: str) -> int:
        """Return the tokens of a text by itself."""
        return len(self._encoder.plain_ids(text))

    def surface(self, surface: str) -> str:
        """Return an answer with the template's separator before it.

        Raises:
            TemplateRewritesTurns: the template does not leave it as it is.
        """
        return self._joint_of((surface,)).separator + surface

    def split(self, rendered: Rendered, surfaces: Mapping[str, str]) -> LabelTokens:
        """Return the token ids of the context and of each label.

        Raises:
            TemplateRewritesTurns: the template does not leave a label as it is.
        """
        joint = self._joint_of(tuple(surfaces.values()))
        return self._splitter.split(
            rendered.text, rendered.ids or (), joint, surfaces, rendered.plain
        )

    def answer(self, rendered: Rendered, text: str) -> tuple[int, ...]:
        """Return the token ids of an answer and of what ends its turn.

        Raises:
            TemplateRewritesTurns: the template does not leave it as it is.
            SettingError: a token spans prompt and answer.
        """
        ids = rendered.ids or ()
        return self._splitter.after(rendered.text, ids, self._joint(text), text, rendered.plain)

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the vocabulary's spelling of token ids."""
        return tuple(self._tokenizer.convert_ids_to_tokens(list(ids)))

    def _joint_of(self, surfaces: tuple[str, ...]) -> Joint:
        """Return what the template puts around any of these answers; tried once."""
        if surfaces not in self._joints:
            joints = {self._joint(surface) for surface in surfaces}
            if len(joints) > 1:
                raise self._rewrites(surfaces[0])
            self._joints[surfaces] = joints.pop()
        return self._joints[surfaces]

    def _joint(self, answer: str) -> Joint:
        """Return what the template puts around an answer."""
        messages: tuple[Message, ...] = ({"role": "user", "content": "?"},)
        prompt = self._template(messages, add_generation_prompt=True)
        turn = {"role": "assistant", "content": answer}
        text = self._template((*messages, turn), add_generation_prompt=False)
        nonce = {"role": "assistant", "content": _NONCE}
        pattern = self._template((*messages, nonce), add_generation_prompt=False)
        before, _, after = pattern.partition(_NONCE)
        # By the nonce, not by looking for the label: "end" stands in "<|end|>" too.
        if not pattern.startswith(prompt) or text != before + answer + after:
            raise self._rewrites(answer)
        return Joint(before[len(prompt) :], after)

    @staticmethod
    def _rewrites(answer: str) -> TemplateRewritesTurns:
        return TemplateRewritesTurns(
            f"The chat template does not leave the answer {answer!r} as it is, so that labels"
            " cannot be scored; use mode = 'text' for this model."
        )

    def _takes_system(self) -> bool:
        user = {"role": "user", "content": "?"}
        try:
            text = self._template(
                ({"role": "system", "content": _NONCE}, user), add_generation_prompt=True
            )
        except Exception:  # noqa: BLE001 - a template may raise anything
            text = ""
        if _NONCE in text:
            return True
        try:
            self._template((user,), add_generation_prompt=True)
        except Exception as problem:  # noqa: BLE001 - likewise
            raise SettingError(
                f"The tokenizer's chat template cannot be used ({problem}); give a model with one,"
                " or render plain text."
            ) from None
        return False

    def _template(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        text = self._tokenizer.apply_chat_template(
            list(messages),
            add_generation_prompt=add_generation_prompt,
            tokenize=False,
            **self._options,
        )
        return str(text)


class PlainForm:
    """Renders plain text for base models, which have no chat template; shots are inline."""

    joint = Joint(" ", "\n\n")
    name = "plain"
    stop: tuple[str, ...] = (joint.end,)

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Make the form. ``tokenizer``: of the served model."""
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer)
        self._splitter = Splitter(tokenizer)

    def render(self, conversation: Conversation) -> Rendered:
        """Return the conversation as text and token ids, with the BOS that the tokenizer wants."""
        shots = [f"{asked}{self.joint.separator}{answer}" for asked, answer in conversation.shots]
        parts = [conversation.instruction, *shots, conversation.ask]
        text = self.joint.end.join(part for part in parts if part)
        plain = tuple(self._encoder.spans(text))  # nothing in it is a template's
        ids = self._encoder.ids(text, plain)
        sent, _ = with_bos(self._tokenizer, ids, opens=self._encoder.opens_with_bos)
        return Rendered(text, sent, None, len(sent), plain)

    def count(self, text: str) -> int:
        """Return the tokens of a text by itself."""
        return len(self._encoder.plain_ids(text))

    def surface(self, surface: str) -> str:
        """Return an answer with a blank before it."""
        return self.joint.separator + surface

    def split(self, rendered: Rendered, surfaces: Mapping[str, str]) -> LabelTokens:
        """Return the token ids of the context and of each label."""
        return self._splitter.split(
            rendered.text, rendered.ids or (), self.joint, surfaces, rendered.plain
        )

    def answer(self, rendered: Rendered, text: str) -> tuple[int, ...]:
        """Return the token ids of an answer and of the empty line that ends it.

        Raises:
            SettingError: a token spans prompt and answer.
        """
        ids = rendered.ids or ()
        return self._splitter.after(rendered.text, ids, self.joint, text, rendered.plain)

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the vocabulary's spelling of token ids."""
        return tuple(self._tokenizer.convert_ids_to_tokens(list(ids)))


class MessagesForm:
    """Leaves rendering to a provider: messages are sent, and tokens can only be estimated."""

    stop: tuple[str, ...] = ()

    def __init__(self, *, shots_as: str = "turns") -> None:
        """Make the form.

        Args:
            shots_as: ``turns``, or ``inline``: as text in the last user turn.

        Raises:
            SettingError: it is neither.
        """
        self._inline = inline_shots(shots_as)
        self.name = f"messages, shots {shots_as}"

    def render(self, conversation: Conversation) -> Rendered:
        """Return the conversation as messages."""
        messages = as_messages(conversation, inline=self._inline)
        text = "\n".join(f"[{message['role']}]\n{message['content']}\n" for message in messages)
        n_tokens = sum(self.count(message["content"]) + 4 for message in messages)
        return Rendered(text, None, messages, n_tokens)

    def count(self, text: str) -> int:
        """Return an estimate of the tokens: 3 bytes each. English has 4 to 5, Chinese 3 to 6."""
        return -(-len(text.encode("utf-8", "surrogatepass")) // 3)

    def surface(self, surface: str) -> str:
        """Return an answer as it is: what precedes it is the provider's."""
        return surface

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return nothing: there are no ids."""
        del ids
        return ()

    def split(self, rendered: Rendered, surfaces: Mapping[str, str]) -> LabelTokens:
        """Raise `SettingError`: without token ids labels cannot be scored."""
        del rendered, surfaces
        raise SettingError(
            "mode = 'score' needs token ids, and this model is sent messages; use json or text."
        )

    def answer(self, rendered: Rendered, text: str) -> tuple[int, ...]:
        """Raise `SettingError`: without token ids nothing can be trained on."""
        del rendered, text
        raise SettingError("Training needs token ids, and this model is sent messages.")
