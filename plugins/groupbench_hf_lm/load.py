"""Tokenizers and weights from a folder: safetensors only, no code of the model's, no network."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from groupbench.errors import SettingError
from groupbench.llm.forms import form_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from groupbench.llm.conversation import Form
    from groupbench_hf_lm.runner import HfLmRunner


def load_tokenizer(folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
    """Return the fast tokenizer of the model in ``folder``. Needs no torch.

    Raises:
        SettingError: there is none that can be loaded, or transformers is not installed.
    """
    for module in ("transformers", "jinja2"):
        if find_spec(module) is None:
            raise SettingError(f"{module} is not installed: pip install 'groupbench[llm]'.")
    # Fits are processes that were forked: threads of the tokenizer do not survive that.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers import AutoTokenizer

    with _quietly(), _named(folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    if not getattr(tokenizer, "is_fast", False):
        raise SettingError(
            f"model = '{folder}': its tokenizer has no fast form (tokenizer.json), which"
            " tells where a label's tokens begin."
        )
    return tokenizer


def made_form(runner: HfLmRunner, tokenizer: Any) -> Form:  # noqa: ANN401 - as above
    """Return how the runner's prompts are rendered."""
    return form_of(tokenizer, template=runner.template, shots_as=runner.shots_as)


def load_model(folder: Path, *, dtype: str, device: str) -> Any:  # noqa: ANN401 - as above
    """Return the causal language model in ``folder``, ready to compute.

    Its own sampling settings are dropped, its end marks kept.

    Raises:
        SettingError: it cannot be loaded, or the device is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    if device == "cuda" and not torch.cuda.is_available():
        raise SettingError(
            f"device = 'cuda': torch {torch.__version__} finds no GPU; use device = 'cpu'."
        )
    with _quietly(), _named(folder, "weights"):
        net = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=True,
        )
    own = net.generation_config
    net.generation_config = GenerationConfig(
        do_sample=False, num_beams=1, eos_token_id=own.eos_token_id, bos_token_id=own.bos_token_id
    )
    return net.to(device).eval()


@contextmanager
def threads_of(n: int) -> Iterator[None]:
    """Compute with ``n`` threads, and with as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _named(folder: Path, what: str) -> Iterator[None]:
    """Say in one line what transformers could not load."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as problem:
        lines = str(problem).strip().splitlines() or [repr(problem)]
        raise SettingError(
            f"model = '{folder}': transformers cannot load its {what} as a causal language model"
            f" ({type(problem).__name__}: {lines[0]})."
        ) from problem


@contextmanager
def _quietly() -> Iterator[None]:
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
