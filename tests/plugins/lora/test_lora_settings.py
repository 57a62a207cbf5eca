"""What lora refuses before it trains, and what it says of itself."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest

from groupbench.errors import SettingError
from groupbench.settings import Spec, configure, label
from groupbench_lora.runner import LoraRunner


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "use_dora = true: vLLM serves no DoRA"),
        ({"lora_bias": True}, "lora_bias = true: vLLM serves no biases"),
        ({"modules_to_save": ["score"]}, "modules_to_save = ['score']: vLLM serves adapters of"),
        ({"target_modules": ["q_proj", "lm_head"]}, "target_modules = 'lm_head': an adapter of"),
        ({"target_modules": ["embed_tokens"]}, "served silently wrong"),
        ({"target_modules": []}, "target_modules is empty"),
        ({"r": 32, "max_rank": 16}, "r = 32 is above the server's largest rank, 16"),
        ({"r": 600}, "r = 600 is above the server's largest rank, 512; lower r"),
        ({"max_rank": 24}, "max_rank = 24: vLLM makes room for 1, 8, 16"),
        ({"mode": "json"}, "engine = 'transformers' constrains no answer"),
        ({"epochs": 0}, "epochs = 0 must be at least 1"),
        ({"lr": 0.0}, "lr = 0.0 must be above 0"),
        ({"dropout": 1.0}, "dropout = 1.0 must be below 1"),
        ({"lr": float("nan")}, "lr = nan must be a finite number"),
        ({"engine": "tgi"}, "Invalid enum value 'tgi'"),
        ({"engine": "vlm"}, "Did you mean 'vllm'? Known: transformers, vllm."),
        ({"target_modules": "q_proj"}, "'target_modules' = 'q_proj'. A list is written [q_proj]"),
        ({"rank": 8}, "no setting named 'rank'"),
    ],
)
def test_what_cannot_be_served_or_trained_is_refused_in_a_sentence(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as problem:
        configure(LoraRunner, settings, where="runner lora")
    assert message in str(problem.value)
    assert str(problem.value).startswith("runner lora: ")


def test_rank_stabilised_adapters_and_json_behind_a_server_are_fine() -> None:
    made = configure(
        LoraRunner,
        {"use_rslora": True, "mode": "json", "engine": "vllm", "r": 12, "target_modules": ["q"]},
        where="runner lora",
    )
    assert made.target_modules == ("q",)
    told = Spec.parse(label(made))
    assert configure(LoraRunner, told.settings, where="runner lora") == made


def test_it_trains_and_shares_with_every_seed_its_own() -> None:
    runner = LoraRunner("org/model")
    assert (runner.trains, runner.shares, runner.seeded) == (True, True, True)
    assert label(runner) == "lora:model=org/model"
    assert runner.example_steps([100, 50]) == 450
    assert replace(runner, steps=10).example_steps([100, 50]) == 160


@pytest.mark.parametrize(
    ("module", "engine", "extra"),
    [("peft", "transformers", "lora"), ("torch", "vllm", "lora"), ("openai", "vllm", "lora,llm")],
)
def test_what_is_not_installed_is_said_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch, module: str, engine: Any, extra: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else found(name)
    )
    said = LoraRunner("org/model", engine=engine).availability()
    assert said == f"{module} is not installed: pip install 'groupbench[{extra}]'"


def test_a_model_that_is_not_here_is_named_with_the_way_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "model is empty" in str(LoraRunner().availability())
    assert "hf download org/none" in str(LoraRunner("org/none").availability())
    gated = str(LoraRunner("llama3.1-8b").availability())
    assert "accept its licence at https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct" in gated
