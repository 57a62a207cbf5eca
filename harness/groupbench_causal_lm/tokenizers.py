"""Tokenizers from a folder; needs no torch."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError
from groupbench_causal_lm.quiet import named, quietly

if TYPE_CHECKING:
    from pathlib import Path


def load_tokenizer(folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
    """Return the fast tokenizer of the model in ``folder``.

    Raises:
        SettingError: there is none that can be loaded, or transformers is not installed.
    """
    for module in ("transformers", "jinja2"):
        if find_spec(module) is None:
            raise SettingError(f"{module} is not installed: pip install 'groupbench[llm]'.")
    # Fits are processes that were forked: threads of the tokenizer do not survive that.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers import AutoTokenizer

    with quietly(), named(folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    if not getattr(tokenizer, "is_fast", False):
        raise SettingError(
            f"model = '{folder}': its tokenizer has no fast form (tokenizer.json), which"
            " tells where a label's tokens begin."
        )
    return tokenizer
