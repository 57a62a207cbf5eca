"""Adapters that vLLM cannot serve: it refuses them at load, stays up, and serves the next."""

from __future__ import annotations

import asyncio
import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from groupbench.llm.server_api import ServerError
from groupbench.llm.vllm_adapters import loaded
from groupbench.llm.vllm_server import VllmServer, VllmSettings, adapter_flags
from groupbench_openai_client.client import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAPS = ("q_proj", "v_proj")
RANK = 8
REFUSED: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "bias": {"bias": "lora_only", "lora_bias": True},
    "modules-to-save": {"modules_to_save": ["lm_head"]},
    "rank": {"r": 2 * RANK},
}


def write_adapter(model: Path, folder: Path, **more: Any) -> Path:
    """Write an adapter of ``model`` that changes what it says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers in an old way
        base = AutoModelForCausalLM.from_pretrained(str(model), dtype="float32")
        settings: dict[str, Any] = {"r": RANK, "lora_alpha": 2 * RANK, "target_modules": list(MAPS)}
        net: Any = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings | more))
        torch.manual_seed(1)
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0.0, 0.2)
        net.save_pretrained(str(folder))
    return folder


def said(address: Mapping[str, str], model: str) -> str:
    async def ask() -> str:
        body: dict[str, Any] = {"model": model, "prompt": [[11, 12, 13, 14]], "max_tokens": 8}
        body["temperature"] = 0
        async with OpenAIClient(address["url"], address["api_key"]) as client:
            reply = await client.post("/completions", body, 60)
        assert reply.status == 200, reply.text
        text: str = json.loads(reply.text)["choices"][0]["text"]
        return text

    return asyncio.run(ask())


@pytest.mark.timeout(900)
def test_what_cannot_be_served_is_refused_and_harms_nothing_else(
    tmp_path: Path, llama3: Path
) -> None:
    pytest.importorskip("peft")
    fine = write_adapter(llama3, tmp_path / "fine")
    bad = {name: write_adapter(llama3, tmp_path / name, **more) for name, more in REFUSED.items()}
    flags = adapter_flags(RANK, MAPS)
    settings = VllmSettings(llama3, "tiny", dtype="float32", max_model_len=1024, flags=flags)
    server = VllmServer(settings)
    try:
        (tmp_path / "logs").mkdir()
        address = server.start(tmp_path / "logs")
        plain = said(address, address["model"])
        for name, folder in bad.items():
            refused = pytest.raises(ServerError, match=f"refuses the adapter {name} ")
            with refused, loaded(address, name, folder):
                pass
            assert server.alive()
        with loaded(address, "fine", fine):
            assert said(address, "fine") != plain
            assert said(address, address["model"]) == plain
    finally:
        server.stop()
