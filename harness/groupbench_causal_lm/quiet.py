"""What transformers prints, and how it fails."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from groupbench.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def named(folder: Path, what: str) -> Iterator[None]:
    """Say in one line what transformers could not load.

    Raises:
        SettingError: instead of what was raised inside.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as problem:
        lines = str(problem).strip().splitlines() or [repr(problem)]
        raise SettingError(
            f"model = '{folder}': transformers cannot load its {what} as a causal language model"
            f" ({type(problem).__name__}: {lines[0]})."
        ) from problem


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers from printing progress bars and load reports."""
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
