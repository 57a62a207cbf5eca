"""The runner ``encoder``: its settings, and what can be said without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from groupbench.errors import GroupbenchError
from groupbench.model_files import MissingModelError
from groupbench.offline import offline_because
from groupbench.runner import Place, Resources
from groupbench_encoder.presets import Preset, preset_of
from groupbench_encoder.weights import RANDOM, Model, weights_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from groupbench.canonical import Json
    from groupbench.grouping import Group
    from groupbench.runner import FitRequest, FitResult, TrainableModel
    from groupbench.suite import Suite
    from groupbench_encoder.devices import Device

PROCESS_BYTES = 700_000_000
"""Resident memory of a process that has imported torch and transformers."""


@dataclass(frozen=True)
class EncoderRunner:
    """Fine-tunes one encoder per group, with one head per task."""

    name: ClassVar[str] = "encoder"
    summary: ClassVar[str] = "one shared transformer encoder per group, a head per task, fine-tuned"
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = True
    seeded: ClassVar[bool] = True
    preload: ClassVar[tuple[str, ...]] = (
        "torch",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.tokenization_auto",
        "transformers.models.bert.modeling_bert",
        "transformers.models.bert.tokenization_bert",
        "groupbench_encoder.training",
    )
    deciding_modules: ClassVar[tuple[str, ...]] = (
        "groupbench.apportion",
        "groupbench.canonical",
        "groupbench.information",
    )

    model: str = field(default="all-MiniLM-L6-v2", metadata={"in_label": True})
    """A preset, a folder, or a hub id (REVISION may follow: id@REVISION)."""
    revision: str = ""
    """The hub revision; empty: main."""
    epochs: int | None = None
    """Passes over the group's train data; default 3, tiny 10."""
    steps: int | None = None
    """A budget of optimiser steps instead of epochs, to give a single task as many as a group."""
    lr: float | None = None
    """Peak learning rate; the default depends on the model."""
    batch_size: int = 32
    """Examples of one optimiser step."""
    max_length: int | None = None
    """Longest input in sub-words; the default depends on the model."""
    long_inputs: Literal["cut", "windows"] = "cut"
    """What becomes of longer inputs: cut, or read in windows whose answers are pooled."""
    stride: int = 64
    """Sub-words that neighbouring windows share."""
    weight_decay: float = 0.01
    """Of weight matrices; biases and norms have none."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises; it then falls linearly."""
    clip: float = 1.0
    """Largest gradient norm; 0: any."""
    dropout: float | None = None
    """Default: the model's own."""
    sampling: Literal["proportional", "sqrt", "temperature", "annealed", "uniform"] = "proportional"
    """How often each task of a group is drawn."""
    temperature: float = 2.0
    """Of sampling = temperature: a task of n examples weighs n ** (1 / temperature)."""
    cap: int = 0
    """Sizes above it count as it, in every sampling but proportional; 0: none."""
    loss: Literal["uniform", "uncertainty"] = "uniform"
    """Weights of the tasks' losses: equal, or learned (Kendall et al. 2018)."""
    surgery: Literal["none", "pcgrad", "upgrad", "cagrad"] = "none"
    """How conflicting gradients are combined (torchjd); each step then takes a batch per task."""
    tuning: Literal["full", "lora"] = "full"
    """Train all weights, or low-rank changes to them (peft)."""
    lora_r: int = 16
    """Rank of the changes."""
    lora_alpha: float = 32.0
    """Scale of the changes: alpha / r."""
    lora_dropout: float = 0.05
    """Dropout before the changes."""
    freeze: Literal["none", "embeddings"] = "none"
    """What is not trained."""
    freeze_layers: int = 0
    """How many of the lowest layers are not trained; the embeddings then neither."""
    pooling: Literal["mean", "cls"] | None = None
    """What a text's head reads: the mean over sub-words, or the first; default by model."""
    patience: int = 0
    """Stop after so many evaluations without a better checkpoint; 0: never."""
    evaluations: int = 0
    """Evaluations on dev-A over the run, if more than one per epoch are wanted."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What to compute on."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What matrix products are in; auto: bfloat16 where the device has it."""
    attention: Literal["auto", "eager", "sdpa"] = "auto"
    """How attention is computed; auto: eager on a CPU, else sdpa."""
    threads: int = 1
    """CPU threads; several fits side by side gain more than one fit with several threads."""

    def __post_init__(self) -> None:
        at_least_1 = ("epochs", "steps", "batch_size", "lora_r", "threads")
        for name, lowest in {
            **dict.fromkeys(at_least_1, 1),
            **dict.fromkeys(("cap", "freeze_layers", "patience", "evaluations", "stride"), 0),
            **dict.fromkeys(("weight_decay", "clip", "warmup", "dropout", "lora_dropout"), 0),
            "max_length": 8,
        }.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(f"{name} = {value} must be at least {lowest}")
        for name in ("warmup", "dropout", "lora_dropout"):
            value = getattr(self, name)
            if value is not None and value >= 1:
                raise ValueError(f"{name} = {value} must be below 1")
        for name in ("lr", "temperature", "lora_alpha"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} = {value} must be above 0")
        if not self.model.strip():
            raise ValueError("model is empty: name a preset, a folder or a hub id")
        if self.tuning == "lora" and (self.freeze != "none" or self.freeze_layers):
            raise ValueError("tuning = 'lora' trains no weights of the encoder: leave freeze out")

    @property
    def source(self) -> Model:
        """Where the weights come from."""
        return Model.of(self.model, self.revision)

    @property
    def preset(self) -> Preset:
        """The defaults of the model."""
        return preset_of(self.model)

    @property
    def peak_lr(self) -> float:
        """The learning rate after the warm-up. LoRA's default is ten times that of all weights."""
        if self.lr is not None:
            return self.lr
        return min(10 * self.preset.lr, 2e-3) if self.tuning == "lora" else self.preset.lr

    def availability(self) -> str | None:
        """Return why it cannot run here, with the mend; asks no network."""
        from importlib.util import find_spec

        needed = [("torch", "encoder"), ("transformers", "encoder")]
        needed += [("peft", "lora")] if self.tuning == "lora" else []
        needed += [("torchjd", "surgery")] if self.surgery != "none" else []
        for module, extra in needed:
            if find_spec(module) is None:
                return f"{module} is not installed: pip install 'groupbench[{extra}]'"
        if self.surgery == "cagrad" and find_spec("cvxpy") is None:
            return "cvxpy is not installed: pip install 'torchjd[cagrad]'"
        try:
            if not self.source.random:
                self.source.find()
        except MissingModelError as missing:
            if offline_because() or self.source.is_folder or self.source.is_here:
                return str(missing)
        try:
            self.computes_on()
        except GroupbenchError as missing:
            return str(missing)
        return None

    def place(self) -> Place:
        """It trains in this process."""
        return Place.LOCAL

    def example_steps(self, rows: Sequence[int]) -> int:
        """Return how many training examples a fit on tasks of so many rows sees, as planned."""
        if self.steps is not None:
            return self.steps * self.batch_size
        return sum(rows) * (self.epochs or self.preset.epochs)

    def resources(self, group: Group, suite: Suite) -> Resources:  # noqa: ARG002 - the contract
        """Return what a fit needs: four copies of the weights, and the batch."""
        weights = 4_000_000
        try:
            if not self.source.random:
                weights = sum(p.stat().st_size for p in self.source.find().glob("*.safetensors"))
        except MissingModelError:
            weights = 500_000_000
        gpus = 1 if self.computes_on().device == "cuda" else 0
        return Resources(self.threads, gpus, PROCESS_BYTES + 5 * weights)

    def computes_on(self) -> Device:
        """Return the device, dtype and attention that the settings mean on this machine."""
        from groupbench_encoder.devices import Device, Machine

        return Device.choose(
            Machine.here(), self.device, self.dtype, self.attention, self.source.model_type()
        )

    def identity(self) -> Mapping[str, Json]:
        """Return the weights' hash and what is computed on. Downloads weights that are missing."""
        random = self.source.random
        weights = RANDOM if random else weights_hash(self.source.fetch())
        return {"weights": weights, **self.computes_on().as_json()}

    def fit(self, request: FitRequest) -> FitResult:
        """Train on the group and predict what is asked for.

        Raises:
            Diverged: NaN, or a loss that never left the prior.
        """
        from groupbench_encoder.training import fit

        return fit(self, request)

    def restore(self, request: FitRequest, weights: Path) -> TrainableModel:
        """Return the model that a fit of ``request`` kept in ``weights``."""
        from groupbench_encoder.keep import restore

        return restore(self, request, weights)
