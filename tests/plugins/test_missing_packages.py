"""Language models without their packages, weights or GPUs say what is missing, and the mend."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from groupbench_openai.runner import OpenAIRunner
from groupbench_vllm.runner import VllmRunner

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("runner", "module"),
    [
        (OpenAIRunner("gpt-4.1"), "openai"),
        (OpenAIRunner("x", url=URL), "openai"),
        (OpenAIRunner("x", url=URL, tokenizer="y"), "transformers"),
        (VllmRunner("x", url=URL), "openai"),
        (VllmRunner("x"), "openai"),
        (VllmRunner("x"), "transformers"),
        (VllmRunner("x"), "jinja2"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch, runner: Any, module: str
) -> None:
    found = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == module else found(name, *more)

    places = [m for name, m in sys.modules.items() if name.startswith("groupbench")]
    for place in (importlib.util, *places):
        if vars(place).get("find_spec") is found:
            monkeypatch.setattr(place, "find_spec", without)
    said = runner.availability()
    assert said == f"{module} is not installed: pip install 'groupbench[llm]'"


def test_more_gpus_than_there_are_are_asked_for_before_anything_starts(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    python = tmp_path / "python"
    told = json.dumps({"found": {"vllm": "0.33.0"}, "there": True, "entry": True})
    python.write_text(f"#!/bin/sh\necho '{told}'\n")
    python.chmod(0o700)
    runner = VllmRunner(str(tmp_path), python=str(python), tensor_parallel_size=4096)
    said = str(runner.availability())
    assert said.startswith("vLLM needs 4096 GPUs and this machine has ")
    assert said.endswith("run it where they are and attach with url=")


def test_the_key_of_a_server_is_looked_for_before_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openai")
    runner = VllmRunner("x", url=URL, key_variable="A_SERVERS_KEY")
    monkeypatch.delenv("A_SERVERS_KEY", raising=False)
    missing = "No API key: set the environment variable A_SERVERS_KEY"
    assert runner.availability() == missing
    monkeypatch.setenv("A_SERVERS_KEY", "canary-0123456789")
    assert runner.availability() is None
