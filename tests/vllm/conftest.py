"""Tests with a real vLLM, which runs in an environment of its own: ``make test-llm``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from llamas import build_llama

from groupbench.llm.vllm_installation import PYTHON_VARIABLE
from groupbench.llm.vllm_server import VllmServer, VllmSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

HERE = "tests/vllm"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip them where no interpreter with vLLM is named."""
    if os.environ.get(PYTHON_VARIABLE):
        return
    skip = pytest.mark.skip(reason=f"needs vLLM: make test-llm, which sets {PYTHON_VARIABLE}")
    for item in items:
        if HERE in item.path.as_posix():
            item.add_marker(skip)


@pytest.fixture(scope="session")
def llama3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in Llama 3's manner."""
    return build_llama(tmp_path_factory.mktemp("models") / "llama3", "llama3")


@pytest.fixture(scope="session")
def llama2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in Llama 2's manner."""
    return build_llama(tmp_path_factory.mktemp("models") / "llama2", "llama2")


def settings_of(folder: Path) -> VllmSettings:
    """Return what serves a tiny model as it was saved."""
    return VllmSettings(folder, folder.name, dtype="float32", max_model_len=1024)


@pytest.fixture(scope="session", params=["llama3", "llama2"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """The folder of a tiny model, and the address of the vLLM that serves it."""
    folder: Path = request.getfixturevalue(request.param)
    server = VllmServer(settings_of(folder))
    try:
        yield folder, server.start(tmp_path_factory.mktemp("logs"))
    finally:
        server.stop()
