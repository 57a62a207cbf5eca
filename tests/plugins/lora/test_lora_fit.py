"""Fits of lora on a tiny Llama: what is learned, kept, proven and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from learnable import rows

from groupbench.errors import DataError, Diverged, SettingError, StoreError
from groupbench.task import Kind, Split
from groupbench_causal_lm.load import load_model
from groupbench_lora import adapter
from groupbench_lora.mixture import Mixture
from groupbench_lora.runner import LoraRunner

if TYPE_CHECKING:
    from pathlib import Path

    from learnable import MakeRequest

    from groupbench.runner import FitResult

pytestmark = pytest.mark.slow

BRIEF = {"lr": 2e-3, "steps": 3, "batch_size": 8}
"""Settings that move an adapter, and teach it nothing."""


def brief(llama: str, **more: Any) -> LoraRunner:
    return LoraRunner(llama, **{**BRIEF, **more})


def accuracy(result: FitResult) -> float:
    gold = [example.gold for example in rows(Kind.SINGLE, 60, "test")]
    return float(np.mean(result.outputs["single"][Split.TEST].predicted == gold))


def log_probs(result: FitResult) -> Any:
    return result.outputs["single"][Split.TEST].log_probs


def test_a_task_is_learned_and_the_best_checkpoint_answers(
    llama: str, make_request: MakeRequest
) -> None:
    runner = LoraRunner(llama, lr=5e-3, epochs=4, batch_size=8)
    result = runner.fit(make_request(Kind.SINGLE, last_attempt=False))
    assert accuracy(result) > 0.9  # half of the labels are either
    told: Any = result.training
    assert told["measured"] == {"single": "log-loss / H(Y)"}
    losses = {look["step"]: look["losses"]["single"] for look in told["dev_a"]}
    assert sorted(losses) == [20, 40, 60, 80]
    assert told["checkpoint"] == min(losses, key=lambda step: losses[step])

    # What dev-A said of that checkpoint is what its predictions say.
    output = result.outputs["single"][Split.DEV_A]
    gold = [example.gold for example in rows(Kind.SINGLE, 24, "dev")]
    assert output.log_probs is not None
    loss = -np.mean([row[i] for row, i in zip(output.log_probs, gold, strict=True)])
    shares = np.bincount([e.gold for e in rows(Kind.SINGLE, 160, "train")]) / 160  # type: ignore[arg-type] # single
    entropy = -float((shares * np.log(shares)).sum())
    assert min(losses.values()) == pytest.approx(loss / entropy, abs=1e-4)
    assert (result.costs.example_steps, result.costs.n_predicted) == (640, 24 + 8 + 60)
    assert 0 < told["n_trained_parameters"] < 0.2 * result.costs.n_parameters


def test_a_group_of_two_kinds_is_one_adapter(llama: str, make_request: MakeRequest) -> None:
    runner = LoraRunner(llama, lr=5e-3, epochs=3, batch_size=8, max_output=40)
    result = runner.fit(make_request(Kind.SINGLE, Kind.TOKEN, n=120))
    assert accuracy(result) > 0.75
    written = result.outputs["token"][Split.TEST]
    assert all(json.loads(text)["entities"] for text in written.raw or ())
    told: Any = result.training
    assert "token loss" in told["measured"]["token"]
    assert told["shares"] == {"single": 0.5, "token": 0.5}
    assert set(told["dev_a"][0]["losses"]) == {"single", "token"}


def test_equal_seeds_give_equal_answers_and_others_do_not(
    llama: str, make_request: MakeRequest
) -> None:
    import torch

    state = torch.random.get_rng_state()
    one, same, other = (
        log_probs(brief(llama).fit(make_request(Kind.SINGLE, n=40, seed=seed)))
        for seed in (3, 3, 4)
    )
    assert np.array_equal(one, same)
    assert not np.allclose(one, other, atol=1e-3)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("more", [{"checkpointing": True}, {"read_batch_size": 1}])
def test_ways_to_save_memory_change_no_answer(
    llama: str, make_request: MakeRequest, more: dict[str, Any]
) -> None:
    request = make_request(Kind.SINGLE, n=24)
    plain = brief(llama, dropout=0.0)
    divisor = 1 if "checkpointing" in more else 4
    outputs = [
        log_probs(runner.fit(replace(request, batch_divisor=parts)))
        for runner, parts in ((plain, 1), (replace(plain, **more), divisor))
    ]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)


def test_it_stops_when_dev_a_gets_no_better(llama: str, make_request: MakeRequest) -> None:
    runner = LoraRunner(
        llama, lr=0.5, steps=40, batch_size=4, evaluations=20, patience=2, clip=0, warmup=0
    )
    told: Any = runner.fit(make_request(Kind.SINGLE, n=40)).training
    looks = [look["step"] for look in told["dev_a"]]
    assert told["n_steps"] < told["n_steps_planned"] == 40
    assert told["checkpoint"] == looks[-3]  # two more looks, neither better


def test_a_loss_at_the_prior_is_tried_again_and_then_believed(
    llama: str, make_request: MakeRequest
) -> None:
    runner = brief(llama, lr=1e-6)
    request = make_request(Kind.SINGLE, n=16)
    with pytest.raises(Diverged, match="no loss got below that of the prior") as verdict:
        runner.fit(replace(request, last_attempt=False))
    assert verdict.value.at_prior
    assert "believed, as another seed said so too" in runner.fit(request).warnings[0]


def test_weights_that_blow_up_are_said_to(llama: str, make_request: MakeRequest) -> None:
    runner = brief(llama, lr=1e30, steps=6, clip=0, warmup=0)
    with pytest.raises(Diverged, match=r"loss of single is (nan|inf) at step"):
        runner.fit(make_request(Kind.SINGLE, n=16))


def test_an_adapter_is_kept_and_loads_only_where_it_belongs(
    llama: str, make_request: MakeRequest, tmp_path: Path
) -> None:
    from pathlib import Path as Folder

    runner = brief(llama)
    request = make_request(Kind.SINGLE, n=24)
    runner.fit(replace(request, keep_weights=tmp_path))
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"adapter_config.json", "adapter_model.safetensors", "groupbench.json"}
    form = json.loads((tmp_path / adapter.ABOUT).read_text())["template"]
    manifest = adapter.Manifest.of(runner, request, Folder(llama), form)
    net = load_model(Folder(llama), dtype="float32", device="cpu")
    assert adapter.load(net, tmp_path, manifest).peft_config["default"].r == 16

    reworded = replace(
        request,
        tasks=tuple(
            replace(t, task=replace(t.task, prompt={"instruction": "Guess."}))
            for t in request.tasks
        ),
    )
    others = {
        "seed": adapter.Manifest.of(runner, replace(request, seed=9), Folder(llama), form),
        "tasks": adapter.Manifest.of(runner, reworded, Folder(llama), form),
        "settings": adapter.Manifest.of(replace(runner, lr=1.0), request, Folder(llama), form),
        "template": replace(manifest, template="plain"),
        "base": replace(manifest, base="0" * 64),
        "peft": replace(manifest, peft="0.1"),
    }
    for name, other in others.items():
        with pytest.raises(StoreError, match=f"groupbench.json: {name} is .* Train it again"):
            adapter.load(net, tmp_path, other)
    weights = tmp_path / adapter.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(StoreError, match="weights is"):
        adapter.demand_match(tmp_path, manifest)
    weights.unlink()
    with pytest.raises(StoreError, match="it holds no adapter"):
        adapter.demand_match(tmp_path, manifest)


def test_maps_that_a_model_does_not_have_are_named(llama: str, make_request: MakeRequest) -> None:
    request = make_request(Kind.SINGLE, n=8)
    with pytest.raises(SettingError, match=r"ends with 'c_attn'; name its own, such as q_proj"):
        brief(llama, target_modules=("q_proj", "c_attn")).fit(request)


def test_an_output_layer_of_another_name_is_found_out() -> None:
    import torch

    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.speak = torch.nn.Embedding(4, 2), torch.nn.Linear(2, 4)

        def get_input_embeddings(self) -> torch.nn.Module:
            return self.words

        def get_output_embeddings(self) -> torch.nn.Module:
            return self.speak

    with pytest.raises(SettingError, match="'speak' is an embedding or the output layer"):
        adapter.with_adapter(Odd(), LoraRunner("odd", target_modules=("speak",)))


def test_rows_that_do_not_fit_are_left_out_and_all_of_them_are_an_error(
    llama: str, make_request: MakeRequest
) -> None:
    request = make_request(Kind.SINGLE, n=24)
    (given,) = request.tasks
    long = replace(given.train[0], id="long", input="very good " * 300)
    few = replace(request, tasks=(replace(given, train=(*given.train, long)),))
    told: Any = brief(llama, max_length=256, on_long="refuse").fit(few).training
    assert told["n_left_out"] == {"single": 1}
    none = replace(request, tasks=(replace(given, train=(long,)),))
    with pytest.raises(DataError, match="no train rows are left to train on"):
        brief(llama, max_length=256, on_long="refuse").fit(none)


def test_small_tasks_are_drawn_more_often_than_their_share() -> None:
    plan = Mixture({"big": 900, "small": 100}, batch_size=10, seed=0, epochs=2, cap=400)
    seen = [row for batch in plan for row in batch]
    assert len(seen) == 2000
    assert sum(name == "small" for name, _ in seen) / 2000 == pytest.approx(1 / 3, abs=0.001)
    assert len({row for name, row in seen if name == "small"}) == 100
    assert list(plan) == list(plan)
    assert list(replace(plan, seed=1)) != list(plan)
    alone = Mixture({"one": 25}, batch_size=10, seed=0, epochs=2, cap=5)
    batches = list(alone)
    assert [len(batch) for batch in batches] == [10, 10, 5] * 2
    assert sorted(row for batch in batches[:3] for _, row in batch) == list(range(25))
