"""What can be said of models in this process without importing torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.llm.forms import form_of
from groupbench.llm.model import Abilities
from groupbench.llm.weights import context_length

if TYPE_CHECKING:
    from pathlib import Path

    from groupbench.llm.tokenizer import Tokenizer

CAPABILITIES = frozenset({"token_prompts", "label_reads", "chat"})
"""What they can do, named as `groupbench.llm.modes.NEEDS`."""

PROCESS_BYTES = 700_000_000
"""Resident memory of a process that has imported torch and transformers."""

PRELOAD = (
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.generation.utils",
    "groupbench.llm.fitting",
    "groupbench_causal_lm.model",
)
"""Worth importing before a fit's process is forked."""

DECIDING = tuple(
    f"groupbench_causal_lm.{name}"
    for name in ("about", "labels", "load", "model", "past", "text", "tokenizers")
)
"""Modules that decide what such a model says."""


def abilities_of(
    folder: Path, tokenizer: Tokenizer, *, template: str = "auto", shots_as: str = "turns"
) -> Abilities:
    """Return what decides the prompts to the model in ``folder``.

    Raises:
        SettingError: it has no chat template, or one that cannot be used.
    """
    form = form_of(tokenizer, template=template, shots_as=shots_as)
    return Abilities(form, context_length(folder), CAPABILITIES)
