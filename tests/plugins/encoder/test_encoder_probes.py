"""What probes see of an encoder, and weights that are kept for them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pytest

from groupbench.errors import StoreError
from groupbench.task import Split, Task
from groupbench_encoder.runner import EncoderRunner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.plugins.encoder.conftest import MakeRequest, MakeTask

    from groupbench.runner import FitResult, TrainableModel

QUICK = EncoderRunner(model="tiny", device="cpu", epochs=2, dropout=0.1)


@dataclass(frozen=True)
class MeanEmbedding:
    """Reads embeddings at the end: one vector a task, over its train inputs (TextEmb)."""

    name: ClassVar[str] = "mean-embedding"
    acts_during_training: ClassVar[bool] = False

    def before_training(self, model: TrainableModel) -> None:
        del model
        raise AssertionError("a probe of the end is not asked before")

    def after_step(self, model: TrainableModel, step: int) -> None:
        del model, step
        raise AssertionError("a probe of the end is not asked in between")

    def finish(self, model: TrainableModel) -> Mapping[str, Any]:
        found = {}
        for task in model.tasks:
            vectors = []
            for batch in model.batches(task, Split.TRAIN, 32, seed=0):
                mask = model.mask(batch)[..., None]
                states = model.layers(batch)[-1]
                assert states.shape[:2] == mask.shape[:2]
                mean = (states * mask).sum(1) / mask.sum(1)
                assert np.allclose(mean.detach(), model.pooled(batch).detach(), atol=1e-5)
                vectors.append(mean.detach().numpy())
            found[task] = np.concatenate(vectors).mean(axis=0)
        return found


@dataclass(frozen=True)
class LookAhead:
    """Acts during training: cosines of the tasks' gradients, and losses after a step on each."""

    every: int = 2
    log: list[Any] = field(default_factory=list, compare=False)

    name: ClassVar[str] = "look-ahead"
    acts_during_training: ClassVar[bool] = True

    def before_training(self, model: TrainableModel) -> None:
        self.log.append(("planned", model.n_steps))

    def after_step(self, model: TrainableModel, step: int) -> None:
        import torch

        torch.randn(3)  # a probe may draw numbers
        if step % self.every:
            return
        shared = model.shared_parameters()
        batches = {t: next(model.batches(t, Split.DEV_A, 16, seed=step)) for t in model.tasks}
        flat, losses = [], []
        for batch in batches.values():
            model.losses(batch).mean().backward()  # type: ignore[no-untyped-call] # careless: gradients stay
            flat.append(torch.cat([p.grad.reshape(-1) for p in shared.values()]))  # type: ignore[union-attr]
            for parameter in shared.values():
                parameter.grad = None
        saved = {name: p.detach().clone() for name, p in shared.items()}
        for gradient in flat:
            start = 0
            with torch.no_grad():
                for parameter in shared.values():
                    part = gradient[start : start + parameter.numel()].view_as(parameter)
                    parameter.sub_(0.01 * part)
                    start += parameter.numel()
                losses.append([float(model.losses(b).mean()) for b in batches.values()])
                for name, parameter in shared.items():
                    parameter.copy_(saved[name])
        cosine = torch.nn.functional.cosine_similarity(flat[0], flat[1], dim=0)
        self.log.append((step, float(cosine), losses))

    def finish(self, model: TrainableModel) -> Mapping[str, Any]:
        del model
        steps = [entry for entry in self.log if entry[0] != "planned"]
        return {
            "cosine": np.asarray([entry[1] for entry in steps]),
            "losses": np.asarray([entry[2] for entry in steps]),
        }


def outputs(result: FitResult) -> dict[str, Any]:
    return {
        f"{name}/{split}": output.log_probs
        for name, splits in result.outputs.items()
        for split, output in splits.items()
    }


def assert_equal(one: FitResult, other: FitResult) -> None:
    for name, array in outputs(one).items():
        assert np.array_equal(array, outputs(other)[name]), name


@pytest.fixture
def tasks(make_task: MakeTask) -> tuple[Task, ...]:
    return make_task("single", 96), make_task("token", 96)


def test_probes_measure_and_do_not_move_the_training(
    tasks: tuple[Task, ...], make_request: MakeRequest
) -> None:
    probes = (MeanEmbedding(), LookAhead())
    probed = QUICK.fit(make_request(*tasks, probes=probes, last_attempt=True))
    alone = QUICK.fit(make_request(*tasks, last_attempt=True))
    assert_equal(probed, alone)
    assert probed.training == alone.training
    embedding = probed.arrays["mean-embedding"]
    assert {name: array.shape for name, array in embedding.items()} == {
        "single-task": (64,),
        "token-task": (64,),
    }
    ahead = probed.arrays["look-ahead"]
    n_records = int(alone.training["n_steps"]) // 2  # type: ignore[arg-type] # a number
    assert probes[1].log[0] == ("planned", alone.training["n_steps"])
    assert ahead["cosine"].shape == (n_records,)
    assert (np.abs(ahead["cosine"]) <= 1).all()
    assert ahead["losses"].shape == (n_records, 2, 2)
    own = ahead["losses"][:, [0, 1], [0, 1]]
    assert (own < ahead["losses"][:, [1, 0], [0, 1]]).mean() > 0.8  # a step helps its own task most


