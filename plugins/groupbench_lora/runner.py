"""The runner ``lora``: its settings, and what can be said without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from groupbench.errors import SettingError
from groupbench.llm.model import Abilities
from groupbench.llm.presets import demand_model, source_of
from groupbench.llm.prompted import DECIDING, PromptedRunner
from groupbench.llm.vllm_installation import Installation, n_gpus
from groupbench.llm.vllm_server import ASSUMED, VllmSettings, adapter_flags
from groupbench.llm.weights import context_length, model_hash
from groupbench.model_files import MissingModelError
from groupbench.runner import Place, Resources
from groupbench_causal_lm import about
from groupbench_lora.devices import Device
from groupbench_lora.targets import RANKS, SEVEN, refused_target, room_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from groupbench.canonical import Json
    from groupbench.grouping import Group
    from groupbench.llm.model import Model
    from groupbench.llm.weights import OpenModel
    from groupbench.runner import FitRequest, FitResult
    from groupbench.service import Service
    from groupbench.suite import Suite

UNKNOWN_BYTES = 2_000_000_000
"""That a model is taken to weigh before it is here."""


@dataclass(frozen=True)
class LoraRunner(PromptedRunner):
    """Trains one adapter of a causal language model per group, and asks the model with it."""

    name: ClassVar[str] = "lora"
    summary: ClassVar[str] = (
        "a language model fine-tuned per group (LoRA), each task by instruction"
    )
    trains: ClassVar[bool] = True
    shares: ClassVar[bool] = True
    preload: ClassVar[tuple[str, ...]] = (*about.PRELOAD, "peft", "groupbench_lora.fitting")
    deciding_modules: ClassVar[tuple[str, ...]] = (
        *DECIDING,
        *about.DECIDING,
        *(f"groupbench.llm.{name}" for name in ("lessons", "prompt_requests", "served")),
        *(f"groupbench.llm.{name}" for name in ("vllm_server", "weights")),
        "groupbench.apportion",
        "groupbench.information",
    )

    model: str = field(default="", metadata={"in_label": True})
    """A preset, a folder, or a hub id that @REVISION may follow."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What answers once it is trained: this process, or one vLLM server for all adapters."""
    epochs: int = 3
    """Passes over the group's train data."""
    steps: int | None = None
    """A budget of optimiser steps instead of epochs, to give a single task as many as a group."""
    lr: float = 2e-4
    """Peak learning rate. Models of a few million weights want ten times that."""
    batch_size: int = 16
    """Examples of one optimiser step."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises; it then falls linearly."""
    clip: float = 1.0
    """Largest gradient norm; 0: any."""
    cap: int = 20_000
    """In a group, a task of n examples is drawn in proportion to the root of n, at most of this."""
    patience: int = 0
    """Stop after so many evaluations without a better checkpoint; 0: never."""
    evaluations: int = 0
    """Evaluations on dev-A over the run, if more than one per epoch are wanted."""
    r: int = 16
    """Rank of the adapter."""
    alpha: float = 32.0
    """Scale of the adapter: alpha / r."""
    dropout: float = 0.05
    """Before the adapter."""
    target_modules: tuple[str, ...] = SEVEN
    """The maps that it changes, by the ends of their names."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(r) instead (Kalajdzievski 2023)."""
    use_dora: bool = False
    """Refused, as the three below: what vLLM does not serve would not be comparable."""
    lora_bias: bool = False
    """Refused."""
    modules_to_save: tuple[str, ...] = ()
    """Refused."""
    max_rank: int | None = None
    """The largest rank the server makes room for; default: r. Runners of one share a server."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """How prompts are rendered; auto: with the model's chat template if it has one."""
    max_length: int | None = 2048
    """Tokens of prompt and answer together."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What to train on."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the model; the adapter trains in float32. auto: bfloat16 on a GPU, float32 on a CPU."""
    checkpointing: bool = False
    """Compute activations again in the backward pass: much less memory, a third more time."""
    read_batch_size: int = 8
    """Sequences computed side by side where nothing is trained."""
    threads: int = 1
    """CPU threads."""
    python: str = field(default="", metadata={"in_key": False})
    """engine = vllm: the interpreter with vLLM; default: $GROUPBENCH_VLLM_PYTHON, else this one."""
    gpu_memory_utilization: float = field(default=0.45, metadata={"in_key": False})
    """engine = vllm: the share of the GPU that the server takes; training needs the rest."""
    concurrency: int = field(default=64, metadata={"in_key": False})
    """engine = vllm: most requests in flight."""

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = ("epochs", "steps", "batch_size", "cap", "r", "read_batch_size", "threads")
        lowest = {
            **dict.fromkeys((*whole, "concurrency"), 1),
            **dict.fromkeys(("patience", "evaluations", "clip", "dropout", "warmup"), 0),
        }
        for name, least in lowest.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} = {value} must be at least {least}")
        for name in ("lr", "alpha", "gpu_memory_utilization"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0")
        for name in ("dropout", "warmup", "gpu_memory_utilization"):
            if getattr(self, name) >= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be below 1")
        if self.engine == "transformers" and self.mode in {"choice", "json"}:
            raise ValueError(
                f"mode = '{self.mode}': engine = 'transformers' constrains no answer; use auto,"
                " score or text, or engine = 'vllm'"
            )
        self._demand_servable()

    def _demand_servable(self) -> None:
        """Raise `ValueError` where vLLM would not serve the adapter, or serve it wrong."""
        if self.use_dora:
            raise ValueError("use_dora = true: vLLM serves no DoRA; use_rslora is fine")
        if self.lora_bias:
            raise ValueError("lora_bias = true: vLLM serves no biases of adapters; leave it out")
        if self.modules_to_save:
            raise ValueError(
                f"modules_to_save = {list(self.modules_to_save)}: vLLM serves adapters of linear"
                " maps alone; leave it out"
            )
        if not self.target_modules:
            raise ValueError("target_modules is empty: name the maps that the adapter changes")
        if (name := refused_target(self.target_modules)) is not None:
            raise ValueError(
                f"target_modules = '{name}': an adapter of embeddings or of the output layer is"
                f" served silently wrong; name maps such as {', '.join(SEVEN[:4])}"
            )
        if self.max_rank is not None and self.max_rank not in RANKS:
            raise ValueError(
                f"max_rank = {self.max_rank}: vLLM makes room for"
                f" {', '.join(map(str, RANKS[:-1]))} or {RANKS[-1]}"
            )
        largest = self.max_rank or RANKS[-1]
        if self.r > largest:
            raise ValueError(
                f"r = {self.r} is above the server's largest rank, {largest}; lower r"
                f"{'' if self.max_rank is None else ' or raise max_rank'}"
            )

    @property
    def source(self) -> OpenModel:
        """Where the model's files come from."""
        return source_of(self.model)

    @property
    def computes_on(self) -> Device:
        """The device and dtype that the settings mean on this machine."""
        return Device.choose(self.device, self.dtype)

    def availability(self) -> str | None:
        """Return why it cannot run here, with the mend; asks no network and no server."""
        from importlib.util import find_spec

        needed = [(module, "lora") for module in ("torch", "transformers", "peft", "jinja2")]
        if self.engine == "vllm":
            needed += [(module, "lora,llm") for module in ("aiohttp", "openai")]
        for module, extra in needed:
            if find_spec(module) is None:
                return f"{module} is not installed: pip install 'groupbench[{extra}]'"
        try:
            if self.engine == "vllm":
                Installation.of(self.python)
            demand_model(self.model)
        except SettingError as missing:
            return str(missing).removesuffix(".")
        if self.device == "cuda" and not n_gpus():
            return "device = 'cuda': this machine has no GPU; use device = 'auto'"
        return None

    def place(self) -> Place:
        """It computes here, or asks a loopback server that the run started."""
        return Place.LOCAL

    def example_steps(self, rows: Sequence[int]) -> int:
        """Return how many training examples a fit on tasks of so many rows sees, as planned."""
        return self.steps * self.batch_size if self.steps is not None else sum(rows) * self.epochs

    def demand_writable(self) -> None:
        """Make sure that what a server answers can be kept; in this process nothing is."""
        if self.engine == "vllm":
            super().demand_writable()

    def resources(self, group: Group, suite: Suite) -> Resources:  # noqa: ARG002 - the contract
        """Return what a fit needs: the weights twice, for activations and caches; no more."""
        try:
            weights = sum(p.stat().st_size for p in self.source.find().glob("*.safetensors"))
        except MissingModelError:
            weights = UNKNOWN_BYTES
        gpus = 1 if self.computes_on.device == "cuda" else 0
        lane = f"lora {self.model}" if self.engine == "vllm" else ""
        return Resources(self.threads, gpus, about.PROCESS_BYTES + 3 * weights, lane)

    def service(self) -> Service | None:
        """Return the server of the base model, which each fit loads its adapter into."""
        if self.engine != "vllm":
            return None
        from groupbench_openai_client.probing import ProbedServer

        folder = self.source.fetch()
        context = context_length(folder)
        settings = VllmSettings(
            folder=folder,
            name="base",
            dtype=self.computes_on.dtype,
            max_model_len=min(context, self.max_length or context),
            gpu_memory_utilization=self.gpu_memory_utilization,
            flags=adapter_flags(self.max_rank or room_for(self.r), self.target_modules),
        )
        return ProbedServer(settings, self.python)

    def identity(self) -> Mapping[str, Json]:
        """Return the model's hash, what is computed on, and what serves."""
        served: dict[str, Json] = {}
        if self.engine == "vllm":
            vllm = Installation.of(self.python)
            served = {"vllm": vllm.version, "server": "cpu" if vllm.cpu else "gpu"}
        weights = model_hash(self.source.fetch())
        return {"weights": weights, **self.computes_on.as_json(), **served}

    def abilities(self) -> Abilities:
        """Return what decides the prompts, as if a server were a vLLM of today."""
        from groupbench_causal_lm.tokenizers import load_tokenizer

        folder = self.source.fetch()
        found = about.abilities_of(
            folder, load_tokenizer(folder), template=self.template, shots_as=self.shots_as
        )
        can = found.capabilities if self.engine == "transformers" else ASSUMED
        return Abilities(found.form, found.limit, can)

    def open(self, request: FitRequest) -> AbstractContextManager[Model]:
        """Return the model with an adapter trained on the request's tasks."""
        from groupbench_lora.fitting import trained

        return trained(self, request)

    def fit(self, request: FitRequest) -> FitResult:
        """Train an adapter on the group, and ask about every example that is to be predicted.

        Raises:
            Diverged: NaN, or a loss that never left the prior.
            CanaryError: the server does not apply the adapter.
            SettingError: the model cannot be trained so.
        """
        from groupbench_lora.fitting import fit

        return fit(self, request)
