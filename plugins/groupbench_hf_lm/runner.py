"""The runner ``hf-lm``: its settings, and what can be said without importing torch."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from groupbench.llm.presets import demand_model, source_of
from groupbench.llm.prompted import DECIDING, PromptedRunner
from groupbench.llm.weights import OpenModel, model_hash
from groupbench.model_files import MissingModelError
from groupbench.runner import Place, Resources
from groupbench_causal_lm import about

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from groupbench.canonical import Json
    from groupbench.grouping import Group
    from groupbench.llm.model import Abilities, Model
    from groupbench.runner import FitRequest
    from groupbench.suite import Suite


@dataclass(frozen=True)
class HfLmRunner(PromptedRunner):
    """Asks a causal language model in this process; nothing is trained and nothing leaves."""

    name: ClassVar[str] = "hf-lm"
    summary: ClassVar[str] = "a language model in this process, zero- or few-shot; no server"
    preload: ClassVar[tuple[str, ...]] = about.PRELOAD
    deciding_modules: ClassVar[tuple[str, ...]] = (
        *DECIDING,
        "groupbench.llm.weights",
        *about.DECIDING,
    )

    model: str = field(default="", metadata={"in_label": True})
    """A preset, a folder, or a hub id that @REVISION may follow."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """How prompts are rendered; auto: with the model's chat template if it has one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """What weights and products are in; log-probabilities are float32 always."""
    device: Literal["cpu", "cuda"] = "cpu"
    """What to compute on."""
    batch_size: int = 8
    """Sequences computed side by side; changes no answer but near-ties."""
    threads: int = 1
    """CPU threads."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.mode in {"choice", "json"}:
            raise ValueError(
                f"mode = '{self.mode}': hf-lm constrains no answer; use auto, score or text"
            )

    @property
    def source(self) -> OpenModel:
        """Where the weights come from."""
        return source_of(self.model)

    def availability(self) -> str | None:
        """Return why it cannot run here, with the mend; asks no network."""
        from importlib.util import find_spec

        for module in ("torch", "transformers", "jinja2"):
            if find_spec(module) is None:
                return f"{module} is not installed: pip install 'groupbench[encoder,llm]'"
        try:
            demand_model(self.model)
        except MissingModelError as missing:
            return str(missing).removesuffix(".")
        return None

    def place(self) -> Place:
        """It computes in this process."""
        return Place.LOCAL

    def demand_writable(self) -> None:
        """Nothing is kept: no server is asked."""

    def resources(self, group: Group, suite: Suite) -> Resources:  # noqa: ARG002 - the contract
        """Return what a fit needs: the weights, and as much again for caches and logits."""
        try:
            weights = sum(p.stat().st_size for p in self.source.find().glob("*.safetensors"))
        except MissingModelError:
            weights = 2_000_000_000
        gpus = 1 if self.device == "cuda" else 0
        return Resources(self.threads, gpus, about.PROCESS_BYTES + 2 * weights)

    def identity(self) -> Mapping[str, Json]:
        """Return the hash of weights and tokenizer. Downloads them where they are missing."""
        return {"weights": model_hash(self.source.fetch())}

    def abilities(self) -> Abilities:
        """Return what decides the prompts: loads the tokenizer, no weights and no torch."""
        from groupbench_causal_lm.tokenizers import load_tokenizer

        folder = self.source.fetch()
        return about.abilities_of(
            folder, load_tokenizer(folder), template=self.template, shots_as=self.shots_as
        )

    @contextmanager
    def open(self, request: FitRequest) -> Iterator[Model]:
        """Yield the model, loaded for one fit."""
        from groupbench_causal_lm.load import load_model, threads_of
        from groupbench_causal_lm.model import HfModel
        from groupbench_causal_lm.tokenizers import load_tokenizer

        folder = self.source.fetch()
        tokenizer = load_tokenizer(folder)
        abilities = about.abilities_of(
            folder, tokenizer, template=self.template, shots_as=self.shots_as
        )
        with threads_of(self.threads):
            net = load_model(folder, dtype=self.dtype, device=self.device)
            batch_size = max(1, self.batch_size // request.batch_divisor)
            yield HfModel(net, tokenizer, abilities, batch_size)
