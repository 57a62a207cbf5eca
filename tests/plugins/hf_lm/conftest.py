"""Two tiny Llamas, built once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from llamas import TOKENIZERS, build_llama

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the tiny models, by manner."""
    pytest.importorskip("torch")
    root = tmp_path_factory.mktemp("llamas")
    return {manner: build_llama(root / manner, manner) for manner in TOKENIZERS}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models are slower on several threads, and far slower where other tests run too."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
