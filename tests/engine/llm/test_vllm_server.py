from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pretended_vllm import pretend

from groupbench.errors import SettingError
from groupbench.llm.server_api import ServerError
from groupbench.llm.vllm_installation import Installation
from groupbench.llm.vllm_server import VllmServer, VllmSettings

GPU = Installation("python", "0.33.0", cpu=False, entry="vllm.entry", named_vllm=True)
CPU = Installation("python", "0.32.0", cpu=True, entry="vllm.entry", named_vllm=False)
KEY = "canary-0123456789"


def test_the_command_says_what_the_settings_say_and_holds_no_key(tmp_path: Path) -> None:
    settings = VllmSettings(
        Path("/models/llama"),
        "llama",
        dtype="bfloat16",
        max_model_len=2048,
        tensor_parallel_size=2,
        quantization="fp8",
        gpu_memory_utilization=0.8,
        flags=("--enable-lora",),
    )
    command = " ".join(settings.command(GPU, 8123))
    for words in (
        "python -m vllm.entry --model /models/llama --served-model-name llama",
        "--host 127.0.0.1 --port 8123 --generation-config vllm",
        '"disable_any_whitespace":true',
        "--shutdown-timeout 20",
        "--dtype bfloat16 --tensor-parallel-size 2 --max-model-len 2048 --quantization fp8",
        "--gpu-memory-utilization 0.8",
        "--enable-lora",
    ):
        assert words in command
    assert "--enforce-eager" not in command
    environment = settings.environment(GPU, KEY, tmp_path)
    assert environment["VLLM_API_KEY"] == KEY
    assert KEY not in command
    assert environment["VLLM_NO_USAGE_STATS"] == "1"
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment
    assert list(tmp_path.iterdir()) == []


def test_a_build_for_processors_gets_its_flags_and_the_metadata_it_lacks(tmp_path: Path) -> None:
    settings = VllmSettings(Path("/models/llama"), "llama", gpu_memory_utilization=0.8)
    command = settings.command(CPU, 8123)
    assert "--enforce-eager" in command
    assert "--gpu-memory-utilization" not in command
    assert "--max-model-len" not in command
    environment = settings.environment(CPU, KEY, tmp_path)
    (info,) = Path(environment["PYTHONPATH"]).iterdir()
    assert info.name == "vllm-0.32.0+cpu.dist-info"
    assert "Name: vllm\nVersion: 0.32.0+cpu" in (info / "METADATA").read_text()


def test_an_installation_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = str(pretend(tmp_path))
    found = Installation.of(python)
    assert found == Installation(
        python, "0.0.1", cpu=True, entry="vllm.entrypoints.launchers.api_server.entry",
        named_vllm=False,
    )  # fmt: skip
    monkeypatch.setenv("GROUPBENCH_VLLM_PYTHON", python)
    assert Installation.of() == found
    server = VllmServer(VllmSettings(tmp_path, "tiny", tensor_parallel_size=2), python)
    assert server.gpus == 0
    assert "tensor_parallel_size=2" in server.key


@pytest.mark.parametrize(
    ("python", "words"),
    [
        (sys.executable, "vLLM is not installed for"),
        ("/nowhere/python", "is no Python interpreter that runs"),
        ("/bin/false", "is no Python interpreter that runs"),
    ],
)
def test_an_interpreter_without_vllm_is_refused_with_the_mend(python: str, words: str) -> None:
    with pytest.raises(SettingError) as error:
        Installation.of(python)
    assert words in str(error.value)
    assert "pip install vllm" in str(error.value)


def test_a_server_that_was_stopped_before_it_started_never_does(tmp_path: Path) -> None:
    server = VllmServer(VllmSettings(tmp_path, "tiny"), str(pretend(tmp_path)))
    server.stop()
    with pytest.raises(ServerError, match="stopped before it started"):
        server.start(tmp_path)
    assert not server.alive()
