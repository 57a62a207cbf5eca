"""Which form a tokenizer's prompts have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.errors import SettingError
from groupbench.llm.chat import ChatForm, PlainForm

if TYPE_CHECKING:
    from groupbench.llm.conversation import Form
    from groupbench.llm.tokenizer import Tokenizer

DATE = "26 Jul 2024"
"""What templates that write today's date are told, else prompts would change from day to day."""


def form_of(tokenizer: Tokenizer, *, template: str = "auto", shots_as: str = "turns") -> Form:
    """Return the form of prompts to the model of ``tokenizer``.

    Args:
        tokenizer: a fast one.
        template: ``chat``, ``plain``, or ``auto``: chat if the tokenizer has a template.
        shots_as: ``turns`` or ``inline``; plain text has them inline.

    Raises:
        SettingError: there is no chat template, or it cannot be used.
    """
    has_one = bool(getattr(tokenizer, "chat_template", None))
    if template == "plain" or (template == "auto" and not has_one):
        return PlainForm(tokenizer)
    if not has_one:
        raise SettingError(
            "template = 'chat': the tokenizer has no chat template; use template = 'plain'."
        )
    return ChatForm(tokenizer, shots_as=shots_as, template_options={"date_string": DATE})