def test_a_probe_that_moves_weights_does_move_the_training(
    tasks: tuple[Task, ...], make_request: MakeRequest
) -> None:
    @dataclass(frozen=True)
    class Meddler(LookAhead):
        def after_step(self, model: TrainableModel, step: int) -> None:
            import torch

            del step
            with torch.no_grad():
                next(iter(model.shared_parameters().values())).add_(0.1)

        def finish(self, model: TrainableModel) -> Mapping[str, Any]:
            del model
            return {}

    with pytest.raises(AssertionError):
        assert_equal(
            QUICK.fit(make_request(*tasks, probes=(Meddler(),), last_attempt=True)),
            QUICK.fit(make_request(*tasks, last_attempt=True)),
        )


@pytest.mark.parametrize(("tuning", "long_inputs"), [("full", "cut"), ("lora", "windows")])
def test_kept_weights_give_the_same_model_again(
    tuning: Literal["full", "lora"],
    long_inputs: Literal["cut", "windows"],
    tasks: tuple[Task, ...],
    make_request: MakeRequest,
    tmp_path: Path,
) -> None:
    import torch

    runner = replace(QUICK, tuning=tuning, long_inputs=long_inputs, max_length=8, stride=2)
    probe = MeanEmbedding() if long_inputs == "cut" else Everything()
    request = make_request(*tasks, keep_weights=tmp_path, probes=(probe,), last_attempt=True)
    result = runner.fit(request)
    model = runner.restore(request, tmp_path)
    again = probe.finish(model)
    for name, array in result.arrays[probe.name].items():
        assert np.allclose(array, again[name], rtol=1e-4, atol=1e-9), name
    for task in tasks:
        data = task.examples(Split.DEV_A)
        (batch,) = model.batches(task.name, Split.DEV_A, len(data), seed=0)
        with torch.no_grad():
            found = model.log_probs(batch).numpy()
        stored = result.outputs[task.name][Split.DEV_A].log_probs
        assert stored is not None
        assert found.shape == stored.shape
        assert np.allclose(np.sort(found, axis=0), np.sort(stored, axis=0), atol=1e-5)
    files = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "heads.safetensors"} <= files
    assert not any(path.suffix in {".bin", ".pkl", ".pt"} for path in tmp_path.iterdir())


@dataclass(frozen=True)
class Everything(MeanEmbedding):
    """Touches all that a model offers, with inputs in windows."""

    name: ClassVar[str] = "everything"

    def finish(self, model: TrainableModel) -> Mapping[str, Any]:
        import torch

        found: dict[str, Any] = {}
        for task in model.tasks:
            batch = next(model.batches(task, Split.DEV_A, 8, seed=3))
            parameters = {**model.shared_parameters(), **model.head_parameters(task)}
            losses = model.losses(batch)
            assert losses.shape == (len(batch),) == (8,)
            grads = torch.autograd.grad(losses.sum(), list(parameters.values()), allow_unused=True)
            found |= {
                f"{task}/{name}": grad.numpy() ** 2
                for name, grad in zip(parameters, grads, strict=True)
                if grad is not None
            }
            found[f"{task}/pooled"] = model.pooled(batch).detach().numpy()
            layers = model.layers(batch)
            assert len(layers) == 3
            assert all(layer.shape[:2] == model.mask(batch).shape for layer in layers)
        return found


def test_probes_see_train_and_dev_a_only(
    tasks: tuple[Task, ...], make_request: MakeRequest, tmp_path: Path
) -> None:
    request = make_request(*tasks, keep_weights=tmp_path, last_attempt=True)
    QUICK.fit(request)
    model = QUICK.restore(request, tmp_path)
    for split in (Split.DEV_B, Split.TEST):
        with pytest.raises(ValueError, match=str(split)):
            next(model.batches(tasks[0].name, split, 8, seed=0))
    batches = list(model.batches(tasks[0].name, Split.TRAIN, 40, seed=0))
    assert [len(batch) for batch in batches] == [40, 40, 16]
    assert {batch.task for batch in batches} == {"single-task"}


def test_weights_of_other_tasks_are_refused(
    tasks: tuple[Task, ...], make_request: MakeRequest, tmp_path: Path
) -> None:
    request = make_request(tasks[0], keep_weights=tmp_path, last_attempt=True)
    QUICK.fit(request)
    with pytest.raises(StoreError, match="not of"):
        QUICK.restore(make_request(*tasks), tmp_path)
    about = json.loads((tmp_path / "groupbench.json").read_text(encoding="utf-8"))
    assert about["tasks"]["single-task"] == {"kind": "single", "labels": ["no", "yes"]}
    (tmp_path / "heads.safetensors").unlink()
    with pytest.raises(StoreError, match="holds no kept weights"):
        QUICK.restore(request, tmp_path)
